import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.pricing import Usage
from fairlead.telemetry.generation import Generation, GenerationAttempt, generation_of, pack, unpack
from fairlead.telemetry.record import AppAttribution, AttemptRecord, ExchangeRecord
from harness.jsontext import damaged


def record(**members):
    return ExchangeRecord("gen-1795276677-a", "gen-1795276677-a", 1795276677.25, 100.0, **members)


def test_there_and_back():
    told = generation_of(
        record(
            key_hash="k", asked="gpt", model="openai/gpt-4.1", provider="openai", is_stream=True, status=200, end="ok",
            attempts=[AttemptRecord("acme", "transient", 500, 0.25), AttemptRecord("openai", "ok", 200, 1.0)],
            first_content_at=100.5, ended_at=102.0, usage=Usage(7, 3, 2, 1, 1), cost_usd_nanos=13_000,
            finish_reason="stop", upstream_id="chatcmpl-1", session="s", user="u", is_estimated=True, is_free=True,
            app=AppAttribution("https://app.example", "App", ("cli-agent",), "curl/8"),
        )
    )  # fmt: skip
    assert unpack(pack(told)) == told
    assert told.attempts == (
        GenerationAttempt("acme", 500, "transient", 250),
        GenerationAttempt("openai", 200, "ok", 1000),
    )
    assert (told.first_content_ms, told.duration_ms, told.ended) == (500, 2000, 1795276679.25)
    assert (told.prompt_tokens, told.completion_tokens, told.cached_tokens, told.cache_write_tokens) == (7, 3, 2, 1)
    assert (told.asked, told.referer, told.categories, told.user_agent) == (
        "gpt", "https://app.example", ("cli-agent",), "curl/8",
    )  # fmt: skip


def test_what_is_said_once_is_not_said_twice():
    told = pack(generation_of(record(asked="acme/m", model="acme/m", ended_at=101.0)))
    assert told.count(b"gen-1795276677-a") == told.count(b"acme/m") == 1


def test_of_a_request_that_nobody_answered():
    told = generation_of(record(status=502, end="error", ended_at=100.1))
    assert (told.cost_usd_nanos, told.prompt_tokens, told.first_content_ms, told.provider) == (0, 0, 0, "")


@pytest.mark.parametrize("data", [b"", b"{}", b'{"id":1,"started":0}', b"[]"])
def test_what_is_no_generation(data):
    with pytest.raises(msgspec.DecodeError):
        unpack(data)


def test_a_newer_one_can_be_read():
    """By workers of the version before, while a fleet is exchanged."""
    assert unpack(b'{"id":"a","started":1.0,"something_new":[1]}') == Generation("a", 1.0)


WHOLE = pack(generation_of(record(asked="größe", user="\u2028", model="acme/m", ended_at=101.0)))


@given(damaged(st.just(WHOLE)) | damaged() | st.builds(b'{"id":"a","started":1,"%b":%b}'.__mod__, st.tuples(
    st.sampled_from([b"model", b"categories", b"attempts", b"considered", b"status", b"is_free"]), damaged()
)))  # fmt: skip
def test_whatever_stands_there_is_a_generation_or_none(data):
    try:
        found = unpack(data)
    except msgspec.DecodeError:
        return
    assert unpack(pack(found)) == found
