import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.wire.conversation import conversation_of

TURN = {"role": "user", "content": "What is rain?"}
SYSTEM = {"role": "system", "content": "Be brief."}
MORE = [{"role": "assistant", "content": "Water."}, {"role": "user", "content": "And snow?"}]


def of(messages=(TURN,), session=b"", **members):
    body = {"messages": list(messages), **members}
    return conversation_of(lambda name: json.dumps(body[name]).encode() if name in body else None, session)


def test_it_is_known_by_how_it_began():
    first = of([SYSTEM, TURN])
    assert not first.is_session
    assert of([SYSTEM, TURN, *MORE]) == first
    assert of([{**SYSTEM, "content": "Be long."}, TURN]) != first
    assert of([SYSTEM, *MORE]) != first


def test_the_callers_word_goes_before_that():
    assert of(session=b"s") == of(MORE, b"s", prompt_cache_key="k") != of(session=b"t")
    assert of(session=b"s").is_session
    assert of(prompt_cache_key="k") == of(MORE, prompt_cache_key="k") != of(prompt_cache_key="l")
    assert not of(prompt_cache_key="k").is_session


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_cache_key_that_says_nothing_is_none(nothing):
    assert of(prompt_cache_key=nothing) == of()


@given(st.binary(max_size=200), st.binary(max_size=20), st.none() | st.binary(max_size=20))
def test_whatever_the_bytes_are_there_is_a_number(messages, session, named):
    members = {"messages": messages, "prompt_cache_key": named}
    assert 0 < conversation_of(members.get, session).number < 1 << 32
