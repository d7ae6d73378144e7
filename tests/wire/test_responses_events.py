import json

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from fairlead.catalog.pricing import Bill, Usage
from fairlead.errors import ApiError
from fairlead.wire.event_frames import MOST_EVENT_BYTES
from fairlead.wire.openrouter_chunks import DONE, ChunkAdapter, echo, error_end
from fairlead.wire.openrouter_reply import adapted_reply
from fairlead.wire.openrouter_shape import Identity
from fairlead.wire.responses_events import ResponsesEvents
from fairlead.wire.responses_reply import response_object
from fairlead.wire.responses_request import chat_request
from harness.answering import answering
from harness.jsontext import values
from harness.responses import events_in, kinds, read_stream

IDENTITY = Identity("gen-1", "Acme", "acme/large", 5)
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
TOOLS = [
    {"type": "function", "name": "f", "parameters": {}, "strict": None},
    {"type": "custom", "name": "patch"},
]
EVENT = TypeAdapter(ResponseStreamEvent)
FAULT = ApiError(502, "The provider's reply broke off", error_type="provider_unavailable")


def asked(**members):
    return chat_request(json.dumps({"model": "a/b", "input": "hi", "tools": TOOLS, **members}).encode())[1]


def translator(most_bytes=MOST_EVENT_BYTES):
    return ResponsesEvents(asked(), IDENTITY, lambda: 9, most_bytes)


def adapter():
    return ChunkAdapter(IDENTITY, lambda _: Bill(10, 4, 6), lambda: Usage(7, 8), lambda text: text)


def chunk(finish_reason=None, **delta):
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: %b\n\n" % json.dumps({"id": "x", "object": "chat.completion.chunk", "choices": [choice]}).encode()


LAST = b'data: {"choices":[],"usage":%b}\n\n' % json.dumps(USAGE).encode()


def streamed(*chunks):
    """What a provider streams, as the gateway tells it in chat."""
    one = adapter()
    return b"".join([*map(one.feed, chunks), one.finish()])


def translated(*pieces, most_bytes=MOST_EVENT_BYTES):
    one = translator(most_bytes)
    return b"".join([*map(one.feed, pieces), one.finish()])


def call(index, call_id=None, name=None, arguments=""):
    return {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


class TestGolden:
    STREAM = (
        chunk(role="assistant", content=""),
        chunk(reasoning="Let me"),
        chunk(reasoning=" see"),
        chunk(content="Hi"),
        chunk(content=" there"),
        chunk(tool_calls=[call(0, "call_1", "f", "")]),
        chunk(tool_calls=[call(0, arguments='{"a":1}')]),
        chunk("tool_calls"),
        LAST,
        DONE,
    )
    TOLD = """
        created in_progress
        output_item.added content_part.added reasoning_text.delta reasoning_text.delta
            reasoning_text.done content_part.done output_item.done
        output_item.added content_part.added output_text.delta output_text.delta
            output_text.done content_part.done output_item.done
        output_item.added function_call_arguments.delta function_call_arguments.done output_item.done
        completed
    """

    def test_all_kinds_in_order(self):
        stream = translated(streamed(*self.STREAM))
        assert kinds(events_in(stream.removesuffix(DONE))) == self.TOLD.split()
        found = read_stream(stream)
        assert [item["type"] for item in found["output"]] == ["reasoning", "message", "function_call"]
        assert (found["id"], found["model"], found["created_at"], found["completed_at"]) == (
            "gen-1",
            "acme/large",
            5,
            9,
        )
        assert found["usage"]["output_tokens"] == 3

    def test_each_event_to_the_byte(self):
        told = translated(streamed(*self.STREAM)).split(b"\n\n")
        assert told[4] == (
            b'event: response.reasoning_text.delta\ndata: {"type":"response.reasoning_text.delta","sequence_number":4,'
            b'"delta":"Let me","item_id":"rs_gen-1_0","output_index":0,"content_index":0}'
        )
        assert told[11] == (
            b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":11,'
            b'"delta":"Hi","logprobs":[],"item_id":"msg_gen-1_1","output_index":1,"content_index":0}'
        )
        assert told[18] == (
            b"event: response.function_call_arguments.done\n"
            b'data: {"type":"response.function_call_arguments.done","sequence_number":18,"item_id":"fc_gen-1_2",'
            b'"output_index":2,"name":"f","arguments":"{\\"a\\":1}"}'
        )
        assert told[-2:] == [b"data: [DONE]", b""]

    def test_openais_types_know_each(self):
        for event in events_in(translated(streamed(*self.STREAM)).removesuffix(DONE)):
            assert EVENT.validate_python(event, strict=True).type == event["type"]

    def test_openais_client_reads_it(self):
        stream = translated(streamed(*self.STREAM))
        with (
            answering(stream, content_type="text/event-stream") as url,
            openai.OpenAI(base_url=url, api_key="k") as client,
            client.responses.stream(model="a/b", input="hi") as events,
        ):
            texts = [event.delta for event in events if event.type == "response.output_text.delta"]
            final = events.get_final_response()
        assert texts == ["Hi", " there"]
        assert (final.status, final.output_text, final.output[2].arguments) == ("completed", "Hi there", '{"a":1}')
        assert final.usage.total_tokens == 15

    def test_openais_client_reads_a_whole_one(self):
        body = response_object(whole(content="Hi there", finish_reason="stop"), asked(), 5, 9)
        with answering(body) as url, openai.OpenAI(base_url=url, api_key="k") as client:
            found = client.responses.create(model="a/b", input="hi")
        assert (found.id, found.output_text, found.usage.input_tokens) == ("gen-1", "Hi there", 12)


def whole(finish_reason, **message):
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    body = json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()
    return adapted_reply(body, IDENTITY, lambda _: Bill(10, 4, 6), lambda: Usage(7, 8))[0]


class TestEnds:
    @pytest.mark.parametrize(
        ("finish_reason", "status", "reason"),
        [
            ("stop", "completed", None),
            ("length", "incomplete", "max_output_tokens"),
            ("content_filter", "incomplete", "content_filter"),
        ],
    )
    def test_as_the_finish_reason_says(self, finish_reason, status, reason):
        found = read_stream(translated(streamed(chunk(content="Hi"), chunk(finish_reason), LAST, DONE)))
        assert (found["status"], (found["incomplete_details"] or {}).get("reason")) == (status, reason)
        assert found["output"][0]["status"] == status

    def test_a_finish_reason_is_enough(self):
        found = read_stream(translated(streamed(chunk(content="Hi"), chunk("stop"))))
        assert found["status"] == "completed"

    @pytest.mark.parametrize(
        "pieces",
        [(), (chunk(content="Hi"),), (chunk(content="Hi"), DONE), (chunk("error"), DONE)],
        ids=["nothing", "no end", "no reason", "an error"],
    )
    def test_without_one_it_has_failed(self, pieces):
        found = read_stream(translated(*pieces))
        assert (found["status"], found["error"]["code"], found["error_type"]) == (
            "failed", "server_error", "provider_unavailable",
        )  # fmt: skip

    def test_what_has_not_ended_then_is_not_said_to_be_done(self):
        """A client that acts upon items (Codex) would run a call with half of its arguments."""
        told = translated(chunk(content="Hi"), chunk(tool_calls=[call(0, "a", "f", '{"path":"/')]))
        assert kinds(events_in(told.removesuffix(DONE))).count("output_item.done") == 1
        assert [item["status"] for item in read_stream(told)["output"]] == ["completed", "incomplete"]

    def test_an_error_of_the_provider(self):
        error = {"message": "Too many", "code": 429}
        told = streamed(
            chunk(content="Hal"), b'data: {"error":%b}\n\n' % json.dumps(error).encode(), chunk(content="f")
        )
        found = read_stream(translated(told))
        assert (found["error"]["code"], found["error"]["message"]) == ("rate_limit_exceeded", "Too many")
        assert (found["error_type"], found["output_text"]) == ("rate_limit_exceeded", "Hal")

    @pytest.mark.parametrize("before", [b"", chunk(content="Hal")], ids=["before", "amid"])
    def test_an_error_of_ours(self, before):
        one, other = translator(), translator()
        told = one.feed(before) + one.error(FAULT)
        assert told == other.feed(before) + other.feed(error_end(FAULT, IDENTITY) + DONE)
        found = read_stream(told)
        assert (found["error"]["code"], found["error"]["message"]) == ("server_error", FAULT.message)
        assert found["usage"] is None

    def test_after_its_end_nothing_comes(self):
        one = translator()
        one.feed(streamed(chunk(content="Hi"), chunk("stop"), LAST, DONE))
        assert one.feed(chunk(content="x") + b": comment\n\n" + DONE) == b""
        assert one.finish() == one.error(FAULT) == one.sign_of_life() == b""

    def test_an_event_without_end(self):
        said = translated(b"data: " + b"x" * 200, most_bytes=100)
        assert read_stream(said)["error"]["message"].endswith("too long")

    @pytest.mark.parametrize(
        "said",
        [
            {"content": "x" * 30},
            {"reasoning": "x" * 30},
            {"refusal": "x" * 30},
            {"tool_calls": [call(0, "c1", "patch", "x" * 10)]},
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x" * 10}]},
            {"images": [{"image_url": {"url": "data:image/png;base64,AA"}}]},
        ],
        ids=lambda said: next(iter(said)),
    )
    def test_a_reply_without_end(self, said):
        """All of it would stand in the last event again."""
        one = translator(most_bytes=2_000)
        sent, pieces = [], 0
        while not one.is_too_long:
            pieces += 1
            sent.append(one.feed(chunk(**said)))
        assert 5 < pieces < 70
        assert one.feed(chunk(**said)) == one.finish() == b""
        assert read_stream(b"".join(sent))["error"]["message"].endswith("more than can be held")

    def test_signs_of_life_and_empty_pieces_are_nothing_that_is_held(self):
        one = translator(most_bytes=500)
        for _ in range(100):
            one.feed(b": wait\n\n" + chunk() + chunk(content=""))
        assert not one.is_too_long


class TestOther:
    def test_comments_pass_and_begin_nothing(self):
        one = translator()
        assert one.feed(b": OPENROUTER PROCESSING\n\n") == b": OPENROUTER PROCESSING\n\n"
        told = one.feed(chunk(content="Hi") + b": OPENROUTER PROCESSING\n\n")
        assert told.startswith(b"event: response.created\n")
        assert told.endswith(b"\n\n: OPENROUTER PROCESSING\n\n")

    def test_what_the_provider_was_sent(self):
        told = translated(echo(b'{"model":"m"}', IDENTITY), streamed(chunk(content="Hi"), chunk("stop"), LAST, DONE))
        events = events_in(told.removesuffix(DONE))
        assert kinds(events)[:4] == ["created", "in_progress", "debug", "output_item.added"]
        assert events[2]["debug"] == {"echo_upstream_body": {"model": "m"}}
        assert read_stream(told)["output_text"] == "Hi"

    def test_signs_of_life(self):
        one = translator()
        first = one.sign_of_life()
        assert kinds(events_in(first)) == ["created", "in_progress"]
        told = first + one.sign_of_life() + one.feed(chunk(content="Hi"))
        told += one.sign_of_life() + one.feed(chunk("stop") + DONE)
        assert kinds(events_in(told.removesuffix(DONE))) == [
            "created", "in_progress", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
            "in_progress", "output_text.done", "content_part.done", "output_item.done", "completed",
        ]  # fmt: skip
        assert read_stream(told)["output_text"] == "Hi"
        with (
            answering(told, content_type="text/event-stream") as url,
            openai.OpenAI(base_url=url, api_key="k") as client,
            client.responses.stream(model="a/b", input="hi") as events,
        ):
            assert events.get_final_response().output_text == "Hi"

    def test_the_model_is_the_one_that_serves(self):
        waiting = Identity("gen-1", "", "openrouter/auto", 5)
        one = ResponsesEvents(asked(), waiting, lambda: 9)
        told = events_in(one.sign_of_life())
        assert told[0]["response"]["model"] == "openrouter/auto"
        found = events_in(one.feed(streamed(chunk(content="Hi"), chunk("stop"), LAST, DONE)).removesuffix(DONE))
        assert found[-1]["response"]["model"] == "acme/large"

    def test_metadata_of_the_router(self):
        one = ChunkAdapter(IDENTITY, lambda _: None, lambda: Usage(1, 1), str, lambda: b'{"attempt":1}')
        told = one.feed(chunk(content="Hi") + chunk("stop") + LAST + DONE)
        assert read_stream(translated(told))["openrouter_metadata"] == {"attempt": 1}

    @pytest.mark.parametrize(
        "payload", [b'{"choices":[1]}', b'{"choices":{}}', b"[]", b"7", b"ping", b'{"choices":[]}']
    )
    def test_what_is_no_chunk_says_nothing(self, payload):
        told = translated(b"data: %b\n\n" % payload, chunk(content="Hi"), chunk("stop"))
        assert read_stream(told)["output_text"] == "Hi"


# -- properties ----------------------------------------------------------------------------------------------------

_TEXTS = st.lists(st.text(min_size=1, max_size=6), max_size=4)
_CALLS = st.lists(st.tuples(st.sampled_from(["f", "patch"]), _TEXTS), max_size=3)
_CITED = {"url": "https://x", "title": "X", "start_index": 0, "end_index": 1}
_CITATIONS = st.lists(st.just({"type": "url_citation", "url_citation": _CITED}), max_size=2)
_REASONS = st.sampled_from(["stop", "length", "content_filter", "tool_calls", "error"])


@st.composite
def replies(draw):
    """A reply as a provider streams it, and the same one whole."""
    chunks, message = [chunk(role="assistant", content="")], {"role": "assistant", "content": None}
    for name in ("reasoning", "content", "refusal"):
        pieces = draw(_TEXTS)
        chunks += [chunk(**{name: piece}) for piece in pieces]
        if pieces:
            message[name] = "".join(pieces)
    if message["content"] and (annotations := draw(_CITATIONS)) and "refusal" not in message:
        chunks.append(chunk(annotations=annotations))
        message["annotations"] = annotations
    for index, (name, pieces) in enumerate(draw(_CALLS)):
        chunks.append(chunk(tool_calls=[call(index, f"call_{index}", name)]))
        chunks += [chunk(tool_calls=[call(index, arguments=piece)]) for piece in pieces]
        message.setdefault("tool_calls", []).append(call(index, f"call_{index}", name, "".join(pieces)))
    reason = draw(_REASONS)
    return [*chunks, chunk(reason), LAST, DONE], whole(reason, **message)


@given(replies())
def test_a_stream_comes_to_the_same_as_the_whole(reply):
    chunks, message = reply
    told = translated(streamed(*chunks))
    assert read_stream(told) == json.loads(response_object(message, asked(), 5, 9))


@given(replies())
def test_openais_types_know_each_event_of_it(reply):
    for event in events_in(translated(streamed(*reply[0])).removesuffix(DONE)):
        assert EVENT.validate_python(event, strict=True).type == event["type"]


@given(replies(), st.data())
def test_however_it_is_cut_the_events_are_the_same(reply, data):
    stream = streamed(*reply[0])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert translated(*pieces) == translated(stream)


@given(replies(), st.data())
def test_wherever_it_breaks_off_it_ends_honestly(reply, data):
    chunks = reply[0]
    left = chunks[: data.draw(st.integers(0, len(chunks) - 3))]
    one, chat = translator(), adapter()
    told = b"".join([one.feed(chat.feed(piece)) for piece in left])
    found = read_stream(told + (one.error(FAULT) if data.draw(st.booleans()) else one.finish()))
    assert found["status"] == "failed"


_ANY = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.lists(st.fixed_dictionaries({}, optional={"delta": values, "finish_reason": values}), max_size=2),
        "usage": values, "error": values, "debug": values, "model": values, "service_tier": values,
    },
)  # fmt: skip


@given(st.lists(_ANY | values, max_size=6))
def test_whatever_a_provider_sends_the_stream_is_in_order(said):
    chunks = [b"data: %b\n\n" % json.dumps(one).encode() for one in said]
    read_stream(translated(streamed(*chunks)))
    read_stream(translated(*chunks))


@given(st.binary(max_size=80))
def test_any_bytes_do(some):
    told = translated(some)
    assert told.endswith(DONE)
