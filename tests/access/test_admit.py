import fnmatch
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access import admit
from fairlead.access.admit import (
    check,
    check_alive,
    may_use_model,
    may_use_provider,
    refuse_model,
    refuse_providers,
    refuse_unknown,
    token_of,
)
from fairlead.access.keys import ApiKey, generate
from fairlead.errors import ApiError

NOW = 1_795_273_445.5
MINE = ApiKey("h", "mine", "sk-…9f0")
CHALLENGE = {"www-authenticate": 'Bearer realm="fairlead"'}


def refusal(call, *arguments):
    with pytest.raises(ApiError) as caught:
        call(*arguments)
    error = caught.value
    assert (error.status, error.error_type, error.headers) == (401, "authentication", CHALLENGE)
    return error.message


class TestToken:
    @pytest.mark.parametrize(
        "headers",
        [
            [(b"authorization", b"Bearer sk-1")],
            [(b"authorization", b"bearer sk-1")],
            [(b"authorization", b"BEARER   sk-1  ")],
            [(b"host", b"x"), (b"authorization", b"Bearer sk-1"), (b"x", b"y")],
            [(b"x-api-key", b"sk-1")],
            [(b"x-api-key", b" sk-1 ")],
            [(b"x-api-key", b"sk-2"), (b"authorization", b"Bearer sk-1")],
            [(b"authorization", b"Bearer sk-1"), (b"x-api-key", b"sk-2")],
            [(b"authorization", b"Bearer sk-1"), (b"authorization", b"Bearer sk-2")],
        ],
    )
    def test_where_it_may_stand(self, headers):
        assert token_of(dict(reversed(headers))) == b"sk-1"  # as the edge makes it: of repeated ones the first

    @pytest.mark.parametrize(
        "headers",
        [
            [],
            [(b"x-api-key", b"")],
            [(b"x-api-key", b"  ")],
            [(b"cookie", b"key=sk-1")],
            [(b"proxy-authorization", b"Bearer sk-1")],
        ],
    )
    def test_missing(self, headers):
        assert "Missing Authentication header" in refusal(token_of, dict(headers))

    @pytest.mark.parametrize("value", [b"", b"Bearer", b"Bearer ", b"sk-1", b"Basic c2stMQ==", b"Token sk-1", b" sk-1"])
    def test_of_another_form(self, value):
        assert "must be 'Bearer <key>'" in refusal(token_of, {b"authorization": value})
        assert "must be 'Bearer <key>'" in refusal(token_of, {b"authorization": value, b"x-api-key": b"sk-1"})

    def test_any_bytes_are_a_token(self):
        assert token_of({b"authorization": b"Bearer \xff\x00 x"}) == b"\xff\x00 x"


class TestRefusal:
    def test_a_mistyped_key_is_told_from_an_unknown_one(self):
        token = generate()
        wrong = token[:-1] + ("0" if token[-1] != "0" else "1")
        for damaged in (wrong, token[:-9], token + "0"):
            assert "mistyped or incomplete" in refuse_unknown(damaged.encode()).message
        for other in (token, "sk-proj-abc", ""):
            assert "Unknown API key" in refuse_unknown(other.encode()).message

    def test_it_does_not_repeat_the_key(self):
        for token in (b"sk-fl-v1-0123456789", b"sk-proj-0123456789"):
            error = refuse_unknown(token)
            assert "0123" not in error.message
            assert (error.status, error.headers) == (401, CHALLENGE)


@pytest.mark.parametrize("check", [check, check_alive])
class TestUse:
    def test_a_key_without_conditions(self, check):
        check(MINE, NOW)
        check(replace(MINE, expires=int(NOW) + 1), NOW)

    def test_disabled(self, check):
        assert refusal(check, replace(MINE, is_disabled=True), NOW) == "The API key sk-…9f0 is disabled"

    @pytest.mark.parametrize("expires", [int(NOW), int(NOW) - 1, 0])
    def test_expired(self, check, expires):
        assert "The API key sk-…9f0 expired on " in refusal(check, replace(MINE, expires=expires), NOW)

    def test_it_says_when(self, check):
        message = refusal(check, replace(MINE, expires=int(NOW)), NOW)
        assert message == "The API key sk-…9f0 expired on 2026-11-21T15:04:05Z. Use another one"

    def test_the_moment_of_its_end_is_not_its_own(self, check):
        key = replace(MINE, expires=1000)
        check(key, 999.999)
        refusal(check, key, 1000.0)

    def test_disabled_comes_before_anything_else(self, check):
        key = replace(MINE, is_disabled=True, expires=0, is_management=True)
        assert refusal(check, key, NOW) == "The API key sk-…9f0 is disabled"


def test_a_management_key_does_not_infer():
    key = replace(MINE, is_management=True)
    check_alive(key, NOW)
    with pytest.raises(ApiError) as caught:
        check(key, NOW)
    assert (caught.value.status, caught.value.error_type) == (403, "permission_denied")
    assert "management key sk-…9f0" in caught.value.message
    assert "fairlead keys create" in caught.value.message


names = st.text("abAB/-.:*?[]!", max_size=8)


class TestPatterns:
    @pytest.mark.parametrize(
        ("patterns", "model_id", "is_allowed"),
        [
            ((), "anything/at-all", True),
            (("openai/gpt-5",), "openai/gpt-5", True),
            (("openai/gpt-5",), "openai/gpt-5-mini", False),
            (("openai/gpt-5",), "openai/gpt-5:free", False),
            (("openai/*",), "openai/gpt-5", True),
            (("openai/*",), "openai/", True),
            (("openai/*",), "azure/openai/gpt-5", False),
            (("*:free",), "meta-llama/llama-3:free", True),
            (("*",), "a/b/c", True),
            (("Openai/*",), "openai/gpt-5", False),
            (("openai/gpt-?",), "openai/gpt-5", True),
            (("openai/gpt-[45]",), "openai/gpt-5", True),
            (("openai/gpt-[!45]",), "openai/gpt-5", False),
            (("anthropic/*", "openai/*"), "openai/gpt-5", True),
            (("anthropic/*", "google/*"), "openai/gpt-5", False),
            (("openai/gpt-4.1",), "openai/gpt-4x1", False),
        ],
    )
    def test_models(self, patterns, model_id, is_allowed):
        assert may_use_model(replace(MINE, allowed_models=patterns), model_id) is is_allowed
        assert may_use_provider(replace(MINE, allowed_providers=patterns), model_id) is is_allowed

    def test_each_list_is_for_itself(self):
        key = replace(MINE, allowed_models=("openai/*",), allowed_providers=("groq",))
        assert may_use_model(key, "openai/gpt-5")
        assert not may_use_model(key, "groq")
        assert may_use_provider(key, "groq")
        assert not may_use_provider(key, "openai/gpt-5")

    @given(st.lists(names, min_size=1, max_size=4), names)
    def test_as_a_shell_matches(self, patterns, name):
        expected = any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        key = replace(MINE, allowed_models=tuple(patterns))
        assert may_use_model(key, name) is may_use_model(key, name) is expected

    def test_many_stars_cost_no_exponential_time(self):
        key = replace(MINE, allowed_models=("*a" * 60 + "b",))
        assert not may_use_model(key, "a" * 5_000)

    def test_the_answer_is_remembered(self):
        key = replace(MINE, allowed_models=tuple(f"vendor-{n}/*" for n in range(100)))
        assert not may_use_model(key, "never/seen-before")
        misses = admit._matches.cache_info().misses
        for same in (key, replace(key, name="another with the same patterns")):
            assert not may_use_model(same, "never/seen-before")
        assert admit._matches.cache_info().misses == misses

    def test_the_refusal_names_what_is_allowed(self):
        key = replace(MINE, allowed_models=("openai/*", "*:free"), allowed_providers=("groq", "deepinfra"))
        for error in (refuse_model(key, "x-ai/grok"), refuse_providers(key, "x-ai/grok")):
            assert (error.status, error.error_type, error.param) == (403, "permission_denied", "model")
            assert "x-ai/grok" in error.message
            assert key.label in error.message
        assert "openai/*, *:free" in refuse_model(key, "x").message
        assert "groq, deepinfra" in refuse_providers(key, "x").message

    def test_it_stays_short(self):
        key = replace(MINE, allowed_models=tuple(f"vendor-{n}/*" for n in range(100)))
        message = refuse_model(key, "x" * 10_000).message
        assert "vendor-9/* and 90 more" in message
        assert len(message) < 600


@given(
    st.binary(max_size=30) | st.sampled_from([b"Bearer x", b"bearer  x ", b"Bearer", b"Basic x"]),
    st.binary(max_size=20),
)
def test_whatever_is_shown_is_a_key_or_none(authorization, api_key):
    for fields in ({b"authorization": authorization, b"x-api-key": api_key}, {b"x-api-key": api_key}):
        try:
            token = token_of(fields)
        except ApiError as refusal:
            assert refusal.status == 401  # noqa: PT017 - either is right
            continue
        assert token
        assert token == token.strip()
