import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.wire.cache_key import (
    DEFAULT_TTL_S,
    MAX_TTL_S,
    CachePolicy,
    PresetCache,
    cache_key,
    cache_policy,
)

ON = {b"x-openrouter-cache": b"true"}
OFF = {b"x-openrouter-cache": b"false"}
BODY = b'{"model":"m","messages":[{"role":"user","content":"a b"}],"temperature":1.0}'

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


def key(body=BODY, *, path="/v1/chat/completions", api_key="k", model="m", is_stream=False):
    return cache_key(body, path=path, api_key=api_key, model=model, is_stream=is_stream)


class TestPolicy:
    @pytest.mark.parametrize(
        ("header", "preset", "is_on"),
        [
            (None, None, False),
            (None, PresetCache(), False),
            (None, PresetCache(True), True),
            (None, PresetCache(False), False),
            (b"true", None, True),
            (b"true", PresetCache(), True),
            (b"true", PresetCache(True), True),
            (b"true", PresetCache(False), False),  # beats everything
            (b"false", None, False),
            (b"false", PresetCache(True), False),
            (b" TRUE ", None, True),
            (b"False", PresetCache(True), False),
            (b"1", None, False),
            (b"", None, False),
            (b"yes", PresetCache(True), True),  # says nothing
        ],
    )
    def test_who_says_so(self, header, preset, is_on):
        fields = {} if header is None else {b"x-openrouter-cache": header}
        assert (cache_policy(fields, preset) is not None) is is_on

    @pytest.mark.parametrize(
        ("header", "ttl_s"),
        [
            (None, 300), (b"60", 60), (b"60abc", 60), (b"1.5", 1), (b" 7 ", 7), (b"007", 7), (b"abc", 300), (b"", 300),
            (b"-5", 300), (b"+5", 300), (b" ", 300), (b"0", 1), (b"0x10", 1), (b"1", 1), (b"86400", 86400),
            (b"86401", 86400), (b"1000000", 86400), (b"9" * 10_000, 86400), (b"\xb2", 300), ("٣".encode(), 300),
        ],
    )  # fmt: skip
    def test_for_how_long(self, header, ttl_s):
        fields = ON if header is None else {**ON, b"x-openrouter-cache-ttl": header}
        assert cache_policy(fields) == CachePolicy(ttl_s)

    @pytest.mark.parametrize(
        ("header", "preset_s", "ttl_s"),
        [
            (None, 20, 20), (b"30", 20, 30), (b"x", 20, 20), (None, None, DEFAULT_TTL_S), (None, 0, 1),
            (None, 10**9, MAX_TTL_S),
        ],
    )  # fmt: skip
    def test_the_header_comes_before_the_preset(self, header, preset_s, ttl_s):
        fields = {} if header is None else {b"x-openrouter-cache-ttl": header}
        assert cache_policy(fields, PresetCache(True, preset_s)) == CachePolicy(ttl_s)

    @pytest.mark.parametrize(
        ("header", "is_cleared"), [(b"true", True), (b"True", True), (b"false", False), (b"1", False)]
    )
    def test_refresh(self, header, is_cleared):
        assert cache_policy({**ON, b"x-openrouter-cache-clear": header}) == CachePolicy(is_cleared=is_cleared)

    def test_there_is_no_refresh_where_it_is_off(self):
        assert cache_policy({**OFF, b"x-openrouter-cache-clear": b"true"}) is None
        assert cache_policy({b"x-openrouter-cache-clear": b"true"}) is None

    @given(st.binary(max_size=20), st.binary(max_size=20), st.binary(max_size=20))
    def test_no_header_breaks_it(self, asked, ttl, clear):
        names = (b"x-openrouter-cache", b"x-openrouter-cache-ttl", b"x-openrouter-cache-clear")
        policy = cache_policy(dict(zip(names, (asked, ttl, clear), strict=True)))
        assert policy is None or 1 <= policy.ttl_s <= MAX_TTL_S


class TestKey:
    @given(JSON)
    def test_white_space_does_not_count(self, value):
        dense = json.dumps(value, separators=(",", ":")).encode()
        spread = json.dumps(value, indent="\t", separators=(" ,\r\n", " : ")).encode()
        assert key(dense) == key(spread) == key(b" \n" + dense + b"\r\n")

    def test_white_space_within_text_does(self):
        assert key(BODY) != key(BODY.replace(b"a b", b"a  b"))

    @pytest.mark.parametrize(
        "other",
        [
            b'{"messages":[{"role":"user","content":"a b"}],"model":"m","temperature":1.0}',
            b'{"model":"m","messages":[{"content":"a b","role":"user"}],"temperature":1.0}',
            b'{"model":"m","messages":[{"role":"user","content":"a b"}]}',
            b'{"model":"m","messages":[{"role":"user","content":"a b"}],"temperature":1}',
            b'{"model":"m","messages":[{"role":"user","content":"a\\u0020b"}],"temperature":1.0}',
            b'{"model":"m","messages":[{"role":"user","content":"a b"}],"temperature":1.0,"stream":false}',
        ],
        ids=["order", "order within", "left out", "number", "escape", "default"],
    )
    def test_everything_else_in_the_body_counts(self, other):
        assert key(other) != key(BODY)

    def test_media_counts(self):
        image = (
            b'{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:%b"}}]}]}'
        )
        assert key(image % b"image/png;base64,AAAA") != key(image % b"image/png;base64,AAAB")

    def test_whose_where_which_and_how_counts(self):
        found = {
            key(), key(api_key="other"), key(path="/v1/embeddings"), key(model="n"), key(is_stream=True),
        }  # fmt: skip
        assert len(found) == 5
        assert key(model="a\0b") != key(model="a")

    @pytest.mark.parametrize("body", [b"", b"{", b'{"a":1}x', b"[" * 5_000 + b"]" * 5_000, b'{"a":"\x01"}'])
    def test_what_is_no_json_has_a_name_too(self, body):
        assert key(body) == key(body)
        assert key(body) != key()
        assert len(key(body)) == 64
