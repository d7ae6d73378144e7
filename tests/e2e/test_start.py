"""Starts: the first key, data that survives, and what is refused."""

import pytest

from .caller import Caller
from .conftest import provider


def test_the_first_key_is_created_once_and_goes_on_working(new_gateway, simulators):
    env = {"FAIRLEAD_WORKERS": "1", **provider("real", simulators.start(), models="acme/large")}
    with new_gateway(env) as first:
        key = first.new_key
        assert key.startswith("sk-fl-v1-")
        with Caller(first, key) as caller:
            assert caller.chat("acme/large").status == 200
    with new_gateway(env, secrets=[key]) as second:
        assert second.new_key is None
        with Caller(second, key) as caller:
            assert caller.chat("acme/large").status == 200
            assert caller.chat("acme/large", key=key[:-1]).status == 401


@pytest.mark.parametrize(
    ("env", "code", "words"),
    [
        (
            {"FAIRLEAD_HOST": "0.0.0.0", "FAIRLEAD_WORKERS": "1", "OPENAI_API_KEY": "sk-e2e-of-openai"},
            2,
            "is open to the network and there is no inference key; set FAIRLEAD_API_KEYS",
        ),
        ({"FAIRLEAD_WORKER": "1"}, 2, "did you mean FAIRLEAD_WORKERS"),
        ({"FAIRLEAD_DATA_DIR": "/dev/null/fairlead"}, 2, "FAIRLEAD_DATA_DIR=/dev/null/fairlead: cannot be used"),
        (
            {"FAIRLEAD_DATA_DIR": "/proc", "FAIRLEAD_WORKERS": "1"},
            2,
            "FAIRLEAD_DATA_DIR=/proc: cannot be used ([Errno 2] No such file or directory: '/proc/store'); set it to a"
            " directory that this user can write to",
        ),
    ],
    ids=["open to the network without a key", "mistyped", "no place for data", "data cannot be written"],
)
def test_a_start_that_is_refused_says_why_in_one_line(new_gateway, env, code, words):
    gateway = new_gateway(env)
    gateway.launch()
    gateway.expect(words)
    assert gateway.wait() == code
    assert [line for line in gateway.lines if line and '"event":"stopping"' not in line] == [gateway.expect(words)]


def test_a_second_start_in_one_directory_names_the_first(new_gateway, shared):
    second = new_gateway({"FAIRLEAD_DATA_DIR": shared.env["FAIRLEAD_DATA_DIR"]})
    second.launch()
    second.expect(f"another fairlead (pid {shared.pid}) uses this directory")
    assert second.wait() == 2


def test_a_provider_of_weight_zero_gets_nothing(new_gateway, simulators):
    drained, serving = simulators.start(), simulators.start()
    env = {
        "FAIRLEAD_WORKERS": "1",
        "FAIRLEAD_API_KEYS": "sk-e2e-weights",
        **provider("a", drained, models="acme/both,acme/drained", weight=0),
        **provider("b", serving, models="acme/both"),
    }
    with new_gateway(env) as gateway, Caller(gateway, "sk-e2e-weights") as caller:
        assert {caller.chat("acme/both").status for _ in range(20)} == {200}
        assert caller.chat("acme/drained").status == 503
        assert not drained.requests
        assert len(serving.requests) == 20
