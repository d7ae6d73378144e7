"""The guarded protocol, over real sockets."""

import asyncio
import gc
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.listener import HASTY, chunked, get, listening, post, statuses

pytestmark = pytest.mark.anyio


class TestRefusals:
    async def test_refusal_waits_for_the_responses_before_it(self):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(get("/hold/1") + get("/hold/2") + b"nonsense\r\n\r\n")
            assert await listener.app.seen.get() == "begun"
            listener.app.release.set()
            responses = await client.responses()

        assert statuses(responses) == [200, 200, 400]
        assert [response.body for response in responses[:2]] == [b"GET /hold/1 ", b"GET /hold/2 "]
        assert all(response.is_complete for response in responses)

    async def test_refusal_lapses_if_a_response_before_it_is_the_last(self):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(get("/hold") + b"nonsense\r\n\r\n")
            assert await listener.app.seen.get() == "begun"
            listener.protocol.drain()
            listener.app.release.set()
            assert statuses(await client.responses()) == [200]
        assert listener.protocol.sweep.refusals == {}

    async def test_queued_request_with_a_broken_body_is_not_begun(self):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(get("/hold") + chunked("/b", b"1\r\nx\r\n"))
            assert await listener.app.seen.get() == "begun"
            await client.send(b"nonsense")
            listener.app.release.set()
            responses = await client.responses()

        assert statuses(responses) == [200, 400]
        assert listener.app.begun == [("GET", b"/hold")]

    async def test_no_second_head_goes_into_a_response_that_has_begun(self):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(chunked("/upload", b"1\r\nx\r\n"))
            await client.until(b"begun")
            await client.send(b"nonsense")
            (response,) = await client.responses()

            assert response.body == b"begun"
            assert not response.is_complete
            assert [await listener.app.seen.get() for _ in range(3)] == ["begun", "gone", "disconnect"]

    async def test_body_that_breaks_after_its_response_just_ends_the_connection(self):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(chunked("/early", b"1\r\nx\r\n"))
            await client.responses(1)
            await client.send(b"nonsense")
            assert statuses(await client.responses()) == [200]


class TestGone:
    @pytest.mark.parametrize("leave", ["close", "reset", "half_close"])
    async def test_app_learns_at_once_and_by_both_ways(self, leave):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(get("/listen"))
            assert await listener.app.seen.get() == "begun"
            {"close": client.writer.close, "reset": client.reset, "half_close": client.half_close}[leave]()
            assert await listener.app.seen.get() == "gone"
            assert await listener.app.seen.get() == "disconnect"
            assert listener.app.scopes[0]["extensions"]["fairlead.connection"].is_gone

    async def test_client_that_leaves_after_its_response_is_nobodys_concern(self):
        async with listening(HASTY) as listener:
            client = await listener.connect()
            await client.send(get())
            await client.responses(1)
            client.reset()
            await listener.until_no_connection()
            assert listener.app.seen.get_nowait() == "begun"
            assert listener.app.seen.empty()

    async def test_client_that_has_pipelined_more_is_noticed(self):
        async with listening(HASTY) as listener:
            client = await listener.connect()
            await client.send(get("/listen") + get("/2"))
            assert await listener.app.seen.get() == "begun"
            client.writer.close()
            assert [await listener.app.seen.get() for _ in range(2)] == ["gone", "disconnect"]
            await listener.until_no_connection()
            assert listener.app.begun == [("GET", b"/listen")]

    async def test_client_that_has_pipelined_too_much_to_read_is_noticed_in_time(self):
        """Its FIN waits in its own kernel until we read on."""
        async with listening(HASTY) as listener:
            client = await listener.connect()
            await client.send(get("/listen"))
            assert await listener.app.seen.get() == "begun"
            client.writer.write(post("/2", b"x" * 1_000_000))
            client.reset()
            await listener.sweeps(1)
            assert [await listener.app.seen.get() for _ in range(2)] == ["gone", "disconnect"]

    async def test_client_that_leaves_in_a_body_nobody_reads_is_noticed(self):
        async with listening(HASTY) as listener:
            client = await listener.connect()
            await client.send(post("/hold", b"x" * 70_000, length=100_000))
            assert await listener.app.seen.get() == "begun"
            client.writer.close()
            assert await listener.app.seen.get() == "gone"

    @pytest.mark.parametrize("leave", ["reset", "half_close"])
    async def test_app_that_waits_for_buffer_space_goes_on(self, leave):
        async with listening() as listener:
            client = await listener.connect()
            client.writer.transport.pause_reading()
            await client.send(get("/flood"))
            assert await listener.app.seen.get() == "begun"
            connection = await listener.connection()
            while not connection.flow.write_paused:
                await asyncio.sleep(0)
            getattr(client, leave)()
            assert [await listener.app.seen.get() for _ in range(2)] == ["gone", "unblocked"]

    async def test_app_that_aborts_is_not_told_what_it_knows(self):
        async with listening(HASTY) as listener:
            await listener.exchange(get("/abort"))
            await listener.until_no_connection()
            assert listener.app.seen.get_nowait() == "begun"
            assert listener.app.seen.empty()

    async def test_request_that_is_answered_cannot_abort_the_next(self):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(get("/late") + get("/late") + get())
            assert [response.body for response in await client.responses(3)] == [b"late", b"late", b"GET /a "]


class TestOrder:
    STREAM = (
        get("/1")
        + post("/2", b"two")
        + chunked("/3", b"3;x=y\r\nthr\r\n2\r\nee\r\n0\r\nTrailer: t\r\n\r\n")
        + b"\r\n"
        + get("/chunked/4")
        + post("/early", b"unread")
        + get("/6", "Connection: close")
        + get("/never")
    )
    ANSWERS = (b"GET /1 ", b"POST /2 two", b"POST /3 three", b"one two", b"early", b"GET /6 ")

    @given(cuts=st.lists(st.tuples(st.integers(1, len(STREAM) - 1), st.booleans()), max_size=12))
    @settings(max_examples=40, deadline=None)
    async def test_any_segmentation_gives_the_same_responses(self, cuts):
        pauses = dict(cuts)
        edges = [0, *sorted(pauses), len(self.STREAM)]
        async with listening() as listener:
            client = await listener.connect()
            connection = await listener.connection()
            for start, end in itertools.pairwise(edges):
                if not connection.transport.is_closing():
                    connection.data_received(self.STREAM[start:end])
                if pauses.get(end):
                    await asyncio.sleep(0)
            responses = await client.responses()

        assert tuple(response.body for response in responses) == self.ANSWERS
        assert len(listener.app.begun) == len(self.ANSWERS)

    async def test_requests_read_ahead_are_bounded(self):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(get("/hold") + get() * 1_000)
            assert await listener.app.seen.get() == "begun"
            listener.app.release.set()
            responses = await client.responses()
        assert statuses(responses) == [200] * 17 + [400]

    async def test_bytes_read_ahead_are_bounded(self):
        async with listening() as listener:
            client = await listener.connect()
            connection = await listener.connection()
            for _ in range(3):
                connection.data_received(get("/listen" if connection.cycle is None else "/a"))
                connection.data_received(post("/a", b"x" * 30_000))
            assert connection.flow.read_paused
            client.reset()

    async def test_bytes_of_earlier_pipelines_do_not_count(self):
        async with listening() as listener:
            client = await listener.connect()
            connection = await listener.connection()
            for count in range(1, 4):
                connection.data_received(get())
                connection.data_received(post("/a", b"x" * 30_000))
                assert not connection.flow.read_paused
                await client.responses(2 * count)

    async def test_app_that_awaits_the_disconnect_reads_nothing_ahead(self):
        async with listening() as listener:
            await listener.connect()
            connection = await listener.connection()
            connection.data_received(get("/listen") + post("/a", b"x" * 70_000))
            assert await listener.app.seen.get() == "begun"
            await asyncio.sleep(0)
            assert connection.flow.read_paused

    @pytest.mark.parametrize("path", ["/early", "/aloof"])
    async def test_body_nobody_asked_for_is_skipped(self, path):
        async with listening() as listener:
            client = await listener.connect()
            connection = await listener.connection()
            connection.data_received(post(path, b"x" * 100_000, length=200_000))
            assert connection.flow.read_paused
            await listener.app.seen.get()
            listener.app.release.set()
            await client.responses(1)
            await client.send(b"x" * 100_000 + get())
            assert statuses(await client.responses(2)) == [200, 200]

    async def test_last_response_reaches_a_client_that_is_still_sending(self):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(post("/farewell", b"x" * 500_000, length=1_000_000))
            (response,) = await client.responses()
            assert response.body == b"farewell"
            assert not client.was_reset


class TestDrain:
    async def test_kept_connections_are_served_once_more_and_closed(self):
        async with listening() as listener:
            idle, busy = await listener.connect(), await listener.connect()
            await idle.send(get())
            assert "connection" not in (await idle.responses(1))[0].headers
            await busy.send(get("/hold"))
            await listener.app.seen.get()
            await listener.app.seen.get()

            listener.protocol.drain()
            listener.app.release.set()
            (running,) = await busy.responses()
            await idle.send(get())
            _, later = await idle.responses()

        assert running.headers["connection"] == later.headers["connection"] == "close"

    async def test_shutdown_closes_idle_connections_and_waits_for_busy_ones(self):
        async with listening() as listener:
            idle, refused, busy = [await listener.connect() for _ in range(3)]
            await idle.send(get())
            await idle.responses(1)
            await refused.send(chunked("/a", b"nonsense"))
            await refused.responses(1)
            await busy.send(get("/hold"))
            while listener.app.begun[-1:] != [("GET", b"/hold")]:
                await listener.app.seen.get()

            stopping = asyncio.create_task(listener.server.shutdown())  # noqa: TID251 - a test's own
            await idle.responses()
            await refused.responses()
            assert not stopping.done()
            listener.app.release.set()
            (response,) = await busy.responses()
            assert response.headers["connection"] == "close"
            await stopping


class TestScope:
    async def test_scope_is_that_of_asgi(self):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(chunked("/a", b"0\r\nAuthorization: evil\r\n\r\n") + get("/b", "X-Y:  Z"))
            await client.responses(2)
            port = client.writer.get_extra_info("sockname")[1]
        first, second = listener.app.scopes
        assert second.pop("extensions").keys() == {"fairlead.connection"}
        assert second == {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/b",
            "raw_path": b"/b",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"x"), (b"x-y", b"Z")],
            "client": ("127.0.0.1", port),
            "server": ("127.0.0.1", listener.address[1]),
            "state": {},
        }
        assert first["headers"] == [(b"host", b"x"), (b"transfer-encoding", b"chunked")]

    async def test_space_around_a_value_is_none_of_it(self):
        async with listening() as listener:
            client = await listener.connect()
            fields = ("A: \t b c \t ", "D:", "E: \t", "Expect: 100-continue ")
            await client.send(post("/a", b"", *fields, length=3).replace(b"Host: x", b"Host: x "))
            await client.until(b"100 Continue\r\n\r\n")
            await client.send(b"abc")
            assert statuses(await client.responses(2)) == [100, 200]
        headers = dict(listener.app.scopes[0]["headers"])
        assert (headers[b"host"], headers[b"a"], headers[b"d"], headers[b"e"]) == (b"x", b"b c", b"", b"")

    async def test_nothing_is_left_to_the_cycle_collector(self):
        gc.collect()
        gc.disable()
        earlier = {id(item) for item in gc.get_objects()}  # of other tests, some of which may end only now
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            async with listening(HASTY) as listener:
                client = await listener.connect()
                await client.send(get() + post("/b", b"x") + get("/listen") + get("/queued"))
                for _ in range(3):
                    assert await listener.app.seen.get() == "begun"
                client.reset()
                await listener.until_no_connection()
                listener.app.scopes.clear()
                gc.collect()
                ours = [item for item in gc.garbage if type(item).__module__.startswith("fairlead.")]
                assert [item for item in ours if id(item) not in earlier] == []
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
