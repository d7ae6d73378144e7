import json
from decimal import ROUND_HALF_UP

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fairlead.catalog.pricing import Usage
from fairlead.relay.tap import KEPT_BYTES, Tap
from fairlead.wire.usage import MAX_REPORTED_USD, MAX_TOKENS, last_usage, usage_of, usage_of_reply

OPENAI = {
    "prompt_tokens": 190,
    "completion_tokens": 24,
    "total_tokens": 214,
    "prompt_tokens_details": {"cached_tokens": 128, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 16, "audio_tokens": 0, "accepted_prediction_tokens": 0},
}
DEEPSEEK = {
    "prompt_tokens": 190,
    "completion_tokens": 24,
    "total_tokens": 214,
    "prompt_cache_hit_tokens": 128,
    "prompt_cache_miss_tokens": 62,
    "completion_tokens_details": {"reasoning_tokens": 16},
}
OPENROUTER = {
    "prompt_tokens": 190,
    "completion_tokens": 24,
    "total_tokens": 214,
    "cost": 0.00014,
    "is_byok": False,
    "prompt_tokens_details": {"cached_tokens": 128, "cache_write_tokens": 0, "audio_tokens": 0},
    "cost_details": {"upstream_inference_cost": None, "upstream_inference_prompt_cost": 5.4e-05},
    "completion_tokens_details": {"reasoning_tokens": 16},
}
ALL_THE_SAME = Usage(prompt_tokens=190, completion_tokens=24, cached_tokens=128, reasoning_tokens=16)
DONE = b"data: [DONE]\n\n"

counts = st.integers(min_value=0, max_value=MAX_TOKENS)


def event(**members):
    return b"data: " + json.dumps({"object": "chat.completion.chunk", **members}).encode() + b"\n\n"


def words(text):
    return event(choices=[{"index": 0, "delta": {"content": text}}], usage=None)


def both(usage):
    """As the end of a stream and as a whole reply tell it; they must agree."""
    text = json.dumps(usage) if not isinstance(usage, str) else usage
    of_reply = usage_of_reply(b'{"choices":[],"usage":%b}' % text.encode())
    assert last_usage(b'data: {"choices":[],"usage":%b}\n\n%b' % (text.encode(), DONE)) == of_reply
    return of_reply


class TestProviders:
    @pytest.mark.parametrize("usage", [OPENAI, DEEPSEEK])
    def test_names_of_members(self, usage):
        assert both(usage) == ALL_THE_SAME

    def test_openrouter_tells_the_cost_too(self):
        assert both(OPENROUTER) == replace(ALL_THE_SAME, reported_usd_nanos=140_000)

    def test_sound_and_pictures(self):
        usage = {
            "prompt_tokens": 90,
            "completion_tokens": 50,
            "prompt_tokens_details": {"text_tokens": 20, "audio_tokens": 40, "image_tokens": 30},
            "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 2, "image_tokens": 3},
        }
        assert both(usage) == Usage(
            90,
            50,
            reasoning_tokens=1,
            prompt_audio_tokens=40,
            prompt_image_tokens=30,
            completion_audio_tokens=2,
            completion_image_tokens=3,
        )

    def test_anthropics_caches_behind_another_gateway(self):
        usage = {
            "prompt_tokens": 900,
            "completion_tokens": 5,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 700,
            "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 400},
        }
        told = Usage(900, 5, cached_tokens=100, cache_write_tokens=700, cache_write_1h_tokens=400)
        assert both(usage) == told
        del usage["cache_creation_input_tokens"]
        assert both(usage) == told

    @pytest.mark.parametrize(
        ("told", "completion_tokens"),
        [
            ({"completion_tokens": 9, "total_tokens": 135, "reasoning_tokens": 94}, 103),  # xAI: beside the completion
            ({"completion_tokens": 9, "total_tokens": 135, "reasoning_tokens": 0}, 103),  # Gemini: in the total alone
            ({"completion_tokens": 9, "total_tokens": 135}, 103),
            ({"total_tokens": 72, "reasoning_tokens": 40}, 40),
            ({"completion_tokens": 103, "total_tokens": 135, "reasoning_tokens": 94}, 103),
            ({"completion_tokens": 103, "total_tokens": 1, "reasoning_tokens": 94}, 103),
            ({"completion_tokens": 103, "reasoning_tokens": 94}, 103),
            ({"completion_tokens": 9, "total_tokens": 999, "reasoning_tokens": 94}, 9),  # nobody knows what that is
        ],
    )
    def test_reasoning_that_the_completion_leaves_out(self, told, completion_tokens):
        reasoning = told.pop("reasoning_tokens", None)
        details = {} if reasoning is None else {"completion_tokens_details": {"reasoning_tokens": reasoning}}
        usage = both({"prompt_tokens": 32, **told, **details})
        assert usage == Usage(32, completion_tokens, reasoning_tokens=reasoning or 0)

    def test_written_to_the_cache(self):
        usage = {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 5}}
        assert both(usage) == Usage(prompt_tokens=9, cached_tokens=1, cache_write_tokens=5)

    def test_groq_tells_it_in_a_member_of_its_own(self):
        stream = words("hi") + event(choices=[], x_groq={"id": "req_1", "usage": {**OPENAI, "queue_time": 0.01}}) + DONE
        assert last_usage(stream) == ALL_THE_SAME

    def test_details_may_be_null(self):
        usage = {"prompt_tokens": 1, "completion_tokens": None, "prompt_tokens_details": None}
        assert both(usage) == Usage(prompt_tokens=1)

    def test_of_a_running_total_the_last_counts(self):
        stream = b"".join(event(choices=[], usage={"prompt_tokens": 9, "completion_tokens": n}) for n in range(5))
        assert last_usage(stream + DONE) == Usage(9, 4)

    def test_with_the_last_words(self):
        assert last_usage(event(usage=OPENAI, choices=[{"delta": {"content": "."}}]) + DONE) == ALL_THE_SAME

    def test_white_space(self):
        assert last_usage(b'data: { "usage" :\t{ "prompt_tokens" : 3 } }\r\n\r\n') == Usage(3)

    @pytest.mark.parametrize("tail", [b"", DONE, words("hi") + DONE, b'data: {"usage":{', b'"usage":', b'"usage":{}'])
    def test_nothing_told(self, tail):
        assert last_usage(tail) is None

    @pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'{"usage":null}', b'{"usage":{}}', b"<html>", b"{"])
    def test_nothing_told_by_a_whole_reply(self, body):
        assert usage_of_reply(body) is None

    @given(counts, counts, counts, counts, counts)
    def test_any_counts(self, prompt, completion, cached, written, reasoning):
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }
        assert both(usage) == Usage(prompt, completion, cached, written, reasoning)


class TestReportedCost:
    @pytest.mark.parametrize(
        ("cost", "nanos"),
        [
            ("0", 0),
            ("0.0", 0),
            ("0.1", 100_000_000),
            ('"0.1"', 100_000_000),
            ("5.4e-05", 54_000),
            ('"5.4E-5"', 54_000),
            ("1e-9", 1),
            ("0.0000000005", 1),
            ("0.00000000049999999999999999999999", 0),
            ("0.1234567894999999999999999999999999", 123_456_789),
            (f"{MAX_REPORTED_USD}", MAX_REPORTED_USD * 10**9),
        ],
    )
    def test_to_the_nano_usd(self, cost, nanos):
        assert both(f'{{"prompt_tokens":1,"cost":{cost}}}') == Usage(1, reported_usd_nanos=nanos)
        assert both(f'{{"prompt_tokens":1.0,"cost":{cost}}}') == Usage(1, reported_usd_nanos=nanos)

    @pytest.mark.parametrize(
        "cost",
        [
            *("null", "-1", "-1e-30", "1e9", "10000.000000001", "1e999999999", "1e99999999999999999999", "true", "[]"),
            *('""', '"free"', '"NaN"', '"-Infinity"', '"1e400"', '{"total_cost":0.5}', '"0.5 USD"', f'"{"9" * 9999}"'),
        ],
        ids=lambda cost: cost[:20],
    )  # fmt: skip
    def test_what_cannot_be_a_cost_is_not_told(self, cost):
        assert both(f'{{"prompt_tokens":1,"cost":{cost}}}') == Usage(1)
        assert both(f'{{"prompt_tokens":1.0,"cost":{cost}}}') == Usage(1)
        assert both(f'{{"cost":{cost}}}') is None

    @given(st.decimals(0, MAX_REPORTED_USD, places=12))
    def test_any_amount_is_rounded_once_and_half_up(self, usd):
        nanos = int((usd * 10**9).to_integral_value(ROUND_HALF_UP))
        assert usage_of(f'{{"cost":{usd:f}}}') == Usage(reported_usd_nanos=nanos)

    def test_a_cost_is_worth_knowing_without_tokens(self):
        assert both({"cost": 0.04}) == Usage(reported_usd_nanos=40_000_000)

    @pytest.mark.parametrize(
        ("ticks", "nanos"), [(0, 0), (4, 0), (5, 1), (232_856_000, 23_285_600), (-10, None), (10**15, None)]
    )
    def test_xais_ticks(self, ticks, nanos):
        assert both({"prompt_tokens": 1, "cost_in_usd_ticks": ticks}) == Usage(1, reported_usd_nanos=nanos)

    def test_a_gateways_fee_is_not_all_where_it_was_given_the_providers_key(self):
        details = {"upstream_inference_cost": 0.0011, "upstream_inference_prompt_cost": 0.001}
        usage = {"prompt_tokens": 1, "cost": 0.0001, "is_byok": True, "cost_details": details}
        assert both(usage) == Usage(1, reported_usd_nanos=1_200_000)
        assert both({**usage, "is_byok": False}) == Usage(1, reported_usd_nanos=100_000)
        assert both({**usage, "cost_details": None}) == Usage(1, reported_usd_nanos=100_000)
        assert both({**usage, "prompt_tokens": "1"}) == Usage(1, reported_usd_nanos=1_200_000)


class TestTail:
    """What the tap keeps begins anywhere: inside an event, inside a character."""

    @given(st.integers(0, 200), st.text(alphabet='aé漢😀\\"{}', max_size=80))
    def test_it_may_begin_anywhere(self, cut, text):
        stream = words(text) + event(choices=[], usage=OPENAI) + DONE
        whole = stream.index(b'"usage": {')
        assert last_usage(stream[min(cut, whole) :]) == ALL_THE_SAME

    @given(st.lists(st.binary(max_size=40) | st.just("漢字".encode()), max_size=20), st.integers(1, 700))
    def test_it_may_come_in_any_pieces(self, noise, size):
        stream = b"".join(noise) + b"\n\n" + event(choices=[], usage=OPENAI) + DONE
        tap = Tap()
        for start in range(0, len(stream), size):
            tap.feed(stream[start : start + size])
        assert last_usage(tap.tail) == ALL_THE_SAME

    def test_a_usage_that_breaks_off_is_not_taken_but_the_one_before(self):
        broken = event(choices=[], usage=OPENAI)[:-40]
        assert last_usage(broken) is None
        assert last_usage(event(choices=[], usage={"prompt_tokens": 5}) + broken) == Usage(5)

    def test_one_that_tells_nothing_does_not_hide_the_one_before(self):
        stream = event(choices=[], usage=OPENAI) + event(choices=[], usage={"total_tokens": 7}) + DONE
        assert last_usage(stream) == ALL_THE_SAME

    def test_many_details_fit_into_what_is_kept(self):
        assert len(event(choices=[], usage=OPENROUTER) + DONE) < KEPT_BYTES / 4


class TestModelsOwnWords:
    """A model can be asked to say `"usage":{…}`; as part of a JSON string its quotes are escaped."""

    SAID = '"usage":{"prompt_tokens":1,"completion_tokens":1}'

    @pytest.mark.parametrize(
        "text", [SAID, f"{{{SAID}}}", SAID.replace('"', '\\"'), f"\\{SAID}", f"data: {{{SAID}}}\n\n"]
    )
    def test_said_in_content(self, text):
        assert last_usage(words(text) + DONE) is None
        assert last_usage(words(text) + event(choices=[], usage=OPENAI) + DONE) == ALL_THE_SAME
        assert last_usage(event(usage=OPENAI, choices=[{"delta": {"content": text}}]) + DONE) == ALL_THE_SAME

    @given(st.integers(0, 60))
    def test_said_where_the_tail_begins(self, cut):
        said = words(self.SAID)
        assert last_usage(said[said.index(b"content") + min(cut, 60) :] + DONE) is None

    def test_said_in_a_whole_reply(self):
        reply = {"choices": [{"message": {"content": self.SAID, "usage": {"prompt_tokens": 1}}}], "usage": OPENAI}
        assert usage_of_reply(json.dumps(reply).encode()) == ALL_THE_SAME


class TestSloppyCounts:
    """Decided: what can be read as a count is one; what cannot be a count counts as not told."""

    @pytest.mark.parametrize("count", ["12", "12.0", '"12"', '"12.0"', "1.2e1", "12.9"])
    def test_a_number_is_a_number(self, count):
        assert both(f'{{"prompt_tokens":{count},"completion_tokens":{count}}}') == Usage(12, 12)

    @pytest.mark.parametrize(
        "count",
        [
            "-1",
            "-0.5e9",
            f"{MAX_TOKENS + 1}",
            "1" + "0" * 40,
            "1e300",
            '"1e999"',
            '"NaN"',
            '"many"',
            "true",
            "[]",
            "{}",
        ],
    )
    def test_what_cannot_be_a_count(self, count):
        assert both(f'{{"prompt_tokens":{count},"completion_tokens":5}}') is None
        assert both(f'{{"prompt_tokens":7,"completion_tokens":{count}}}') == Usage(7, 0)
        details = f'{{"prompt_tokens":7,"prompt_tokens_details":{{"cached_tokens":{count},"cache_write_tokens":2}}}}'
        assert both(details) == Usage(7, cache_write_tokens=2)

    @pytest.mark.parametrize("details", ["[]", '""', "0", "false"])
    def test_details_of_another_kind(self, details):
        usage = f'{{"prompt_tokens":7,"completion_tokens":2,"prompt_tokens_details":{details},"x":1}}'
        assert both(usage) == Usage(7, 2)

    def test_an_absurd_number_of_digits(self):
        assert both(f'{{"prompt_tokens":7,"completion_tokens":"{"9" * 3000}"}}') == Usage(7)
        assert usage_of_reply(b'{"usage":{"prompt_tokens":%b}}' % (b"9" * 10_000)) is None

    @given(st.binary(max_size=200))
    def test_noise(self, noise):
        assert last_usage(noise) is None
        usage_of_reply(noise)
        usage_of_reply(b'{"usage":' + noise)

    def test_nesting(self):
        assert last_usage(b'"usage":{' * 450) is None
        assert last_usage(b'{"usage":' * 450) is None
        assert usage_of_reply(b'{"usage":' * 100_000) is None
        assert usage_of_reply(b'{"usage":{"prompt_tokens":"1","x":%b%b}}' % (b"[" * 5000, b"]" * 5000)) is None
