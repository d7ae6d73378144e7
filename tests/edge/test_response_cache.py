"""The rows of wire-api, section 11, on real sockets with a real store: what is kept, for whom, how it is told again."""

import asyncio
import contextlib
import dataclasses
import functools
import gc
import json
import socket
from types import SimpleNamespace

import pytest

from fairlead.access.keys import from_token
from fairlead.catalog.model import Timeouts
from fairlead.demo.script import Script
from fairlead.edge.asgi import BASES
from fairlead.edge.response_cache import PIECE_BYTES, Recorder, ResponseCache
from fairlead.relay.exchange import Caller
from fairlead.store import response_cache
from fairlead.store.redis import connect
from fairlead.store.response_cache import SLOT, Entry, ResponseStore
from fairlead.store.till import Hold
from fairlead.tasks import Tasks
from fairlead.wire.cache_key import PresetCache, cache_key
from fairlead.wire.preset import Preset
from harness.gateway import KEY, MODEL, gateway
from harness.http import ask, chat_body, events, read_answer, request_bytes

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patience")]

ON = ("x-openrouter-cache", "true")
CLEAR = ("x-openrouter-cache-clear", "true")
OTHER = "sk-other"
CALLS = {
    "id": "chatcmpl-7", "object": "chat.completion", "created": 17, "model": "large-v1",
    "choices": [{
        "index": 0, "finish_reason": "tool_calls",
        "message": {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        ]},
    }],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
}  # fmt: skip
EVENTS_HEAD = (("content-type", "text/event-stream"),)


def status(answer):
    return answer.status, answer.headers.get("x-openrouter-cache-status")


MISS, HIT, PLAIN = (200, "MISS"), (200, "HIT"), (200, None)


@pytest.fixture
def patience(monkeypatch):
    """On a busy machine Redis is none that is away."""
    monkeypatch.setattr(response_cache, "WAIT_S", 10.0)


class Cached:
    """A gateway with a cache; `patient` waits until all that is to be kept has been."""

    def __init__(self, served, tasks, client, max_entry_bytes):
        self.served = served
        self.tasks = tasks
        self.client = client
        self.store = ResponseStore(client, tasks, max_entry_bytes, 1 << 26)
        self.handler = served.app._hot["/v1/chat/completions"]
        self.handler._cache = ResponseCache(self.store, tasks, max_entry_bytes)

    @property
    def asked(self):
        """How often a provider was."""
        return sum(len(simulator.requests) for simulator in self.served.simulators)

    async def ask(self, body=None, *headers, **options):
        answer = await ask(self.served, chat_body() if body is None else body, headers=[ON, *headers], **options)
        await self.served.until(lambda: not self.tasks._running)
        return answer

    def forget_front(self):
        """As another worker, which has to ask the store."""
        self.store._front = response_cache.Front()

    async def entries(self):
        return [key for key in await self.client.keys(f"{SLOT}*") if len(key) == len(SLOT) + 64]


@pytest.fixture
async def cached(redis_url):
    """Makes gateways with a cache, of an empty store that all of a test share."""
    async with contextlib.AsyncExitStack() as stack:

        @contextlib.asynccontextmanager
        async def cached(*scripts, url=redis_url, max_entry_bytes=1 << 20, **options):
            faults = []
            tasks, client = Tasks(lambda *fault: faults.append(fault)), connect(url)
            async with contextlib.aclosing(client), gateway(*scripts, **options) as served:
                served.keys._fixed[from_token(OTHER, "").hash] = from_token(OTHER, "other")
                yield Cached(served, tasks, client, max_entry_bytes)
                await tasks.close()
            assert not faults

        client = connect(redis_url)
        stack.push_async_callback(client.aclose)
        await client.flushdb()
        yield cached


def content_of(answer):
    """What is neither new nor a count of what was used."""
    if answer.headers["content-type"] == "application/json":
        return {name: value for name, value in answer.json.items() if name not in ("id", "created", "usage")}
    *told, done = events(answer.body)
    assert done == b"[DONE]"
    return [
        {name: value for name, value in json.loads(event).items() if name not in ("id", "created", "usage")}
        for event in told
    ]


class TestEnable:
    @pytest.mark.parametrize("value", [None, "false", "0", "yes", ""])
    async def test_without_being_asked_for_it_does_nothing(self, cached, value):
        async with cached(Script()) as one:
            for _ in range(2):
                answer = await ask(one.served, chat_body(), headers=[(ON[0], value)] if value is not None else [])
                assert status(answer) == PLAIN
            assert one.asked == 2
            assert not await one.client.keys(f"{SLOT}*")

    async def test_where_there_is_none_asking_for_it_changes_nothing(self, cached):
        async with cached(Script()) as one:
            one.handler._cache = None
            assert [status(await one.ask()) for _ in range(2)] == [PLAIN, PLAIN]

    @pytest.mark.parametrize(
        ("preset", "header", "wanted", "ttl_s"),
        [
            (PresetCache(True, 60), None, MISS, "60"),
            (PresetCache(True, 60), "false", PLAIN, None),
            (PresetCache(False), "true", PLAIN, None),
            (PresetCache(None, 60), "true", MISS, "60"),
            (PresetCache(None, 60), None, PLAIN, None),
        ],
    )
    async def test_a_preset_can_say_so_too(self, cached, preset, header, wanted, ttl_s):
        class Presets:
            def default(self):
                return Preset("p", {}, cache=preset)

        async with cached(Script()) as one:
            one.handler._presets = Presets()
            answer = await ask(one.served, chat_body(), headers=[] if header is None else [(ON[0], header)])
            assert status(answer) == wanted
            assert answer.headers.get("x-openrouter-cache-ttl") == ttl_s

    async def test_a_key_that_demands_that_nothing_is_kept(self):
        key = dataclasses.replace(from_token(OTHER, "other"), preferences='{"zdr":true}')
        given, downstream = [], object()

        async def run(*arguments):
            given.append(arguments)

        cache = ResponseCache(None, None, 0)  # neither is asked
        await cache.answer("/v1", {b"x-openrouter-cache": b"true"}, None, Caller(key), downstream, None, run)
        assert given == [(downstream, None)]

    async def test_a_request_that_demands_it_is_served_all_the_same(self, cached):
        """`provider.zdr` has no influence; said of an endpoint that has none it is refused as ever."""
        async with cached(Script()) as one:
            body = chat_body(provider={"data_collection": "allow"})
            assert [status(await one.ask(body)) for _ in range(2)] == [MISS, HIT]


class TestTtl:
    @pytest.mark.parametrize(
        ("said", "ttl_s"), [(None, 300), ("60abc", 60), ("1.5", 1), ("x", 300), ("0", 1), ("100000", 86400)]
    )
    async def test_what_is_said_is_kept_to(self, cached, said, ttl_s):
        async with cached(Script()) as one:
            headers = [("x-openrouter-cache-ttl", said)] if said is not None else []
            answer = await one.ask(None, *headers)
            assert (status(answer), answer.headers["x-openrouter-cache-ttl"]) == (MISS, str(ttl_s))
            (entry,) = await one.entries()
            assert 0 < await one.client.pttl(entry) <= ttl_s * 1000

    async def test_a_hit_tells_its_age_and_what_is_left(self, cached):
        async with cached(Script()) as one:
            miss = await one.ask()
            assert "x-openrouter-cache-age" not in miss.headers
            assert "x-openrouter-cache-source-id" not in miss.headers
            (entry,) = await one.entries()
            await one.client.pexpire(entry, 199_500)
            one.forget_front()
            hit = await one.ask(None, ("x-openrouter-cache-ttl", "9"))
            told = {name: value for name, value in hit.headers.items() if name.startswith("x-openrouter")}
            assert told == {
                "x-openrouter-cache-status": "HIT", "x-openrouter-cache-age": "100", "x-openrouter-cache-ttl": "200",
                "x-openrouter-cache-source-id": miss.headers["x-generation-id"],
            }  # fmt: skip

    async def test_what_has_expired_is_asked_again(self, cached):
        async with cached(Script()) as one:
            await one.ask()
            (entry,) = await one.entries()
            await one.client.pexpire(entry, 0)
            one.forget_front()
            assert status(await one.ask()) == MISS


async def test_a_refresh_forgets_and_keeps_anew(cached):
    async with cached(Script(text="old"), max_attempts=1) as one:
        await one.ask()
        other = chat_body("something else")
        await one.ask(other)
        one.served.simulators[0].script = Script(text="new")
        assert status(refreshed := await one.ask(None, CLEAR)) == MISS
        assert status(again := await one.ask()) == HIT
        assert content_of(again) == content_of(refreshed)
        assert again.headers["x-openrouter-cache-source-id"] == refreshed.headers["x-generation-id"]
        assert status(await one.ask(other)) == HIT  # of another request
        one.served.simulators[0].script = Script(status=400)
        assert (await one.ask(None, CLEAR)).status == 400
        assert status(await one.ask()) == (400, None)  # the old one is gone


class TestKey:
    async def test_white_space_does_not_count(self, cached):
        async with cached(Script()) as one:
            value = json.loads(chat_body())
            await one.ask(json.dumps(value, separators=(",", ":")).encode())
            assert status(await one.ask(json.dumps(value, indent=4).encode())) == HIT

    async def test_the_order_of_members_counts(self, cached):
        async with cached(Script()) as one:
            value = json.loads(chat_body())
            await one.ask(json.dumps(value).encode())
            assert status(await one.ask(json.dumps(dict(reversed(value.items()))).encode())) == MISS

    async def test_another_key_never_gets_it(self, cached):
        async with cached(Script()) as one:
            assert status(await one.ask()) == MISS
            assert status(await one.ask(key=OTHER)) == MISS
            hits = [await one.ask(key=key) for key in (KEY, OTHER)]
            assert list(map(status, hits)) == [HIT, HIT]
            assert len({hit.headers["x-openrouter-cache-source-id"] for hit in hits}) == 2

    async def test_what_is_left_out_is_not_what_is_the_default(self, cached):
        async with cached(Script()) as one:
            assert [status(await one.ask(chat_body(**members))) for members in ({}, {"stream": False}, {"n": 1})] == [
                MISS, MISS, MISS,
            ]  # fmt: skip

    async def test_model_stream_and_path_count(self, cached):
        async with cached(Script()) as one:
            asked = [(chat_body(), "/v1"), (chat_body(model="large"), "/v1"), (chat_body(stream=True), "/v1")]
            asked += [(chat_body(), base) for base in BASES[1:]]
            for wanted in (MISS, HIT):
                for body, base in asked:
                    assert status(await one.ask(body, path=f"{base}/chat/completions")) == wanted

    async def test_other_headers_do_not_count(self, cached):
        async with cached(Script()) as one:
            await one.ask(None, ("x-title", "an app"), ("http-referer", "https://app.example"))
            assert status(await one.ask(None, ("user-agent", "curl"), ("x-request-id", "7"))) == HIT

    async def test_a_long_body_counts_to_its_end(self, cached):
        async with cached(Script(), max_body_bytes=1 << 21) as one:
            image = "data:image/png;base64," + "A" * 300_000
            assert [status(await one.ask(chat_body(image + end))) for end in ("A", "B", "A")] == [MISS, MISS, HIT]


class TestHit:
    @pytest.mark.parametrize(
        "stream", [{}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}]
    )
    async def test_it_says_the_same_anew_and_costs_nothing(self, cached, stream):
        async with cached(Script(text="one two three")) as one:
            miss, hit = [await one.ask(chat_body(**stream)) for _ in range(2)]
            assert (status(miss), status(hit), one.asked) == (MISS, HIT, 1)
            assert content_of(hit) == content_of(miss)
            asked, told = one.served.records
            told_id = hit.headers["x-generation-id"]
            assert told_id == told.id != asked.id
            chunks = [hit.json] if not stream else [json.loads(event) for event in events(hit.body)[:-1]]
            assert {chunk["id"] for chunk in chunks} == {told_id}
            assert {chunk["created"] for chunk in chunks} == {int(told.started_unix)}
            usage = chunks[-1]["usage"]
            assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (0, 0, 0)
            assert (usage["cost"], usage["cost_details"]["upstream_inference_prompt_cost"]) == (0, 0)
            assert usage["prompt_tokens_details"] == {"cached_tokens": 0}
            for name in ("content-type", "cache-control", "x-fairlead-provider", "x-fairlead-model"):
                assert hit.headers.get(name) == miss.headers.get(name)

    async def test_a_stream_is_one(self, cached):
        async with cached(Script()) as one:
            miss, hit = [await one.ask(chat_body(stream=True)) for _ in range(2)]
            assert hit.headers["content-type"] == miss.headers["content-type"] == "text/event-stream"
            assert "content-length" not in hit.headers
            assert hit.is_whole
            assert hit.body.endswith(b"data: [DONE]\n\n")

    async def test_what_is_kept_of_it(self, cached):
        async with cached(Script(text="one two")) as one:
            for _ in range(2):
                await one.ask(None, ("x-request-id", "r-1"), ("x-title", "App"))
            asked, told = one.served.records
            assert told.response_cache_source_id == asked.id
            assert asked.response_cache_source_id == ""
            assert (told.status, told.end, told.model, told.provider) == (200, "ok", MODEL, "sim0")
            assert (told.finish_reason, told.request_id, told.app.title) == ("stop", "r-1", "App")
            assert (told.cost_usd_nanos, told.usage.prompt_tokens, told.usage.completion_tokens) == (0, 0, 0)
            assert (told.attempts, told.is_free, told.is_estimated) == ([], False, False)
            assert asked.cost_usd_nanos > 0
            assert told.started_at <= told.first_content_at <= told.ended_at

    @pytest.mark.parametrize("stream", [False, True])
    async def test_metadata_of_routing_is_not_repeated(self, cached, stream):
        async with cached(Script()) as one:
            miss, hit = [
                await one.ask(
                    chat_body(stream=stream), ("x-openrouter-metadata", "enabled"), path="/api/v1/chat/completions"
                )
                for _ in range(2)
            ]
            assert (status(miss), status(hit)) == (MISS, HIT)
            assert b'"openrouter_metadata"' in miss.body
            assert b'"openrouter_metadata"' not in hit.body

    async def test_of_a_hit_there_is_no_copy(self, cached):
        """It tells where it comes from, not where that came from; and its time does not begin anew."""
        async with cached(Script()) as one:
            asked = (await one.ask()).headers["x-generation-id"]
            (entry,) = await one.entries()
            await one.client.pexpire(entry, 100_000)
            for _ in range(3):
                one.forget_front()
                hit = await one.ask()
                assert hit.headers["x-openrouter-cache-source-id"] == asked
                assert int(hit.headers["x-openrouter-cache-ttl"]) <= 100

    async def test_no_provider_is_needed(self, cached):
        async with cached(Script(), Script(), max_attempts=2) as one:
            await one.ask()
            for simulator in one.served.simulators:
                await simulator.close()
            assert status(await one.ask()) == HIT
            assert (await one.ask(chat_body("else"))).status == 502

    async def test_nothing_is_reserved_and_the_place_is_given_back(self, cached, monkeypatch):
        """What it has taken of the key's requests stays taken."""
        async with cached(Script()) as one:
            reserved = []

            async def enter(_):
                return Hold(SimpleNamespace(requests=None, tokens=None), 0.0)

            async def reserve(_, worst):
                reserved.append(worst)

            monkeypatch.setattr(one.served.till, "is_unlimited", lambda _: False)
            monkeypatch.setattr(one.served.till, "enter", enter)
            monkeypatch.setattr(one.served.till, "reserve", reserve)
            assert [status(await one.ask()) for _ in range(2)] == [MISS, HIT]
            assert len(reserved) == 1
            assert all(isinstance(record.hold, Hold) for record in one.served.records)


class TestKeysOwnChecks:
    @pytest.mark.parametrize(
        ("changes", "wanted"),
        [
            ({"is_disabled": True}, 401),
            ({"expires": 1}, 401),
            ({"is_management": True}, 403),
            ({"allowed_models": ("other/*",)}, 403),
            ({"allowed_providers": ("other",)}, 403),
            ({"allowed_models": ("acme/*",), "allowed_providers": ("sim*",)}, 200),
        ],
    )
    async def test_a_hit_is_for_who_may_ask(self, cached, changes, wanted):
        async with cached(Script()) as one:
            await one.ask(key=OTHER)
            key = from_token(OTHER, "other")
            one.served.keys._fixed[key.hash] = dataclasses.replace(key, **changes)
            answer = await one.ask(key=OTHER)
            assert status(answer) == (wanted, "HIT" if wanted == 200 else None)

    async def test_without_a_key_there_is_nothing(self, cached):
        async with cached(Script()) as one:
            await one.ask()
            assert status(await one.ask(key=None)) == (401, None)


class TestKept:
    """Only what is complete."""

    @pytest.mark.parametrize(
        "script",
        [
            Script(cut_after=3), Script(cut_after=3, cut="reset"), Script(cut_after=3, cut_inside="event"),
            Script(error_in_stream=2), Script(missing_finish=True), Script(malformed_event=2),
        ],
        ids=["cut", "reset", "in an event", "error", "no finish", "no JSON"],
    )  # fmt: skip
    async def test_no_broken_stream(self, cached, script):
        async with cached(script, max_attempts=1) as one:
            body = chat_body(stream=True)
            assert status(await one.ask(body)) == MISS
            assert not await one.entries()
            one.served.simulators[0].script = Script()
            assert status(await one.ask(body)) == MISS

    @pytest.mark.parametrize(
        ("script", "wanted"),
        [
            (Script(status=429), 429), (Script(status=400), 400), (Script(status=500), 502),
            (Script(truncate_length=9), 200), (Script(hang=True), 504),
        ],
    )  # fmt: skip
    async def test_no_error_and_no_part(self, cached, script, wanted):
        async with cached(script, max_attempts=1, timeouts=Timeouts(first_byte_s=0.2)) as one:
            answer = await one.ask()
            assert answer.status in (wanted, 502, 503)
            assert answer.headers.get("x-openrouter-cache-status") == ("MISS" if answer.status == 200 else None)
            assert not await one.entries()

    async def test_no_reply_whose_reason_is_an_error(self, cached):
        choice = {**CALLS["choices"][0], "finish_reason": "error"}
        async with cached(Script(body=json.dumps({**CALLS, "choices": [choice]}).encode())) as one:
            assert (await one.ask()).status == 502
            assert not await one.entries()

    async def test_a_stream_that_ends_without_done_is_told_with_it(self, cached):
        async with cached(Script(missing_done=True)) as one:
            miss, hit = [await one.ask(chat_body(stream=True)) for _ in range(2)]
            assert b"[DONE]" not in miss.body
            assert (status(hit), events(hit.body)[-1]) == (HIT, b"[DONE]")

    async def test_calls_of_tools(self, cached):
        async with cached(Script(body=json.dumps(CALLS).encode())) as one:
            miss, hit = [
                await one.ask(chat_body(tools=[{"type": "function", "function": {"name": "f"}}])) for _ in range(2)
            ]
            assert (status(hit), hit.json["choices"], miss.json["id"]) == (HIT, CALLS["choices"], "chatcmpl-7")

    async def test_calls_of_tools_in_a_stream(self, cached):
        deltas = [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f"}}],
            },
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"id": "chatcmpl-7"}'}}]},
        ]
        chunks = [{"id": "chatcmpl-7", "created": 1, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        chunks.append({"id": "chatcmpl-7", "created": 1, "choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
        body = b"".join(b"data: %b\r\n\r\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\r\n\r\n"
        async with cached(Script(body=body, headers=EVENTS_HEAD)) as one:
            _, hit = [await one.ask(chat_body(stream=True)) for _ in range(2)]
            assert status(hit) == HIT
            assert [json.loads(event)["choices"] for event in events(hit.body)[:-1]] == [
                one["choices"] for one in chunks
            ]

    async def test_a_reply_that_is_compressed_for_us_is_kept_as_the_caller_got_it(self, cached):
        async with cached(Script(encoding="gzip")) as one:
            miss, hit = [await one.ask() for _ in range(2)]
            assert (status(hit), content_of(hit)) == (HIT, content_of(miss))

    async def test_none_that_nobody_here_can_read(self, cached):
        async with cached(Script(encoding="br")) as one:
            assert (await one.ask()).headers["content-encoding"] == "br"
            assert not await one.entries()

    @pytest.mark.parametrize("stream", [False, True])
    async def test_none_that_is_too_long(self, cached, stream):
        async with cached(Script(text="word " * 2_000), max_entry_bytes=5_000) as one:
            body = chat_body(stream=stream)
            answers = [await one.ask(body) for _ in range(2)]
            assert list(map(status, answers)) == [MISS, MISS]
            assert all(answer.is_whole for answer in answers)
            assert not await one.entries()

    async def test_a_long_one(self, cached):
        async with cached(Script(text="word " * 3_000)) as one:
            body = chat_body(stream=True)
            miss = await one.ask(body)
            one.forget_front()
            hit = await one.ask(body)
            assert (status(hit), hit.is_whole, content_of(hit)) == (HIT, True, content_of(miss))
            assert len(hit.body) > PIECE_BYTES

    async def test_a_corrupt_one_is_none(self, cached):
        async with cached(Script()) as one:
            await one.ask()
            (entry,) = await one.entries()
            kept = await one.client.get(entry)
            for broken in (kept[:-3], b"", b"\x07" + kept[1:], kept[:9] + b"xx" + kept[11:]):
                await one.client.set(entry, broken, ex=100)
                one.forget_front()
                assert status(await one.ask()) == MISS
                one.forget_front()
                assert status(await one.ask()) == HIT  # and has been replaced

    async def test_same_requests_at_the_same_time_are_each_asked(self, cached):
        async with cached(Script(first_byte_delay_s=0.05)) as one:
            answers = await asyncio.gather(*(one.ask() for _ in range(3)))
            assert list(map(status, answers)) == [MISS] * 3
            assert one.asked == 3


class TestWorkers:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_they_share_entries(self, cached, stream):
        async with cached(Script()) as one, cached(Script()) as two:
            body = chat_body(stream=stream)
            miss, hit = await one.ask(body), await two.ask(body)
            assert (status(miss), status(hit), content_of(hit)) == (MISS, HIT, content_of(miss))
            assert hit.headers["x-openrouter-cache-source-id"] == miss.headers["x-generation-id"]
            assert two.asked == 0

    async def test_and_clear_them_for_all(self, cached):
        async with cached(Script(text="old")) as one, cached(Script(text="new")) as two:
            await one.ask()
            refreshed = await two.ask(None, CLEAR)
            one.forget_front()  # after a second at the latest
            assert content_of(await one.ask()) == content_of(refreshed)

    async def test_without_the_store_requests_are_served(self, cached, monkeypatch):
        async with cached(Script(), url="unix:///nonexistent.sock") as one:
            monkeypatch.setattr(response_cache, "FRONT_S", 0.0)
            assert [status(await one.ask()) for _ in range(2)] == [MISS, MISS]


class TestCallers:
    @pytest.fixture
    async def long(self, cached):
        """A gateway with an entry of more than sockets hold, and a caller that has asked for it and takes nothing."""
        body = chat_body(stream=True)
        key = from_token(KEY, "").hash
        name = cache_key(body, path="/v1/chat/completions", api_key=key, model=MODEL, is_stream=True)
        event = b'data: {"id":\x00,"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"x" * 1_000)
        template = 12_000 * event + b"data: [DONE]\n\n"
        async with cached(max_entry_bytes=1 << 24) as one:
            await one.store.put(name, Entry("gen-0", 300, MODEL, "sim0", "stop", [], template))
            reader, one.caller = await calling(one.served.port, receive_buffer=4_096)
            one.read_answer = functools.partial(read_answer, reader)
            one.request = request_bytes(body, headers=[ON])
            one.caller.write(one.request)
            yield one
            one.caller.transport.abort()
            with contextlib.suppress(ConnectionError):
                await one.caller.wait_closed()

    async def begun(self, one):
        await one.served.until(lambda: any(record.first_content_at for record in one.handler.running()))

    async def ended(self, one):
        await one.served.until(lambda: one.served._finished)
        (record,) = one.served.records
        assert record.response_cache_source_id == "gen-0"
        assert record.cost_usd_nanos == 0
        return record

    async def test_one_who_is_slow_gets_it_all(self, long):
        await self.begun(long)
        answer = await long.read_answer()
        assert (status(answer), answer.is_whole) == (HIT, True)
        assert answer.body.count(b'data: {"id":"%b"' % answer.headers["x-generation-id"].encode()) == 12_000
        assert (await self.ended(long)).end == "ok"

    async def test_one_who_leaves(self, long):
        await self.begun(long)
        long.caller.transport.abort()
        record = await self.ended(long)
        assert (record.status, record.end) == (200, "gone")

    async def test_one_who_never_takes_it(self, long, monkeypatch):
        await self.begun(long)
        long.caller.transport.abort()
        await self.ended(long)
        long.served._finished.clear()
        monkeypatch.setattr("fairlead.edge.response_cache.REPLAY_S", 0.01)
        _, caller = await calling(long.served.port, receive_buffer=4_096)
        caller.write(long.request)
        assert (await self.ended(long)).end == "cut"
        caller.transport.abort()

    async def test_one_who_is_slow_when_the_gateway_ends(self, long):
        await self.begun(long)
        long.served.drain.expire()
        assert (await self.ended(long)).end == "drained"
        assert not (await long.read_answer()).is_whole

    async def test_two_requests_on_one_connection(self, cached):
        async with cached(Script()) as one:
            await one.ask()
            reader, writer = await asyncio.open_connection("127.0.0.1", one.served.port)
            writer.write(2 * request_bytes(chat_body(), headers=[ON]))
            assert [status(await read_answer(reader)) for _ in range(2)] == [HIT, HIT]
            writer.close()
            await writer.wait_closed()


async def calling(port, receive_buffer):
    """A connection of which the kernel keeps little."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(("127.0.0.1", port))
    return await asyncio.open_connection(sock=sock, limit=4_096)


@pytest.mark.parametrize("stream", [False, True])
async def test_all_of_it_is_freed_without_the_cycle_collector(cached, stream):
    """Bodies and replies hang on it, which may have megabytes."""
    async with cached(Script()) as one:
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            body = chat_body(stream=stream)
            answers = [await one.ask(body), await one.ask(body), await one.ask(body, CLEAR)]
            one.forget_front()
            answers.append(await one.ask(body))
            assert list(map(status, answers)) == [MISS, HIT, MISS, HIT]
            await asyncio.sleep(0)
            gc.collect()
            garbage = {type(item).__name__ for item in gc.garbage}
            assert not garbage & {
                "ChatRequest",
                "Recorder",
                "Entry",
                "Hit",
                "ExchangeRecord",
                "StreamTemplate",
                "partial",
            }
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()


class Deaf:
    """A caller's side that notes what it is told."""

    is_gone, is_expired, is_started, is_slow = True, False, True, True

    def __init__(self):
        self.told = []

    def start(self, status, headers):
        self.told.append((status, headers))

    def write(self, data, *, is_last):
        self.told.append((data, is_last))

    def abort(self):
        self.told.append("abort")

    def drained(self):
        return "drained"


class TestRecorder:
    def test_it_passes_everything_on(self):
        downstream = Deaf()
        recorder = Recorder(downstream, 60, 100)
        recorder.start(200, [(b"content-type", b"text/plain"), (b"x-other", b"1")])
        recorder.write(b"a", is_last=False)
        recorder.write(b"b", is_last=True)
        recorder.abort()
        assert downstream.told == [
            (200, [
                (b"content-type", b"text/plain"), (b"x-other", b"1"), (b"x-openrouter-cache-status", b"MISS"),
                (b"x-openrouter-cache-ttl", b"60"),
            ]),
            (b"a", False), (b"b", True), "abort",
        ]  # fmt: skip
        assert (recorder.is_gone, recorder.is_expired, recorder.is_started, recorder.is_slow) == (
            True,
            False,
            True,
            True,
        )
        assert recorder.drained() == "drained"
        assert recorder.body() == b"ab"
        assert recorder.kept_headers == [(b"content-type", b"text/plain")]

    @pytest.mark.parametrize(
        ("status", "headers", "parts"),
        [
            (200, [], [(b"a", False)]),
            (200, [], []),
            (429, [], [(b"a", True)]),
            (200, [(b"content-encoding", b"br")], [(b"a", True)]),
            (200, [], [(b"a" * 60, False), (b"a" * 60, False), (b"", True)]),
            (200, [], [(b"a" * 101, True)]),
        ],
        ids=["not ended", "nothing", "error", "encoded", "too long", "too long at once"],
    )
    def test_what_it_does_not_keep(self, status, headers, parts):
        recorder = Recorder(Deaf(), 60, 100)
        recorder.start(status, headers)
        for data, is_last in parts:
            recorder.write(data, is_last=is_last)
        assert recorder.body() is None
