"""Several providers for one model: what goes wrong at one of them, nobody notices."""

import pytest

from .caller import HELLO


def ask_until_asked(client, model, bad):
    """Ask until `bad` has been, and a little longer; every request must succeed."""
    done = 0
    while not bad.requests or done < 3:
        with client.chat.completions.create(model=model, messages=HELLO, stream=True) as stream:
            assert [chunk.choices[0].finish_reason for chunk in stream if chunk.choices][-1] == "stop"
        assert client.chat.completions.create(model=model, messages=HELLO).choices[0].finish_reason == "stop"
        done += 1


@pytest.mark.parametrize(
    "fate",
    [
        {"status": 503},
        {"status": 500},
        {"status": 429, "retry_after": "1"},
        {"status": 404},
        {"reset_on_accept": True},
        {"garbage": b"not HTTP at all"},
        {"html": True},
        {"empty": True},
        {"cut_after": 0},
    ],
    ids=str,
)
def test_one_that_fails(client, upstreams, new_model, fate):
    bad, good = upstreams["first"], upstreams["second"]
    bad.does(**fate)
    before = bad.record.connections
    if "reset_on_accept" in fate:  # then no request is ever seen
        for _ in range(20):
            assert client.chat.completions.create(model=new_model("twin"), messages=HELLO)
        assert bad.record.connections > before
    else:
        ask_until_asked(client, new_model("twin"), bad)
    assert good.requests


@pytest.mark.parametrize(("name", "status"), [("locked", 401), ("broke", 402)])
def test_one_whose_account_is_out_of_order(client, upstreams, new_model, name, status):
    """It is left alone for all of its models, not for the one that showed it."""
    upstreams[name].does(status=status)
    ask_until_asked(client, new_model(name), upstreams[name])
    asked = len(upstreams[name].requests)
    for _ in range(20):
        assert client.chat.completions.create(model=new_model(name), messages=HELLO)
    assert len(upstreams[name].requests) <= asked + 1, "two workers, of which one may not have heard of it yet"


def test_one_that_refuses_connections(client, upstreams, new_model):
    models = [new_model("shut") for _ in range(10)]
    for model in models:
        raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
        assert raw.headers["x-fairlead-provider"] == "first"


def test_one_that_hangs(client, upstreams, new_model):
    upstreams["hasty"].does(hang=True)
    ask_until_asked(client, new_model("hasty"), upstreams["hasty"])


def test_the_caller_can_see_that_it_happened(client, upstreams, new_model):
    upstreams["first"].does(status=503)
    attempts = set()
    for _ in range(20):
        raw = client.chat.completions.with_raw_response.create(model=new_model("twin"), messages=HELLO)
        assert raw.headers["x-fairlead-provider"] == "second"
        attempts.add(raw.headers.get("x-fairlead-attempts"))
    assert attempts == {None, "2"}, "each provider has been the first to be asked"
