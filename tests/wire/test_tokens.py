import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.pricing import Usage
from fairlead.wire.tokens import (
    BASE64_BYTES_PER_TOKEN,
    LEAST_ATTACHMENT_BYTES,
    TOKENS_PER_IMAGE,
    WHOLE_ENVELOPE_BYTES,
    TokenEstimates,
    text_bytes,
)

ONE = "acme:openai/gpt-5"
OTHER = "other:openai/gpt-5"
SCRAPS = [
    b'"url":"', b'"data":"', b"data:", b"image/png;", b"base64,", b'"', b" ", b"A" * 5_000, b'"input_audio":{',
    b"}", b"\\",
]  # fmt: skip
sizes = st.integers(0, 10**9)


class TestUnseen:
    def test_a_guess(self):
        estimates = TokenEstimates()
        assert estimates.prompt_tokens(ONE, 4_000) == 1_000
        assert estimates.completion_tokens(ONE, 25_000, is_stream=True) == 100
        assert estimates.completion_tokens(ONE, WHOLE_ENVELOPE_BYTES + 450, is_stream=False) == 100

    @given(sizes, st.booleans())
    def test_nothing_is_no_token_and_anything_is_one_at_least(self, size, is_stream):
        estimates = TokenEstimates()
        for tokens in (estimates.prompt_tokens(ONE, size), estimates.completion_tokens(ONE, size, is_stream)):
            assert tokens >= 1 if size else tokens == 0


class TestCalibrated:
    @pytest.mark.parametrize(("bytes_per_token", "is_stream"), [(60, True), (295, True), (3, False), (6, False)])
    def test_it_learns_what_an_endpoint_does(self, bytes_per_token, is_stream):
        estimates, rng = TokenEstimates(), random.Random(1)
        for _ in range(200):
            prompt, completion = rng.randint(20, 4_000), rng.randint(20, 2_000)
            reply = round(completion * bytes_per_token * rng.uniform(0.9, 1.1)) + (0 if is_stream else 500)
            estimates.observe(ONE, Usage(prompt, completion), round(prompt * rng.uniform(2.7, 3.3)), reply, is_stream)
        assert estimates.prompt_tokens(ONE, 30_000) == pytest.approx(10_000, rel=0.05)
        size = 1_000 * bytes_per_token + (0 if is_stream else 500)
        assert estimates.completion_tokens(ONE, size, is_stream) == pytest.approx(1_000, rel=0.05)
        assert estimates.prompt_tokens(OTHER, 30_000) == 7_500

    def test_a_few_replies_are_enough_to_leave_the_guess(self):
        estimates = TokenEstimates()
        for _ in range(5):
            estimates.observe(ONE, Usage(1_000, 1_000), 2_000, 50_000, is_stream=True)
        assert estimates.prompt_tokens(ONE, 2_000) == pytest.approx(1_000, rel=0.1)
        assert estimates.completion_tokens(ONE, 50_000, is_stream=True) == pytest.approx(1_000, rel=0.15)

    def test_it_follows_a_change_and_no_single_reply(self):
        estimates = TokenEstimates()
        for _ in range(500):
            estimates.observe(ONE, Usage(100, 100), 400, 30_000, is_stream=True)
        before = estimates.completion_tokens(ONE, 30_000, is_stream=True)
        estimates.observe(ONE, Usage(100, 100), 400, 1_000, is_stream=True)
        assert estimates.completion_tokens(ONE, 30_000, is_stream=True) == pytest.approx(before, rel=0.03)
        for _ in range(500):
            estimates.observe(ONE, Usage(100, 100), 400, 6_000, is_stream=True)
        assert estimates.completion_tokens(ONE, 30_000, is_stream=True) == pytest.approx(500, rel=0.01)

    def test_streams_and_whole_replies_apart(self):
        estimates = TokenEstimates()
        estimates.observe(ONE, Usage(0, 1_000), 0, 5_000, is_stream=True)
        assert estimates.completion_tokens(ONE, 950, is_stream=False) == 100
        assert estimates.prompt_tokens(ONE, 400) == 100

    def test_zero_tells_nothing(self):
        estimates = TokenEstimates()
        for usage, size in ((Usage(), 1_000), (Usage(9, 9), 0), (Usage(-1, -1), 1_000)):
            estimates.observe(ONE, usage, size, size, is_stream=True)
        assert estimates.prompt_tokens(ONE, 4_000) == 1_000
        assert estimates.completion_tokens(ONE, 25_000, is_stream=True) == 100

    @given(st.lists(st.tuples(sizes, sizes, sizes, sizes, st.booleans()), max_size=30), st.integers(1, 10**9))
    def test_no_lie_leads_beyond_what_is_possible(self, told, size):
        estimates = TokenEstimates()
        for prompt, completion, request, reply, is_stream in told:
            estimates.observe(ONE, Usage(prompt, completion), request, reply, is_stream)
        assert math.floor(size / 16) <= estimates.prompt_tokens(ONE, size) <= size + 1
        assert 1 <= estimates.completion_tokens(ONE, size, is_stream=True) <= size / 2 + 1
        assert 1 <= estimates.completion_tokens(ONE, size, is_stream=False) <= size * 20 + 1

    @given(sizes, sizes)
    def test_more_bytes_are_not_fewer_tokens(self, one, other):
        estimates = TokenEstimates()
        estimates.observe(ONE, Usage(17, 31), 91, 1_234, is_stream=True)
        few, many = sorted((one, other))
        assert estimates.prompt_tokens(ONE, few) <= estimates.prompt_tokens(ONE, many)


def request(*parts, separators=(",", ":")):
    content = [{"type": "text", "text": "What is this?"}, *parts]
    return json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": content}]}, separators=separators
    ).encode()


def data_url(kind, size):
    return f"data:{kind};base64," + "A" * (size - len(f"data:{kind};base64,"))


ATTACHED = {
    "image_url": lambda size: {"type": "image_url", "image_url": {"url": data_url("image/png", size), "detail": "low"}},
    "input_image": lambda size: {"type": "input_image", "image_url": data_url("image/webp", size)},
    "file": lambda size: {"type": "file", "file": {"filename": "x", "file_data": data_url("application/pdf", size)}},
    "video": lambda size: {"type": "video_url", "video_url": {"url": data_url("video/mp4;codecs=x", size)}},
    "audio": lambda size: {"type": "input_audio", "input_audio": {"data": "A" * size, "format": "wav"}},
    "audio, format first": lambda size: {"type": "input_audio", "input_audio": {"format": "wav", "data": "A" * size}},
    "audio, data URL": lambda size: {"type": "input_audio", "input_audio": {"data": data_url("audio/wav", size)}},
}
A_PICTURES_BYTES = TOKENS_PER_IMAGE * 4


class TestTextBytes:
    @given(st.binary(max_size=100))
    def test_text_is_what_it_is(self, raw):
        assert text_bytes(raw) == len(raw)

    @pytest.mark.parametrize("kind", ATTACHED)
    @pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
    @pytest.mark.parametrize("before", [0, 3, 4_000, 5_000, 100_000])
    @given(st.integers(LEAST_ATTACHMENT_BYTES, 60_000))
    def test_an_attachment_is_a_thousand_tokens_wherever_it_stands(self, kind, separators, before, size):
        parts = [{"type": "text", "text": "w " * before}, ATTACHED[kind](size), ATTACHED[kind](size)]
        raw = request(*parts, separators=separators)
        assert text_bytes(raw) == len(raw) + 2 * (A_PICTURES_BYTES - size)

    @pytest.mark.parametrize("kind", ATTACHED)
    def test_a_long_one_counts_by_its_length_but_for_pictures(self, kind):
        raw = request(ATTACHED[kind](1_000_000))
        counted = text_bytes(raw) - (len(raw) - 1_000_000)
        assert counted == (A_PICTURES_BYTES if "image" in kind else 1_000_000 // BASE64_BYTES_PER_TOKEN * 4)

    @pytest.mark.parametrize("kind", ATTACHED)
    @given(st.integers(100, LEAST_ATTACHMENT_BYTES - 1))
    def test_a_small_one_counts_as_text(self, kind, size):
        raw = request(ATTACHED[kind](size))
        assert text_bytes(raw) == len(raw)

    def test_slashes_may_be_escaped(self):
        raw = request(ATTACHED["image_url"](9_000)).replace(b"/", b"\\/")
        assert text_bytes(raw) == len(raw) + A_PICTURES_BYTES - 9_001

    @pytest.mark.parametrize(
        "text",
        [
            data_url("image/png", 30_000),
            "see " + data_url("image/png", 30_000),
            json.dumps({"url": data_url("image/png", 30_000)}),
            json.dumps({"input_audio": {"data": "A" * 30_000}}),
            "A" * 30_000,
            "\u6f22" * 30_000,
        ],
        ids=lambda text: text[:20],
    )
    def test_text_with_base64_in_it_is_text(self, text):
        raw = request({"type": "text", "text": text})
        assert text_bytes(raw) == len(raw)

    def test_what_breaks_off(self):
        raw = request(ATTACHED["image_url"](30_000))[:20_000]
        assert text_bytes(raw) == len(raw)

    @given(st.lists(st.sampled_from(SCRAPS), max_size=20).map(b"".join))
    def test_never_less_than_nothing(self, raw):
        assert text_bytes(raw) >= min(len(raw), A_PICTURES_BYTES)
