import asyncio
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.routing import Route

from fairlead.edge.asgi import App
from fairlead.edge.json_body import MOST_BYTES, json_response, read_object
from fairlead.errors import ApiError
from harness.asking import asking
from harness.jsontext import damaged
from harness.listener import chunked, listening, post

pytestmark = pytest.mark.anyio

PATH = "/v1/echo"


async def echo(request):
    return json_response({name: repr(value) for name, value in (await read_object(request)).items()}, 201)


ROUTES = [Route(PATH, echo, methods=["POST"])]


async def test_numbers_are_exact():
    async with asking(ROUTES) as ask:
        answer = await ask(
            "POST", PATH, b'{"a": 0.10000000000000000001, "b": 2, "c": 1e400, "d": null, "e": "\\u00e4"}'
        )
    assert answer.status == 201
    assert answer.json == {
        "a": repr(Decimal("0.10000000000000000001")),
        "b": "2",
        "c": "Decimal('1E+400')",
        "d": "None",
        "e": "'ä'",
    }
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/json", "no-store")


async def test_an_exponent_that_no_number_has():
    async with asking(ROUTES) as ask:
        answer = await ask("POST", PATH, b'{"a": 1e99999999999999999999}')
    assert answer.json == {"a": "Decimal('NaN')"}


@pytest.mark.parametrize(("number", "is_read_as"), [("60.0", "60"), ("-6e1", "-60"), ("1e-400", "Decimal('1E-400')")])
async def test_a_whole_number_may_be_written_with_a_point(number, is_read_as):
    async with asking(ROUTES) as ask:
        answer = await ask("POST", PATH, b'{"a": %b}' % number.encode())
    assert answer.json == {"a": is_read_as}


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b'{"a": 1}}', "no JSON"),
        (b"name=web", "no JSON"),
        (b'{"a": "\xff"}', "no JSON"),
        (b'{"a": "\\ud800"}', "no JSON"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "no JSON"),
        (b'{"a": ' * 5_000, "no JSON"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"name"', "must be a JSON object"),
        (b'{"limit": NaN}', "'limit' is NaN, which JSON does not have: send a number, or null"),
        (b'{"name": "a", "limit" : -Infinity}', "'limit' is -Infinity"),
    ],
    ids=range(13),
)
async def test_what_is_no_object_is_refused(body, what):
    async with asking(ROUTES) as ask:
        answer = await ask("POST", PATH, body)
    assert answer.status == 400
    assert what in answer.error["message"]
    assert answer.error["param"] == ("limit" if "limit" in what else None)


async def test_the_size_is_bounded():
    fits = json.dumps({"a": "x" * (MOST_BYTES - 9)}).encode()
    assert len(fits) == MOST_BYTES
    async with asking(ROUTES) as ask:
        assert (await ask("POST", PATH, fits)).status == 201
        answer = await ask("POST", PATH, fits + b" ")
        assert (answer.status, answer.error["metadata"]["error_type"]) == (413, "payload_too_large")
        assert f"{MOST_BYTES} bytes" in answer.error["message"]
        assert "FAIRLEAD" not in answer.error["message"]  # no setting raises it


async def test_of_a_chunked_body_too():
    async with listening() as listener:
        listener.app.v1 = App({}, ROUTES, None)
        piece = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
        (answer,) = await listener.exchange(chunked(PATH, piece * 3))
        assert answer.status == 413


async def test_who_leaves_within_the_body_is_no_fault_of_ours():
    entered, ended = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def note(request):
        entered.set()
        try:
            await read_object(request)
        except ApiError as error:
            ended.set_result(error.status)
            raise

    async with listening() as listener:
        listener.app.v1 = App({}, [Route(PATH, note, methods=["POST"])], None)
        client = await listener.connect()
        await client.send(post(PATH, b"{", length=9))
        await entered.wait()
        client.reset()
        assert await ended == 499


@given(damaged() | st.binary(max_size=60))
async def test_whatever_is_sent_is_an_object_or_refused(body):
    sent = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return sent.pop()

    try:
        assert isinstance(await read_object(Request({"type": "http", "headers": []}, receive)), dict)
    except ApiError as refusal:
        assert refusal.status == 400  # noqa: PT017 - either is right
