import orjson
import pytest

from fairlead.openapi.routes import document_routes, is_known
from harness.asking import asking

pytestmark = pytest.mark.anyio

PATHS = {
    "/openapi.json": "application/json",
    "/docs": "text/html; charset=utf-8",
    "/docs/docs.css": "text/css; charset=utf-8",
    "/docs/docs.js": "text/javascript; charset=utf-8",
}


async def get(path, method="GET", *fields):
    async with asking(document_routes()) as ask:
        return await ask(method, path, fields=fields)


@pytest.mark.parametrize("path", PATHS)
async def test_nobody_needs_a_key(path):
    answer = await get(path)
    assert (answer.status, answer.headers["content-type"]) == (200, PATHS[path])
    assert answer.body


@pytest.mark.parametrize("path", PATHS)
async def test_head_is_get_without_the_body(path):
    whole, head = await get(path), await get(path, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.body))
    assert head.headers["etag"] == whole.headers["etag"]


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_known_is_not_sent_again(path):
    etag = (await get(path)).headers["etag"]
    again = await get(path, "GET", f"if-none-match: {etag}")
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    assert (await get(path, "GET", 'if-none-match: "other"')).status == 200


async def test_nothing_from_elsewhere_is_let_in():
    headers = (await get("/docs")).headers
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert headers["x-content-type-options"] == "nosniff"


async def test_the_document_is_json():
    assert orjson.loads((await get("/openapi.json")).body)["openapi"].startswith("3.1")


@pytest.mark.parametrize(
    ("given", "is_it"),
    [("", False), ('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ('"b"', False), ("a", False)],
)
def test_if_none_match(given, is_it):
    assert is_known(given, '"a"') is is_it
