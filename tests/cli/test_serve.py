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


@pytest.mark.parametrize(
    ("variable", "content", "words"),
    [
        ("FAIRLEAD_CATALOG", "models = [", "FAIRLEAD_CATALOG is not valid TOML: "),
        ("FAIRLEAD_CATALOG", '[models."a/b"]\nprize = 1', "has no member 'prize' (did you mean 'price'?)"),
        ("SSL_CERT_FILE", "no certificate", "name a file with certificates in PEM form"),
    ],
)
def test_a_broken_file_is_2_before_anything_is_started(fairlead, tmp_path, variable, content, words):
    file = tmp_path / "broken.toml"
    file.write_text(content)
    done = fairlead("serve", FAIRLEAD_PORT="0", **{variable: str(file)})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("fairlead: ")
    assert words in done.stderr
    assert str(file) in done.stderr


@pytest.mark.e2e
def test_with_keys_in_the_environment_no_first_key_is_made(tmp_path, fairlead):
    said = serve_and_stop(tmp_path, {"FAIRLEAD_API_KEYS": "sk-0123456789abcdef", "FORCE_COLOR": "1"})
    assert "$FAIRLEAD_KEY" in said
    assert "sk-fl-v1-" not in said
    assert json.loads(fairlead("keys", "list", "--json").stdout) == []
    assert COLOR in said


@pytest.mark.e2e
def test_the_admin_key_is_made_and_shown_once(tmp_path):
    with GatewayProcess(tmp_path, LAB) as first:
        key = first.new_admin_key
    assert key.startswith("sk-fl-admin-v1-")
    said = serve_and_stop(tmp_path, {})
    assert f"admin key  that of {tmp_path / 'data' / 'admin.key'}\n" in said
    assert key not in said
    said = serve_and_stop(tmp_path, {"FAIRLEAD_ADMIN_KEY": "sk-0123456789abcdef"})
    assert "admin key  that of FAIRLEAD_ADMIN_KEY\n" in said


@pytest.mark.e2e
def test_no_place_for_an_admin_key_is_no_reason_not_to_serve(tmp_path, redis_url):
    """As in a container that may not write and has its store elsewhere."""
    said = serve_and_stop(tmp_path, {"FAIRLEAD_REDIS_URL": redis_url, "FAIRLEAD_DATA_DIR": "/dev/null/data"})
    assert "admin key  none, and nobody gets in: /dev/null/data/admin.key cannot be " in said


@pytest.mark.e2e
def test_the_example_asks_for_the_cheapest_model_and_no_color_wins(tmp_path):
    env = {"FAIRLEAD_PROVIDERS__LAB__MODELS": "openai/gpt-4.1,openai/gpt-4.1-nano", "FORCE_COLOR": "1", "NO_COLOR": "1"}
    said = serve_and_stop(tmp_path, env)
    assert '"model": "openai/gpt-4.1-nano"' in said
    assert "(new; shown only this once)" in said
    assert COLOR not in said
