import itertools
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fairlead.catalog.pricing import Bill, Usage
from fairlead.errors import ApiError
from fairlead.wire.event_frames import MOST_EVENT_BYTES
from fairlead.wire.openrouter_chunks import DONE, ChunkAdapter
from fairlead.wire.openrouter_shape import Identity

IDENTITY = Identity("gen-1", "Acme", "acme/large", 5)
CONSTANT = {
    "id": "gen-1", "provider": "Acme", "model": "acme/large", "object": "chat.completion.chunk", "created": 5,
}  # fmt: skip
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def adapter(metadata=None, most_bytes=MOST_EVENT_BYTES):
    def redact(text):
        return text.replace("sk-secret", "[redacted]")

    return ChunkAdapter(IDENTITY, lambda _: Bill(10, 4, 6), lambda: Usage(7, 8), redact, metadata, most_bytes)


def event(**members):
    return b"data: %b\n\n" % json.dumps({"id": "x", "object": "chat.completion.chunk", **members}).encode()


def delta(finish_reason=None, **members):
    return event(choices=[{"index": 0, "delta": members, "finish_reason": finish_reason}], usage=None)


def adapted(*pieces, metadata=None, most_bytes=MOST_EVENT_BYTES):
    one = adapter(metadata, most_bytes)
    return b"".join([*map(one.feed, pieces), one.finish()])


def chunks(stream):
    """The data of whole events; asserts that there is nothing else."""
    assert stream.endswith(b"\n\n")
    events = stream.removesuffix(b"\n\n").split(b"\n\n")
    assert all(one.startswith(b"data: ") and b"\n" not in one for one in events)
    return [one[6:] if one == b"data: [DONE]" else json.loads(one[6:]) for one in events]


def only(stream):
    """The one chunk that came before the usage and the end."""
    chunk, usage, done = chunks(stream)
    assert usage["choices"] == []
    assert done == b"[DONE]"
    return chunk


LAST = event(choices=[], usage=USAGE)
STREAM = delta(role="assistant", content="") + delta(content="Hi") + delta("stop") + LAST + DONE


class TestChunks:
    def test_each_says_the_same_of_itself_and_has_all_members(self):
        *said, usage, done = chunks(adapted(STREAM))
        for chunk, content, reason in zip(said, ["", "Hi", ""], [None, None, "stop"], strict=True):
            assert chunk == {
                **CONSTANT,
                "choices": [{
                    "index": 0, "delta": {"role": "assistant", "content": content}, "logprobs": None,
                    "finish_reason": reason, "native_finish_reason": reason,
                }],
            }  # fmt: skip
        assert done == b"[DONE]"
        assert usage["choices"] == []
        assert usage["usage"]["cost"] == 1e-8
        assert {name: usage["usage"][name] for name in USAGE} == USAGE

    def test_what_nobody_knows_stays_and_long_numbers_do(self):
        told = adapted(
            b'data: {"choices":[{"delta":{"content":"\\u00e9","a":1.10},"b":12345678901234567890123}],'
            b'"c":{"d":1e400}}\n\n'
        )
        for kept in (b'"content":"\\u00e9"', b'"a":1.10', b'"b":12345678901234567890123', b'"c":{"d":1e400}'):
            assert kept in told

    def test_members_that_must_not_be_null_are_left_out(self):
        choices = [{"delta": {"content": "a", "tool_calls": None}}]
        told = adapted(event(choices=choices, system_fingerprint=None, service_tier=None, error=None), DONE)
        assert only(told).keys() == {*CONSTANT, "choices"}
        assert only(told)["choices"][0]["delta"] == {"role": "assistant", "content": "a"}

    def test_a_fingerprint_stays(self):
        chunk = only(adapted(event(choices=[{"delta": {}}], system_fingerprint="fp"), DONE))
        assert chunk["system_fingerprint"] == "fp"

    def test_reasoning_has_all_its_names(self):
        said = only(adapted(delta(reasoning_content="hm"), DONE))["choices"][0]["delta"]
        assert said["reasoning"] == said["reasoning_content"] == "hm"
        assert said["content"] == ""
        assert said["reasoning_details"][0]["text"] == "hm"

    def test_azures_first_event_gets_a_choice_that_says_nothing(self):
        first = event(id="", object="", model="", created=0, choices=[], prompt_filter_results=[{"prompt_index": 0}])
        chunk = only(adapted(first, DONE))
        assert chunk["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert chunk["prompt_filter_results"] == [{"prompt_index": 0}]

    def test_its_later_filter_results_get_a_delta(self):
        chunk = only(adapted(event(choices=[{"index": 0, "content_filter_offsets": {}, "delta": None}]), DONE))
        assert chunk["choices"][0]["delta"] == {"role": "assistant", "content": ""}

    def test_an_event_that_says_nothing_is_dropped(self):
        assert len(chunks(adapted(event(choices=[], usage=None), DONE))) == 2

    @pytest.mark.parametrize("payload", [b'{"choices":[1]}', b'{"choices":{}}', b'{"choices":[{"delta":7}]}'])
    def test_of_another_shape_they_pass(self, payload):
        assert adapted(b"data: %b\n\n" % payload).startswith(b"data: %b\n\n" % payload)

    @pytest.mark.parametrize("payload", [b"ping", b": OPENROUTER PROCESSING", b"[]", b"7", b""])
    def test_what_is_no_object_goes_since_no_client_can_read_it(self, payload):
        assert adapted(b"data: %b\n\n" % payload, STREAM) == adapted(STREAM)

    def test_a_broken_one_ends_the_stream_with_an_error(self):
        _, last, done = chunks(adapted(delta(content="a"), b'data: {"choices":[\n\n', STREAM))
        assert (last["error"]["code"], done) == (502, b"[DONE]")

    def test_broken_text_is_repaired(self):
        chunk = only(adapted(b'data: {"choices":[{"delta":{"content":"a\xe6\xbc"}}]}\n\n', DONE))
        assert chunk["choices"][0]["delta"]["content"] == "a\ufffd"

    def test_half_a_character_is_repaired(self):
        chunk = only(adapted(b'data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\n', DONE))
        assert chunk["choices"][0]["delta"]["content"] == "a\ufffd"


class TestToolCalls:
    def test_are_told_in_parts_and_are_why_it_has_stopped(self):
        calls = [
            [{"id": "a", "function": {"name": "f"}}],
            [{"id": None, "function": {"arguments": "{}"}}],
            [{"id": "b"}],
        ]
        *said, end, _, _ = chunks(adapted(*(delta(tool_calls=call) for call in calls), delta("stop"), DONE))
        found = [call for chunk in said for call in chunk["choices"][0]["delta"]["tool_calls"]]
        assert [(call["index"], call.get("id")) for call in found] == [(0, "a"), (0, None), (1, "b")]
        assert said[0]["choices"][0]["delta"]["content"] is None
        assert end["choices"][0]["finish_reason"] == "tool_calls"

    def test_none_are_none(self):
        choice = only(adapted(delta("stop", tool_calls=[]), DONE))["choices"][0]
        assert (choice["delta"]["tool_calls"], choice["finish_reason"]) == ([], "stop")


class TestUsage:
    @pytest.mark.parametrize("reason", ["stop", None])
    def test_comes_last_and_alone_wherever_the_provider_tells_it(self, reason):
        first = event(choices=[{"delta": {"content": "a"}, "finish_reason": reason}], usage={"prompt_tokens": 1})
        second = event(choices=[{"delta": {}, "finish_reason": "stop"}], usage=USAGE)
        *said, usage, _ = chunks(adapted(first, second, DONE))
        assert [chunk for chunk in said if "usage" in chunk] == []
        assert usage["usage"]["prompt_tokens"] == 12

    def test_is_known_when_the_stream_has_ended(self):
        one = adapter()
        one.feed(LAST)
        one.feed(DONE)
        assert one.usage == Usage(12, 3)

    def test_is_reckoned_where_the_provider_tells_none(self):
        one = adapter()
        *_, usage, _ = chunks(one.feed(delta("stop") + DONE))
        assert usage["usage"]["total_tokens"] == 15
        assert usage["usage"]["cost"] == 1e-8
        assert one.usage is None

    def test_other_members_of_its_chunk_stay(self):
        *_, usage, _ = chunks(adapted(event(choices=[], usage=USAGE, x_groq={"id": "r"}), DONE))
        assert usage["x_groq"] == {"id": "r"}

    def test_routing_is_told_with_it(self):
        *_, usage, _ = chunks(adapted(STREAM, metadata=lambda: b'{"attempt":1}'))
        assert usage["openrouter_metadata"] == {"attempt": 1}


class TestEventsThatAreAlike:
    """They are adapted by a faster way, which must not show."""

    def slowly(self, *pieces):
        one = adapter()
        one._lessons = 0
        return b"".join([*map(one.feed, pieces), one.finish()])

    @given(
        st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "content": st.one_of(
                        st.none(), st.text(max_size=6), st.sampled_from(['"', "\\", "a", "b\n", "\U0001f600"])
                    ),
                    "reasoning_content": st.sampled_from(["", "hm", "\\n"]),
                    "tool_calls": st.sampled_from([None, [], [{"id": "a"}], [{"id": "b", "content": "x"}], [{}]]),
                    "usage": st.sampled_from(
                        [None, {"prompt_tokens": 1}, {"prompt_tokens": 2, "completion_tokens": 1}]
                    ),
                    "finish_reason": st.sampled_from([None, "stop"]),
                },
            ),
            max_size=12,
        ),
        st.booleans(),
    )
    @example(
        [{"content": "a", "finish_reason": "stop"}, {"tool_calls": [{}]}, {"content": "a", "finish_reason": "stop"}],
        True,
    )
    @example([{"content": "a", "usage": {"prompt_tokens": n}} for n in (1, 2, 1)], True)
    def test_nothing_is_different(self, told, is_ascii):
        def one(members):
            usage, reason = members.pop("usage", None), members.pop("finish_reason", None)
            said = {"choices": [{"delta": members, "finish_reason": reason}], "usage": usage}
            return b"data: %b\n\n" % json.dumps(said, ensure_ascii=is_ascii).encode()

        pieces = [one(dict(members)) for members in told]
        assert adapted(*pieces, DONE) == self.slowly(*pieces, DONE)

    @pytest.mark.parametrize(
        "text",
        [rb"\ud83d", b"a\xff", b'"', b'","x":"', b"\\", b"\n", rb"\n", b"~~mark of the text~~"],
        ids=["half", "not UTF-8", "quote", "member", "escape", "line end", "escaped line end", "mark"],
    )
    def test_not_even_what_is_broken(self, text):
        def said(text):
            return b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % text

        pieces = [said(b"a"), said(b"b"), said(text), said(b"c"), DONE]
        assert adapted(*pieces) == self.slowly(*pieces)


class TestFraming:
    @given(st.lists(st.integers(0, len(STREAM) + 60), max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]))
    @example([], b"\r\n")
    @example(list(range(2000)), b"\r\n")
    def test_however_it_is_cut_and_lines_end(self, cuts, line_end):
        wire = (b": hello\n\n" + STREAM).replace(b"\n", line_end)
        borders = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
        one = adapter()
        told = [one.feed(wire[start:stop]) for start, stop in itertools.pairwise(borders)]
        assert all(part == b"" or part.endswith(b"\n\n") for part in told)
        assert b"".join(told) + one.finish() == b": hello\n\n" + adapted(STREAM)

    def test_several_data_lines_are_one_event(self):
        chunk = only(adapted(b'data: {"choices":\ndata:[{"delta":\ndata:{"content":"a"}}]\ndata: }\n\n', DONE))
        assert chunk["choices"][0]["delta"]["content"] == "a"

    def test_events_with_a_single_line_end_between_them_are_several(self):
        lines = STREAM.replace(b"\n\n", b"\n")
        assert adapted(lines) == adapted(STREAM)

    def test_names_of_events_go_and_comments_stay(self):
        told = adapted(b": one\n\nevent: x\nid: 7\n: two\n" + delta("stop"), DONE)
        assert told.startswith(b": one\n\n: two\n\ndata: {")
        assert b"event:" not in told

    def test_an_end_without_an_empty_line_is_one(self):
        assert adapted(STREAM.removesuffix(b"\n\n")) == adapted(STREAM)

    def test_what_comes_after_the_end_goes(self):
        assert adapted(STREAM + delta(content="late")) == adapted(STREAM)

    def test_done_is_added_after_a_finish_reason_and_only_then(self):
        assert adapted(delta("stop")).endswith(DONE)
        assert DONE not in adapted(delta(content="a"))

    def test_an_event_too_long_ends_it(self):
        image = delta(content="x" * 400)
        pieces = [image[n : n + 40] for n in range(0, len(image), 40)]
        said, fault, done = chunks(adapted(delta(content="a"), *pieces, delta("stop"), DONE, most_bytes=300))
        assert (said["choices"][0]["delta"]["content"], fault["error"]["code"], done) == ("a", 502, b"[DONE]")

    def test_a_whole_reply_in_place_of_a_stream_is_no_longer_either(self):
        one = adapter(most_bytes=300)
        said = b"".join(one.feed(piece) for piece in [b'{"choices":', *[b" " * 30 + b"\n\n"] * 12])
        assert chunks(said)[0]["error"]["message"].endswith("too long")
        assert one.feed(b" " * 30 + b"\n\n") == one.finish() == b""

    def test_a_whole_reply_in_place_of_a_stream_becomes_one(self):
        body = json.dumps(
            {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": USAGE}, indent=1
        )
        said, usage, done = chunks(adapted(body[:20].encode(), body[20:].encode()))
        assert said["choices"][0]["delta"] == {"role": "assistant", "content": "Hi"}
        assert usage["usage"]["prompt_tokens"] == 12
        assert done == b"[DONE]"

    def test_an_error_in_place_of_a_stream_is_told_in_band(self):
        told = chunks(adapted(b'{"error":{"message":"no","code":429}}'))
        assert told[0]["error"]["code"] == 429
        assert told[-1] == b"[DONE]"

    @given(st.lists(st.binary(max_size=30), max_size=10))
    def test_whatever_comes_nothing_is_raised(self, pieces):
        adapted(*pieces)


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "code", "message", "kind"),
        [
            ({"code": 429, "message": "slow down"}, 429, "slow down", "rate_limit_exceeded"),
            ({"code": "429", "message": "slow down"}, 429, "slow down", "rate_limit_exceeded"),
            ({"code": "server_error", "message": "sk-secret"}, 502, "[redacted]", "provider_unavailable"),
            ({"code": 7, "message": ""}, 502, "The provider has ended its reply with an error", "provider_unavailable"),
            ("broken", 502, "broken", "provider_unavailable"),
            ({"code": 400, "message": "no"}, 400, "no", "invalid_request"),
        ],
    )
    def test_of_the_provider_end_the_stream_in_our_words(self, error, code, message, kind):
        told = chunks(adapted(delta(content="a"), event(error=error), delta(content="late"), LAST, DONE))
        _, last, done = told
        assert (last["error"]["code"], last["error"]["message"]) == (code, message)
        assert last["error"]["metadata"]["error_type"] == kind
        assert last["error"]["metadata"]["provider_name"] == "Acme"
        assert last["choices"][0]["finish_reason"] == "error"
        assert CONSTANT.items() <= last.items()
        assert done == b"[DONE]"

    def test_of_ours_end_it_even_inside_an_event(self):
        one = adapter(lambda: b'{"attempt":1}')
        told = one.feed(delta(content="a") + b'data: {"cho')
        fault = ApiError(502, "broke off", error_type="provider_unavailable")
        _, last, done = chunks(told + one.error(fault))
        assert (last["error"]["message"], last["openrouter_metadata"], done) == ("broke off", {"attempt": 1}, b"[DONE]")

    def test_what_has_ended_ends_once(self):
        one = adapter()
        one.feed(STREAM)
        assert one.error(ApiError(502, "broke off")) == b""


def test_it_tells_with_what_it_has_ended_a_stream_before_its_time():
    made = adapter()
    made.feed(event(choices=[{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]))
    assert made.fault is None
    made.feed(b'data: {"choices":[{"index":0,"delta":{"content":"\n\n')
    assert made.fault is not None
    assert "not JSON" in made.fault.message
