"""What the command adds to the process tree; that one as a whole is tested in `e2e/`."""

import json
import signal
import socket

import pytest

from harness.process import GatewayProcess

LAB = {
    "FAIRLEAD_PROVIDERS__LAB__BASE_URL": "http://127.0.0.1:9/v1",
    "FAIRLEAD_PROVIDERS__LAB__MODELS": "acme/large,acme/small",
    "FAIRLEAD_WORKERS": "1",
    "FAIRLEAD_LOG_FORMAT": "text",
}
COLOR = "\x1b["


def serve_and_stop(directory, env):
    """Return all that a gateway printed from its start to a Ctrl-C."""
    with GatewayProcess(directory, LAB | env) as gateway:
        gateway.signal(signal.SIGINT)
        assert gateway.wait() == 0
    return gateway.output


def test_flags_come_before_the_environment_and_are_checked_as_it_is(fairlead):
    done = fairlead("serve", "--port", "many", FAIRLEAD_PORT="0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith('fairlead: FAIRLEAD_PORT="many" (flag): ')


def test_a_port_in_use_is_2_and_names_the_remedy(fairlead):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = fairlead("serve", "--port", str(port))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"fairlead: FAIRLEAD_PORT={port}: another program listens")


@pytest.mark.e2e
def test_with_keys_in_the_environment_no_first_key_is_made(tmp_path, fairlead):
    said = serve_and_stop(tmp_path, {"FAIRLEAD_API_KEYS": "sk-0123456789abcdef", "FORCE_COLOR": "1"})
    assert "$FAIRLEAD_KEY" in said
    assert "sk-fl-" not in said
    assert json.loads(fairlead("keys", "list", "--json").stdout) == []
    assert COLOR in said


@pytest.mark.e2e
def test_the_example_asks_for_the_cheapest_model_and_no_color_wins(tmp_path):
    env = {"FAIRLEAD_PROVIDERS__LAB__MODELS": "openai/gpt-4.1,openai/gpt-4.1-nano", "FORCE_COLOR": "1", "NO_COLOR": "1"}
    said = serve_and_stop(tmp_path, env)
    assert '"model": "openai/gpt-4.1-nano"' in said
    assert "(new; shown only this once)" in said
    assert COLOR not in said
