"""Heads that have been read before: nobody but the clock can tell that they were not read again."""

import asyncio
import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.edge.known import MOST_HEAD_BYTES, MOST_HEADS, MOST_SEEN, KnownHeads, plain_request
from harness.listener import chunked, get, listening, post

pytestmark = pytest.mark.anyio

SCOPE = {
    "http_version": "1.1",
    "method": "POST",
    "path": "/a",
    "raw_path": b"/a",
    "query_string": b"",
    "headers": [(b"host", b"x"), (b"content-length", b"3"), (b"x-y", b"z")],
}


@pytest.mark.parametrize("name", ["Content-Length", "content-length"])
def test_a_head_is_the_same_whatever_length_it_tells(name):
    short, long = (post("/a", b"x" * size).replace(b"Content-Length", name.encode()) for size in (3, 1_000))
    (head, at, left), (other, other_at, _) = plain_request(short), plain_request(long)
    assert (head, left) == (other, 0)
    assert (short[at:], long[other_at:]) == (b"xxx", b"x" * 1_000)
    assert plain_request(post("/b", b"xxx").replace(b"Content-Length", name.encode()))[0] != head


@pytest.mark.parametrize(
    "data",
    [
        b"",
        get(),
        post("/a", b"abc") + b"d",
        post("/a", b"abc") * 2,
        post("/a", b"abc")[:30],
        chunked("/a", b"0\r\n\r\n"),
        b"\r\n\r\n" + post("/a", b"abc"),
        post("/a", b"abc").replace(b"Length: 3", b"Length: +3"),
        post("/a", b"abc").replace(b"Length: 3", b"Length: 3 "),
        b"X\r\nContent-Length: 0\n\r\n\r\n",
    ],
)
def test_only_one_request_with_a_plain_length_is_looked_up(data):
    assert plain_request(data) is None


def test_of_a_request_that_is_not_all_there_it_is_told_how_much_is_to_come():
    data = post("/a", b"x" * 500)
    whole_head, at, _ = plain_request(data)
    for size in (at, at + 1, len(data) - 1):
        assert plain_request(data[:size]) == (whole_head, at, len(data) - size)
    assert plain_request(data[: at - 1]) is None


def test_headers_tell_the_length_of_this_request():
    heads = KnownHeads()
    heads.learn(b"head", SCOPE)
    known = heads.get(b"head")
    assert known.headers_of(77) == [(b"host", b"x"), (b"content-length", b"77"), (b"x-y", b"z")]
    assert known.headers_of(78)[1] == (b"content-length", b"78")
    assert SCOPE["headers"][1] == (b"content-length", b"3")


def test_what_is_kept_is_bounded():
    heads = KnownHeads()
    for number in range(MOST_HEADS + 1):
        heads.learn(b"%d" % number, SCOPE)
    assert heads.get(b"0") is None
    assert heads.get(b"1") is not None
    heads.learn(b"x" * (MOST_HEAD_BYTES + 1), SCOPE)
    assert heads.get(b"x" * (MOST_HEAD_BYTES + 1)) is None
    assert heads.get(b"1") is not None


def test_what_has_come_once_is_remembered_for_as_long_as_there_is_room():
    heads = KnownHeads()
    assert [heads.has_come(b"head") for _ in range(2)] == [False, True]
    for number in range(MOST_SEEN + 1):
        assert not heads.has_come(b"%d" % number)
    assert not heads.has_come(b"0")
    assert heads.has_come(b"%d" % MOST_SEEN)
    assert len(heads._seen) <= MOST_SEEN


class TestOnAConnection:
    async def test_what_comes_a_second_time_is_known_from_then_on_to_all(self):
        async with listening() as listener:
            client, other = await listener.connect(), await listener.connect()
            for number, size in enumerate((1, 20, 300)):
                await client.send(post("/a", b"x" * size, "X-Y: z"))
                await client.responses(number + 1)
            await other.send(post("/a", b"other", "X-Y: z"))
            await other.responses(1)
        first, second, third, fourth = listener.app.scopes
        assert "fairlead.head" not in first["extensions"] | second["extensions"]
        assert third["extensions"]["fairlead.head"] is fourth["extensions"]["fairlead.head"]
        assert listener.app.bodies == [b"x", b"x" * 20, b"x" * 300, b"other"]
        for scope, body in zip(listener.app.scopes, listener.app.bodies, strict=True):
            assert dict(scope["headers"])[b"content-length"] == b"%d" % len(body)
        assert third["client"] != fourth["client"]

    async def test_what_came_on_another_connection_has_come(self):
        async with listening() as listener:
            for _ in range(3):
                client = await listener.connect()
                await client.send(post("/a", b"x", "X-Y: z"))
                await client.responses(1)
        assert ["fairlead.head" in scope["extensions"] for scope in listener.app.scopes] == [False, False, True]

    async def test_heads_that_are_never_the_same_are_not_kept(self):
        async with listening() as listener:
            client = await listener.connect()
            for number in range(4):
                await client.send(post("/a", b"x", f"X-Request-ID: {number}"))
                await client.responses(number + 1)
            assert listener.protocol.heads._heads == {}

    async def test_a_body_larger_than_any_head_comes_in_one_piece(self):
        async with listening() as listener:
            client = await listener.connect()
            connection = await listener.connection()
            for number, size in enumerate((10, 10, 200_000)):
                connection.data_received(post("/a", b"x" * size))
                await client.responses(number + 1)
        assert [len(body) for body in listener.app.bodies] == [10, 10, 200_000]

    async def test_a_body_that_comes_later_is_the_body_of_its_head(self):
        async with listening() as listener:
            client = await listener.connect()
            connection = await listener.connection()
            for number, cuts in enumerate(((), (), (0,), (1,), (40, 80), (100,), (0, 100))):
                data = post("/a", b"%d" % number * 100)
                at = len(data) - 100
                edges = [0, *(at + cut for cut in cuts), len(data)]
                for start, end in itertools.pairwise(edges):
                    connection.data_received(data[start:end])
                    await asyncio.sleep(0)
                await client.responses(number + 1)
        assert listener.app.bodies == [b"%d" % number * 100 for number in range(7)]
        assert ["fairlead.head" in scope["extensions"] for scope in listener.app.scopes] == [False] * 2 + [True] * 5

    async def test_what_always_comes_in_parts_is_learnt_too(self):
        async with listening() as listener:
            client = await listener.connect()
            connection = await listener.connection()
            for number in range(3):
                data = post("/a", b"x" * 100)
                connection.data_received(data[:-60])
                await asyncio.sleep(0)
                connection.data_received(data[-60:])
                await client.responses(number + 1)
        assert ["fairlead.head" in scope["extensions"] for scope in listener.app.scopes] == [False, False, True]

    async def test_who_waits_to_be_asked_for_the_body_is_asked_each_time(self):
        async with listening() as listener:
            client = await listener.connect()
            data = post("/a", b"x" * 100, "Expect: 100-continue")
            for number in range(4):
                await client.send(data[:-100])
                assert (await client.responses(2 * number + 1))[-1].status == 100
                await client.send(data[-100:])
                await client.responses(2 * number + 2)
        assert ["fairlead.head" in scope["extensions"] for scope in listener.app.scopes] == [False] * 4

    async def test_what_comes_behind_a_body_is_the_next_request(self):
        async with listening() as listener:
            client = await listener.connect()
            connection = await listener.connection()
            data = post("/a", b"x" * 100)
            for number in range(2):
                connection.data_received(data)
                await client.responses(number + 1)
            connection.data_received(data[:-10])
            connection.data_received(data[-10:] + post("/a", b"next") + post("/a", b"and the last"))
            await client.responses(5)
        assert listener.app.bodies == [b"x" * 100] * 3 + [b"next", b"and the last"]

    async def test_who_leaves_in_the_middle_of_a_body_is_noticed(self):
        async with listening() as listener:
            client = await listener.connect()
            for number in range(2):
                await client.send(post("/a", b"x" * 100))
                await client.responses(number + 1)
            await client.send(post("/a", b"x" * 100)[:-1])
            while len(listener.app.scopes) < 3:
                await asyncio.sleep(0.001)
            client.writer.close()
            while "gone" not in (said := await listener.app.seen.get()):
                assert said == "begun"

    async def test_while_it_drains_each_reply_is_the_last_of_its_connection(self):
        async with listening() as listener:
            client = await listener.connect()
            for number in range(3):
                await client.send(post("/a", b"x"))
                await client.responses(number + 1)
            listener.protocol.drain()
            await client.send(post("/a", b"x"))
            assert (await client.responses())[-1].headers["connection"] == "close"

    async def test_a_client_that_leaves_is_noticed(self):
        async with listening() as listener:
            client = await listener.connect()
            listener.app.release.set()
            for number in range(2):
                await client.send(post("/hold", b"x"))
                await client.responses(number + 1)
            listener.app.release.clear()
            await client.send(post("/hold", b"x"))
            while len(listener.app.scopes) < 3:
                await listener.app.seen.get()
            assert "fairlead.head" in listener.app.scopes[2]["extensions"]
            client.writer.close()
            assert await listener.app.seen.get() == "gone"
            listener.app.release.set()


REQUESTS = [
    post("/a", b"x", "X-Y: z"),
    post("/a", b"x" * 12, "X-Y: z"),
    post("/a", b"other").replace(b"Content-Length", b"content-length"),
    post("/aloof/1", b"unread"),
    post("/early", b"unread"),
    post("/farewell", b"unread"),
    post("/chunked", b"body"),
    post("/a", b"abc", "Expect: 100-continue"),
    post("/a", b"abc", "Connection: close"),
    post("/a", b"abc").replace(b"HTTP/1.1", b"HTTP/1.0"),
    post("/a", b"abc", "Transfer-Encoding: chunked"),
    post("/a", b"abc", "Content-Length: 3"),
    post("/a", b"abc", "Upgrade: h2c", "Connection: upgrade"),
    post("/a", b"abc").replace(b"Host: x", b"Host: x\r\nHost: y"),
    post("/a", b"abc", "Trailer : bad"),
    post("/a", b"abc", length=2),
    post("/a", b"abc", length=5),
    post("/a", b"", length=0),
    get("/a"),
    chunked("/a", b"3\r\nabc\r\n0\r\n\r\n"),
    b"\r\n" + post("/a", b"x", "X-Y: z"),
    b"nonsense\r\n\r\n",
]


class Forgetful(KnownHeads):
    """Every head is read, always."""

    def learn(self, head, scope):
        pass


async def told(pieces, heads):
    """Return all that an app and a client see of these bytes; each piece is read at once."""
    async with listening() as listener:
        listener.protocol.heads = heads
        listener.app.release.set()
        client = await listener.connect()
        connection = await listener.connection()
        for piece in pieces:
            if not connection.transport.is_closing():
                connection.data_received(piece)
            for _ in range(12):  # turns of the loop: none of these apps needs more to answer what it has
                await asyncio.sleep(0)
        client.half_close()
        await client.responses()
        app = listener.app
        scopes = [
            {name: value for name, value in scope.items() if name not in ("client", "server", "extensions")}
            for scope in app.scopes
        ]
        return app.begun, app.bodies, scopes, re.sub(rb"date: .*\r\n", b"", client.received)


def sequences(others):
    """Two requests of one head, and any others, in any order and number."""
    return st.lists(st.sampled_from([*REQUESTS[:2] * 2, *others]), min_size=2, max_size=10)


def pieces(requests):
    """The bytes of these requests, cut between nearly all of them and in some other places, in bodies above all."""
    data, ends = b"".join(requests), list(itertools.accumulate(map(len, requests)))
    in_body = st.builds(lambda end, size: max(end - size, 0), st.sampled_from(ends), st.integers(1, 12))
    cuts = st.lists(st.one_of(in_body, st.integers(0, len(data))), max_size=6)
    joined = st.lists(st.sampled_from(ends), max_size=3)

    def cut(places, uncut):
        edges = sorted({0, *places, *ends} - ({*uncut} - {ends[-1]}))
        return [data[start:end] for start, end in itertools.pairwise(edges)]

    return st.builds(cut, cuts, joined)


@given(st.lists(st.sampled_from(REQUESTS), max_size=3).flatmap(sequences).flatmap(pieces))
@settings(max_examples=300, deadline=None)
async def test_nothing_differs_from_reading_each_of_them(pieces):
    known = KnownHeads()
    for _ in range(3):  # the last time much is known
        assert await told(pieces, known) == await told(pieces, Forgetful())
