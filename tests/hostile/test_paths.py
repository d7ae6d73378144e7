"""Ways to write a path so that a proxy in front might read another one: none opens what a key is needed for."""

import pytest

from .framing import BODY, SMUGGLED_BODY
from .raw import ADMIN_KEY, KEY, Raw, ask, get, sized
from .upstream import upstream_body

ADMIN = "/admin/v1/endpoints"
NO_PATH = {
    # what is no path of the gateway's, whatever else it may be
    "//admin/v1/endpoints", "/admin//v1/endpoints", "/admin/v1/endpoints/", "/./admin/v1/endpoints",
    "/admin/./v1/endpoints", "/v1/../admin/v1/endpoints",
    "/v1/%2e%2e/admin/v1/endpoints", "/v1/.%2e/admin/v1/endpoints", "/v1/..%2fadmin/v1/endpoints",
    "/v1/%2e%2e%2fadmin%2fv1%2fendpoints", "/v1/..%5cadmin/v1/endpoints", "/v1/..;/admin/v1/endpoints",
    "/v1;/../admin/v1/endpoints", "/admin;x=y/v1/endpoints", "/admin/v1/endpoints;x=y", "/admin/v1/endpoints.json",
    "/admin/v1/endpoints%00", "/admin/v1/endpoints%00.html", "/admin/v1/endpoints%20", "/admin/v1/endpoints%09",
    "/admin/v1/endpoints%0a", "/admin/v1/endpoints%0d%0aX:%20y", "/admin/v1/endpoints%3fx", "/admin/v1/endpoints%23",
    "/%2fadmin/v1/endpoints", "/%252fadmin/v1/endpoints", "/%2561dmin/v1/endpoints", "/ADMIN/V1/ENDPOINTS",
    "/Admin/v1/endpoints", "/admin/V1/endpoints", "/%c0%afadmin/v1/endpoints", "/%ef%bc%8fadmin/v1/endpoints",
    "/%e2%81%84admin/v1/endpoints", "/adm%c4%b1n/v1/endpoints", "/livez/../admin/v1/endpoints",
    "/livez/admin/v1/endpoints", "/api/admin/v1/endpoints", "/v1/admin/v1/endpoints", "/admin/v1/endpoints/..",
    "/..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/.env", "/%", "/%zz",
}  # fmt: skip
NO_MODEL = (
    "/v1/models/../../admin/v1/endpoints", "/v1/models/%2e%2e/%2e%2e/admin/v1", "/v1/models/..%2f..%2fetc%2fpasswd",
    "/v1/models/lab/m/../../../../admin/v1/endpoints", "/v1/model//admin/v1/endpoints", "/v1/models/%00",
    "/v1/models/%ff",
)  # fmt: skip
"""Where a route takes any name, these are names, of models that there are not."""
SAME_PATH = {
    # other spellings of the one path (RFC 3986, section 6.2.2): they want the same key
    ADMIN, "/%61dmin/v1/endpoints", "/admin%2fv1%2fendpoints", "/admin/v1/end%70oints", "/admin/v1/endpoints?x=y",
    "http://gateway/admin/v1/endpoints", "HTTP://GATEWAY/%61dmin/v1/endpoints",
}  # fmt: skip
NO_TARGET = {
    "admin/v1/endpoints", "*", "gateway/admin/v1/endpoints", "/admin/v1/endpoints#x", "http://other/admin/v1/endpoints",
    "http://gateway@other/admin/v1/endpoints", "http://gateway:80/admin/v1/endpoints", "ftp://gateway/admin/v1/endpoints",
    "file:///etc/passwd", "http:///admin/v1/endpoints", "/\xe9", "/admin\\v1\\endpoints\x7f", "\\admin\\v1\\endpoints",
}  # fmt: skip
BESIDE = (
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Forwarded-Path",
    "X-Forwarded-Prefix",
    "X-HTTP-Method-Override",
    "X-Method",
)
CHAT_SPELLINGS = ("/v1/chat/completions?x=y", "/v1/chat%2fcompletions", "/v1/%63hat/completions")
NO_CHAT = (
    "/v1/chat/completions/", "//v1/chat/completions", "/v1/./chat/completions", "/V1/chat/completions",
    "/v1/chat/completions%00", "/v1/chat/completions%2f", "/v1/chat/completions;x", "/v1/chat/../chat/completions",
)  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", sorted(NO_PATH))
def test_what_is_no_path_is_none_with_any_key(gateway, lab, path, method):
    for key in (None, KEY, ADMIN_KEY):
        reply = ask(gateway, get(path, key=key).replace(b"GET", method.encode(), 1))
        assert reply.status == 404
        assert reply.headers["content-type"] == "application/json"
        assert "location" not in reply.headers


@pytest.mark.parametrize("path", NO_MODEL)
def test_what_stands_for_a_name_is_a_name(gateway, lab, path):
    for key in (None, KEY):
        reply = ask(gateway, get(path, key=key))
        assert reply.status == 404
        assert "is not served here: GET /v1/models" in reply.error["message"]


@pytest.mark.parametrize("path", sorted(SAME_PATH))
def test_another_spelling_wants_the_same_key(gateway, lab, path):
    statuses = [
        ask(gateway, get(path, "X-Forwarded-For: 203.0.113.77", key=key)).status for key in (None, KEY, ADMIN_KEY)
    ]
    assert statuses == [401, 403, 200]


@pytest.mark.parametrize("target", sorted(NO_TARGET))
def test_what_is_no_target_ends_the_connection(gateway, lab, target):
    with Raw(gateway) as raw:
        raw.send(get(target, key=ADMIN_KEY) + sized(SMUGGLED_BODY))
        assert raw.rest().statuses == [400]
    assert lab.requests == []


@pytest.mark.parametrize("field", BESIDE)
def test_a_path_beside_the_path_is_none(gateway, lab, field):
    reply = ask(gateway, get("/livez", f"{field}: {ADMIN}", key=None))
    assert (reply.status, reply.body) == (200, b'{"status":"alive"}')


@pytest.mark.parametrize("path", CHAT_SPELLINGS)
def test_another_spelling_is_the_same_route(gateway, lab, path):
    assert ask(gateway, sized(BODY, path=path)).status == 200
    assert ask(gateway, sized(BODY, path=path, key=None)).status == 401
    [request] = lab.requests
    assert (request.target, request.body) == ("/v1/chat/completions", upstream_body(BODY))


@pytest.mark.parametrize("path", NO_CHAT)
def test_no_chat_is_there(gateway, lab, path):
    assert ask(gateway, sized(BODY, path=path)).status == 404
    assert lab.requests == []


@pytest.mark.parametrize(
    "method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "QUERY", "SEARCH", "PROPFIND"]
)
@pytest.mark.parametrize("path", ["/livez", "/v1/models", "/v1/chat/completions", ADMIN, "/v1/keys"])
def test_methods_that_a_route_has_not(gateway, lab, path, method):
    with Raw(gateway) as raw:
        raw.send(get(path, "Connection: close", key=None).replace(b"GET", method.encode(), 1))
        [status] = raw.rest().statuses
    is_head_of_get = method == "HEAD" and path in ("/livez", "/v1/models")
    assert status in ((200,) if is_head_of_get else (400, 401, 405))
    assert lab.requests == []
