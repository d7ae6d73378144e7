"""The rules of request heads and of their framing: as functions, and over real sockets."""

import urllib.parse
from pathlib import Path

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.edge import head
from fairlead.edge.limits import Limits
from fairlead.errors import ApiError
from harness.listener import chunked, get, listening, post, statuses

MAX_HEAD = Limits().max_header_bytes

HOSTS = [
    b"",
    b"x",
    b"x:",
    b"x:80",
    b"api.example.com",
    b"127.0.0.1:8420",
    b"[::1]",
    b"[::1]:8420",
    b"a_b",
    b"%C3%A9",
    b"a,b",
]
NO_HOSTS = [
    b"x y",
    b"x/",
    b"a@x",
    b"x?y",
    b"x#y",
    b"x:y",
    b"x:80:80",
    b"[::1",
    b"::1",
    b"x\\y",
    b'"x"',
    b"<x>",
    b"\xe9",
    b"x\n",
]


@pytest.mark.parametrize("value", HOSTS)
def test_host_is_accepted(value):
    head.check_host(value, None)


@pytest.mark.parametrize("value", NO_HOSTS)
def test_what_is_no_host_is_refused(value):
    with pytest.raises(ApiError, match="not a host"):
        head.check_host(value, None)


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"chunked \t"])
def test_chunked_is_accepted(value):
    head.check_transfer_encoding(value)


@pytest.mark.parametrize(
    ("target", "method", "host", "origin"),
    [
        (b"*", b"OPTIONS", b"x", b"*"),
        (b"http://x", b"GET", b"x", b"/"),
        (b"http://x?q", b"GET", b"x", b"/?q"),
        (b"http://x/a?b://c/d", b"GET", b"x", b"/a?b://c/d"),
        (b"HTTPS://X:80/a", b"GET", b"x:80", b"/a"),
        (b"http://x/", b"GET", None, b"/"),
        (b"http://x//y", b"GET", b"x", b"//y"),
    ],
)
def test_target_is_reduced_to_its_path(target, method, host, origin):
    assert head.origin_form(target, method, host) == origin


@pytest.mark.parametrize("target", [b"http://y/", b"http://x:80/", b"http:///a", b"x:443", b"*", b"http:/x"])
def test_target_that_leads_elsewhere_is_refused(target):
    with pytest.raises(ApiError) as refusal:
        head.origin_form(target, b"GET", b"x")
    assert refusal.value.status == 400


def test_size_counts_names_values_and_their_frame():
    limits = Limits(max_header_bytes=20, max_headers=2)
    head.check_size(b"/a", [(b"abc", b"12"), (b"abc", b"12")], limits)
    for fields in ([(b"abc", b"12"), (b"abc", b"123")], [(b"", b"")] * 3):
        with pytest.raises(ApiError) as refusal:
            head.check_size(b"/a", fields, limits)
        assert refusal.value.status == 431


def test_fault_of_ours_is_no_fault_of_the_client():
    error = httptools.HttpParserCallbackError("callback error")
    error.__context__ = KeyError("ours")
    with pytest.raises(httptools.HttpParserCallbackError):
        head.parser_refusal(error, b"x")


def test_reply_carries_default_headers():
    reply = head.reply(ApiError(414, "Too long."), [(b"date", b"today")])
    lines, _, body = reply.partition(b"\r\n\r\n")
    assert lines.split(b"\r\n")[:2] == [b"HTTP/1.1 414 Request-URI Too Long", b"date: today"]
    assert b"content-length: %d" % len(body) in lines


def corpus(name, columns):
    lines = (Path(__file__).parent / "corpus" / name).read_text().splitlines()
    return [case(*line.split(" | ", columns - 1)) for line in lines if not line.startswith("#")]


def case(name, *cells):
    return pytest.param(*cells[:-1], cells[-1].encode().decode("unicode_escape").encode("latin-1"), id=name)


@pytest.mark.anyio
class TestCorpus:
    @pytest.mark.parametrize(("status", "words", "data"), corpus("refused_heads.txt", 4))
    async def test_refused_head_never_reaches_the_app(self, status, words, data):
        async with listening() as listener:
            (refusal,) = await listener.exchange(data)
            good, behind = await listener.exchange(get() + data)

        assert refusal.status == behind.status == int(status)
        assert words in refusal.error["message"]
        assert good.body == b"GET /a "
        assert listener.app.begun == [("GET", b"/a")]

    @pytest.mark.parametrize(("words", "rest"), corpus("refused_bodies.txt", 3))
    async def test_refused_body_is_never_received_whole(self, words, rest):
        async with listening() as listener:
            (at_once,) = await listener.exchange(chunked("/echo", rest))
            client = await listener.connect()
            await client.send(chunked("/echo", b""))
            for event in ("begun", "gone", "disconnect", "begun"):
                assert await listener.app.seen.get() == event
            await client.send(rest)
            (later,) = await client.responses()

        for response in (at_once, later):
            assert response.status == 400
            assert words in response.error["message"]
        assert listener.app.bodies == []

    async def test_reply_has_the_shape_of_openai_errors_and_closes(self):
        async with listening(server_header=False) as listener:
            (refusal,) = await listener.exchange(b"nonsense\r\n\r\n")

        assert refusal.headers.keys() == {"date", "content-type", "content-length", "connection"}
        assert refusal.headers["content-type"] == "application/json"
        assert refusal.headers["connection"] == "close"
        assert refusal.error.items() >= {"type": "invalid_request_error", "param": None, "code": 400}.items()
        assert listener.protocol.sweep.refusals == {400: 1}


@pytest.mark.anyio
class TestSizes:
    async def test_head_at_the_limit_is_served(self):
        frame = len(get("/a", "A: ")) - len("GET  HTTP/1.1\r\n") - len("\r\n")
        async with listening() as listener:
            client = await listener.connect()
            await client.send(get("/a", "A: " + "x" * (MAX_HEAD - frame)))
            assert statuses(await client.responses(1)) == [200]
            await client.send(get("/a", "A: " + "x" * (MAX_HEAD - frame + 1)))
            assert statuses(await client.responses()) == [200, 431]

    @pytest.mark.parametrize(
        ("status", "data"),
        [
            pytest.param(431, get("/a", "A: " + "x" * 300_000), id="long-value"),
            pytest.param(431, get("/a", "A: " + "x" * 300_000)[:-4], id="endless-value"),
            pytest.param(431, get("/a", "x" * 300_000)[:-4], id="endless-name"),
            pytest.param(431, get("/a", "A: " + " " * 300_000)[:-4], id="endless-padding"),
            pytest.param(431, get("/a", *["A: b"] * 200), id="many-fields"),
            pytest.param(431, b"\r\n" * 100_000, id="endless-empty-lines"),
            pytest.param(414, get("/" + "a" * 16_384), id="long-target"),
            pytest.param(414, get("/" + "a" * 16_384)[: -len(" HTTP/1.1\r\nHost: x\r\n\r\n")], id="endless-target"),
        ],
    )
    async def test_head_over_a_limit_is_refused_and_the_client_can_read_why(self, status, data):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(data)
            assert statuses(await client.responses()) == [status]
            assert not client.was_reset
            good, refusal = await listener.exchange(get() + data)
            assert (good.status, refusal.status) == (200, status)
        assert listener.app.begun == [("GET", b"/a")]

    async def test_head_behind_another_message_in_one_read_is_measured_too(self):
        async with listening() as listener:
            client = await listener.connect()
            connection = await listener.connection()
            connection.data_received(get() + get("/b", "A: " + "x" * 3 * MAX_HEAD))
            assert statuses(await client.responses()) == [200, 431]

    async def test_trailers_count_as_a_head(self):
        async with listening() as listener:
            (refusal,) = await listener.exchange(chunked("/echo", b"0\r\n" + b"x" * 200_000))
        assert refusal.status == 431
        assert listener.app.bodies == []

    async def test_bytes_of_others_do_not_count(self):
        """Neither a body in the same read as a head, nor one that precedes a head cut in two."""
        large = post("/echo", b"x" * MAX_HEAD, "A: " + "y" * 1_000)
        async with listening() as listener:
            client = await listener.connect()
            await client.send(large[:500])
            await client.send(large[500:] + large[:500])
            await client.send(large[500:])
            assert statuses(await client.responses(2)) == [200, 200]


@pytest.mark.anyio
class TestTarget:
    async def test_target_is_decoded_once(self):
        async with listening(root_path="/root") as listener:
            client = await listener.connect()
            await client.send(get("/a%2Fb%20%C3%A9?q=%41&r") + get("http://x/abs?q") + get("HTTP://X?q"))
            await client.send(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
            await client.responses(4)

        parts = [(scope["path"], scope["raw_path"], scope["query_string"]) for scope in listener.app.scopes]
        assert parts == [
            ("/root/a/b é", b"/root/a%2Fb%20%C3%A9", b"q=%41&r"),
            ("/root/abs", b"/root/abs", b"q"),
            ("/root/", b"/root/", b"q"),
            ("/root*", b"/root*", b""),
        ]


@given(st.text("/%?#abcXYZ019.\\é\n;:@", max_size=40) | st.text(max_size=20))
def test_whatever_the_target_is_it_is_taken_apart_or_refused(text):
    target = text.encode("ascii", "ignore")
    try:
        target = target if target.startswith(b"/") else head.origin_form(target, b"GET", b"a")
        path, raw_path, query = head.split_target(target)
    except ApiError as refusal:
        assert refusal.status == 400  # noqa: PT017 - either is right
        return
    assert target == raw_path + (b"?" + query if b"?" in target else b"")
    assert path == urllib.parse.unquote(raw_path.decode())
    path.encode()


@given(st.binary(max_size=30))
def test_whatever_the_host_is_it_holds_nothing_else(value):
    try:
        head.check_host(value, None)
    except ApiError:
        return
    assert not set(value) & set(b"/?#@ \\\t\r\n\0")
