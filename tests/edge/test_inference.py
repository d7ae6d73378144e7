"""The handler of chat completions: who is let in, in which order things are checked, what is kept of each request."""

import asyncio
import contextlib
import dataclasses

import pytest

from fairlead.access.keys import from_token, generate
from fairlead.demo.script import Script
from fairlead.edge.asgi import BASES
from fairlead.relay import exchange
from fairlead.store.keys import KeyStore
from fairlead.store.redis import connect
from harness.gateway import KEY, gateway
from harness.http import ask, chat_body, read_answer, request_bytes
from harness.tracing import CALLER, FROM_CALLER, begin_trace, parent_sent

pytestmark = pytest.mark.anyio

PATH = b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\n"
AUTHORIZED = b"authorization: Bearer %b\r\n" % KEY.encode()
EXPECTING = b"expect: 100-continue\r\n"


@contextlib.asynccontextmanager
async def connected(served):
    """A connection; yields its reader and writer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def mistyped():
    key = generate()
    return key[:-1] + ("0" if key[-1] != "0" else "1")


class TestKeys:
    @pytest.mark.parametrize(
        ("key", "headers", "said"),
        [
            (None, [], "Missing Authentication header"),
            (None, [("x-api-key", "")], "Missing Authentication header"),
            (None, [("authorization", f"Basic {KEY}")], "must be 'Bearer <key>'"),
            (None, [("authorization", KEY)], "must be 'Bearer <key>'"),
            (None, [("authorization", "Bearer ")], "must be 'Bearer <key>'"),
            (None, [("authorization", f"Basic {KEY}"), ("x-api-key", KEY)], "must be 'Bearer <key>'"),
            ("sk-other", [], "Unknown API key"),
            (None, [("x-api-key", "sk-other")], "Unknown API key"),
            (mistyped(), [], "mistyped or incomplete"),
            (generate()[:-1], [], "mistyped or incomplete"),
        ],
        ids=range(10),
    )
    async def test_without_one_of_ours_nobody_is_let_in(self, key, headers, said):
        async with gateway(Script()) as served:
            answer = await ask(served, chat_body(), key=key, headers=headers)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="fairlead"'
            error = answer.json["error"]
            assert said in error["message"]
            assert (error["type"], error["metadata"]["error_type"]) == ("authentication_error", "authentication")
            assert not served.simulators[0].requests
            [record] = served.records
            assert (record.status, record.end, record.key_hash, record.attempts) == (401, "error", "", [])

    @pytest.mark.parametrize(
        "header", [("x-api-key", KEY), ("authorization", f"bearer {KEY}"), ("Authorization", f"BEARER  {KEY} ")]
    )
    async def test_other_ways_to_send_one(self, header):
        async with gateway(Script()) as served:
            assert (await ask(served, chat_body(), key=None, headers=[header])).status == 200
            assert served.records[0].key_hash == from_token(KEY, "test").hash

    async def test_a_stored_one_works_until_it_is_disabled(self, redis_url, monkeypatch):
        token = generate()
        key = from_token(token, "stored")
        store = KeyStore(connect(redis_url))
        await store.add(key)
        async with gateway(Script()) as served:
            monkeypatch.setattr(served.keys, "_store", store)
            assert (await ask(served, chat_body(), key=token)).status == 200
            await store.add(dataclasses.replace(key, is_disabled=True))
            served.keys.forget(key.hash)
            answer = await ask(served, chat_body(), key=token)
            assert answer.status == 401
            assert answer.json["error"]["message"] == f"The API key {key.label} is disabled"
            assert [record.key_hash for record in served.records] == [key.hash] * 2
            assert (await ask(served, chat_body(), key=generate())).status == 401
            assert len(served.simulators[0].requests) == 1
        await store._client.aclose()

    async def test_one_that_cannot_be_looked_up_is_not_called_unknown(self):
        async with gateway(Script()) as served:
            answer = await ask(served, chat_body(), key=generate())
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert answer.headers["x-should-retry"] == "true"


class TestOrder:
    """What costs us something is done last."""

    async def test_the_key_is_checked_before_the_body_is_read(self):
        async with gateway() as served, connected(served) as (reader, writer):
            writer.write(PATH + b"content-length: 100\r\n\r\n")  # and none of the body
            assert (await read_answer(reader)).status == 401

    async def test_the_key_is_checked_before_the_length(self):
        async with gateway(max_body_bytes=1000) as served:
            assert (await ask(served, b"x" * 2000, key="sk-other")).status == 401
            assert (await ask(served, b"x" * 2000)).status == 413

    async def test_a_body_that_says_it_is_too_large_is_not_waited_for(self):
        async with gateway(Script(), max_body_bytes=1000) as served, connected(served) as (reader, writer):
            writer.write(PATH + AUTHORIZED + b"content-length: 1001\r\n\r\n")
            answer = await read_answer(reader)
            assert (answer.status, answer.headers["connection"]) == (413, "close")
            assert "FAIRLEAD_MAX_BODY_BYTES" in answer.json["error"]["message"]
            assert await reader.read() == b""

    async def test_a_body_in_chunks_is_read_up_to_the_limit(self):
        async with gateway(Script(), max_body_bytes=1000) as served, connected(served) as (reader, writer):
            writer.write(
                PATH + AUTHORIZED + b"transfer-encoding: chunked\r\n\r\n" + b"1f4\r\n%b\r\n" % (b"x" * 500) * 3
            )
            assert (await read_answer(reader)).status == 413  # its end has not come

    async def test_a_body_in_chunks_that_comes_all_at_once_is_held_to_the_limit_too(self):
        body = chat_body("x" * 1000)
        chunked = PATH + AUTHORIZED + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        async with gateway(Script(), max_body_bytes=1000) as served, connected(served) as (reader, writer):
            writer.write(chunked)
            assert (await read_answer(reader)).status == 413
            assert not served.simulators[0].requests
        async with gateway(Script(), max_body_bytes=len(body)) as served, connected(served) as (reader, writer):
            writer.write(chunked)
            assert (await read_answer(reader)).status == 200

    @pytest.mark.parametrize(
        ("fields", "status"),
        [(b"content-length: 10\r\n", 401), (AUTHORIZED + b"content-length: 1001\r\n", 413)],
    )
    async def test_who_is_refused_is_not_asked_for_the_body(self, fields, status):
        async with gateway(max_body_bytes=1000) as served, connected(served) as (reader, writer):
            writer.write(PATH + EXPECTING + fields + b"\r\n")
            assert (await read_answer(reader)).status == status  # and not 100
            assert await reader.read() == b""

    async def test_who_is_let_in_is_asked_for_it(self):
        body = chat_body()
        async with gateway(Script()) as served, connected(served) as (reader, writer):
            writer.write(PATH + EXPECTING + AUTHORIZED + b"content-length: %d\r\n\r\n" % len(body))
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
            assert (await read_answer(reader)).status == 200


class TestRequestId:
    @pytest.mark.parametrize("mine", ["a", "Az09_.:/@-", "x" * 128])
    async def test_it_is_the_callers(self, mine):
        async with gateway(Script()) as served:
            answer = await ask(served, chat_body(), headers=[("X-Request-ID", mine)])
            assert answer.headers["x-request-id"] == served.records[0].request_id == mine
            assert answer.headers["x-generation-id"] != mine
            refusal = await ask(served, b"", headers=[("x-request-id", mine)])
            assert (refusal.status, refusal.headers["x-request-id"]) == (400, mine)

    @pytest.mark.parametrize("mine", ["", "a b", "x" * 129, 'a"', "a\\", "é", "a,b", "%0a", "<b>"])
    async def test_unless_it_could_do_harm_in_a_log(self, mine):
        async with gateway(Script()) as served:
            answer = await ask(served, chat_body(), headers=[("x-request-id", mine)])
            assert answer.headers["x-request-id"] == answer.headers["x-generation-id"] == served.records[0].id
            assert served.simulators[0].requests[0].header("x-request-id") == served.records[0].id

    async def test_each_request_has_an_id_of_its_own(self):
        async with gateway(Script()) as served:
            for _ in range(3):
                await ask(served, chat_body())
            assert len({record.id for record in served.records}) == 3


class TestRecord:
    async def test_one_is_kept_of_each_request_whatever_became_of_it(self):
        async with gateway(Script(), max_body_bytes=1000) as served:
            asked = [
                (chat_body(), {}, 200, "ok"),
                (chat_body(stream=True), {}, 200, "ok"),
                (chat_body(), {"key": None}, 401, "error"),
                (b"not JSON", {}, 400, "error"),
                (chat_body(model="acme/none"), {}, 400, "error"),
                (b"x" * 1001, {}, 413, "error"),
            ]
            for body, options, status, end in asked:
                assert (await ask(served, body, **options)).status == status
                assert (served.records[-1].status, served.records[-1].end) == (status, end)
            assert len(served.records) == len(asked)
            assert all(record.ended_at >= record.started_at for record in served.records)
            assert [record.is_stream for record in served.records] == [False, True, False, False, False, False]
            assert served.drain.in_flight == 0

    async def test_a_caller_that_leaves_before_its_body_has_come(self):
        async with gateway() as served:
            async with connected(served) as (_, writer):
                writer.write(PATH + AUTHORIZED + b"content-length: 100\r\n\r\n{")
                await served.until(lambda: served.drain.in_flight)
            await served.until(lambda: served.records)
            [record] = served.records
            assert (record.status, record.end, record.key_hash) == (499, "gone", from_token(KEY, "test").hash)
            assert served.drain.in_flight == 0


class TestFaultOfOurs:
    async def test_it_is_masked_and_reported_and_the_worker_goes_on(self, monkeypatch):
        async with gateway(Script()) as served:
            with monkeypatch.context() as broken:
                broken.setattr(exchange, "plan_request", lambda *_: 1 / 0)
                answer = await ask(served, chat_body())
            assert answer.status == 500
            assert answer.json["error"]["message"] == "Internal error"
            assert answer.json["error"]["metadata"] == {"error_type": "server"}
            [(what, fault)] = served.faults
            [record] = served.records
            assert what == f"request {record.request_id}"
            assert isinstance(fault, ZeroDivisionError)
            assert (record.status, record.end, record.error) == (500, "error", "Internal error")
            assert (await ask(served, chat_body())).status == 200
            served.faults.clear()

    async def test_in_the_middle_of_a_reply_it_breaks_the_connection(self, monkeypatch):
        async def fail(reply, content, downstream, *more, **options):
            downstream.write(content, is_last=False)
            raise ZeroDivisionError

        monkeypatch.setattr("fairlead.relay.deliver.pump", fail)
        async with gateway(Script()) as served:
            answer = await ask(served, chat_body(stream=True))
            assert (answer.status, answer.is_whole) == (200, False)
            assert (served.records[0].status, served.records[0].end) == (200, "error")
            assert len(served.faults) == 1
            served.faults.clear()


class TestPipelining:
    async def test_replies_come_in_the_order_of_the_requests(self):
        slow = chat_body("slow", stream=True)
        async with gateway(Script()) as served, connected(served) as (reader, writer):
            simulator = served.simulators[0]
            simulator.queue += [Script(text="slow", first_byte_delay_s=0.05), Script(text="quick")]
            writer.write(
                request_bytes(slow)
                + request_bytes(chat_body(), headers=[("x-request-id", "second")])
                + request_bytes(b"not JSON")
                + request_bytes(chat_body(), key=None)
            )
            first, *others = [await read_answer(reader) for _ in range(4)]
            assert b"slow" in first.body
            assert first.is_whole
            assert [answer.status for answer in others] == [200, 400, 401]
            assert others[0].headers["x-request-id"] == "second"
            assert b"quick" in others[0].body
            assert [record.status for record in served.records] == [200, 200, 400, 401]

    @pytest.mark.parametrize("is_gone", [True, False], ids=["it leaves", "the time is over"])
    async def test_a_refusal_waits_for_a_caller_that_takes_no_reply_until(self, is_gone, caplog):
        async with gateway(Script(body=b"x" * 100_000)) as served, connected(served) as (_, writer):

            def waiting():
                return [downstream for downstream in served.drain._open if downstream.is_slow]

            sent = 0
            while not waiting():
                writer.write(request_bytes(chat_body()) + request_bytes(b"not JSON"))
                sent += 2
                await served.until(lambda sent=sent: len(served.records) == sent or waiting())
            assert len(served.records) == sent - 1
            if is_gone:
                writer.transport.abort()
            else:
                served.drain.expire()
            await served.until(lambda: len(served.records) == sent)
            assert (served.records[-1].status, served.records[-1].end) == (499, "error")
        assert not caplog.records


@pytest.mark.parametrize("base", BASES)
async def test_a_gateway_that_drains_serves_what_comes_all_the_same(base):
    async with gateway(Script()) as served:
        served.drain.begin()
        assert (await ask(served, chat_body(), path=f"{base}/chat/completions")).status == 200


class TestTraces:
    """What the attempts make of it is in relay/test_attempts.py."""

    @pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v1/chat/completions", "/v1/responses"])
    async def test_a_request_is_part_of_its_callers(self, path):
        async with gateway(Script(), begin_trace=begin_trace) as served:
            body = chat_body() if "chat" in path else b'{"model":"acme/large","input":"hi"}'
            assert (await ask(served, body, path=path, headers=[FROM_CALLER])).status == 200
            [record] = served.records
            assert (record.trace.trace_id, record.trace.parent_id) == (CALLER.trace_id, CALLER.span_id)
            [received] = served.simulators[0].requests
            assert parent_sent(received).trace_id == CALLER.trace_id

    async def test_a_refusal_has_one_too(self):
        async with gateway(Script(), begin_trace=begin_trace) as served:
            await ask(served, chat_body(), key="sk-nobodys", headers=[FROM_CALLER])
            assert [record.trace.trace_id for record in served.records] == [CALLER.trace_id]

    async def test_who_is_in_two_traces_is_in_none(self):
        async with gateway(Script(), begin_trace=begin_trace) as served:
            await ask(served, chat_body(), headers=[FROM_CALLER, FROM_CALLER, ("tracestate", "acme=1")])
            [received] = served.simulators[0].requests
            assert parent_sent(received).trace_id == served.records[0].trace.trace_id != CALLER.trace_id
            assert received.header("tracestate") is None

    async def test_with_traces_off_what_comes_goes_up_as_it_is(self):
        async with gateway(Script()) as served:
            await ask(served, chat_body(), headers=[FROM_CALLER, ("tracestate", "acme=1")])
            [received] = served.simulators[0].requests
            assert (parent_sent(received), received.header("tracestate")) == (CALLER, "acme=1")
