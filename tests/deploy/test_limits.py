"""What the load balancers are told agrees with the defaults of the gateway behind them."""

import re
from pathlib import Path

import pytest

from fairlead.config import SETTINGS, Settings
from harness.balancers import KINDS

LIMITS = Settings(data_dir=Path("nowhere"))
TEXTS = {kind.name: kind.shipped.read_text() for kind in KINDS}


def seconds(name, *keys):
    """The values, in seconds, of these keys of a file; each is there at least once."""
    found = {key: re.findall(rf"\b{key}:? (\d+)s\b", TEXTS[name]) for key in keys}
    assert all(found.values()), found
    return [int(value) for values in found.values() for value in values]


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("nginx", ["proxy_read_timeout"]),
        ("haproxy", ["timeout client", "timeout server", "hard-stop-after"]),
        ("caddy", ["response_header_timeout", "grace_period"]),
        ("envoy", ["stream_idle_timeout"]),
    ],
)
def test_they_wait_longer_than_the_gateway_does(name, keys):
    """Else a caller would read a page of the balancer's instead of the gateway's error."""
    assert min(seconds(name, *keys)) > LIMITS.timeouts.total_s


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("nginx", ["keepalive_timeout"]),
        ("haproxy", ["pool-purge-delay"]),
        ("caddy", ["keepalive"]),
        ("envoy", ["idle_timeout"]),
    ],
)
def test_idle_connections_are_closed_by_the_side_that_sends(name, keys):
    """A gateway that stops closes those that are left after its delay: a request under way to it would be lost."""
    idle = min(seconds(name, *keys))
    assert idle < LIMITS.drain_delay_s
    assert idle < LIMITS.keep_alive_s


@pytest.mark.parametrize(
    ("name", "keys"), [("haproxy", ["inter"]), ("caddy", ["health_interval"]), ("envoy", ["interval"])]
)
def test_a_drain_is_noticed_while_the_gateway_still_accepts(name, keys):
    assert 2 * max(seconds(name, *keys)) < LIMITS.drain_delay_s


def test_they_take_bodies_as_long_as_the_gateway_does():
    mib = LIMITS.max_body_bytes // 2**20
    assert f"client_max_body_size {mib}m;" in TEXTS["nginx"]
    assert f"max_size {mib}MiB" in TEXTS["caddy"]


@pytest.mark.parametrize(
    ("name", "key"),
    [("nginx", "client_body_timeout"), ("haproxy", "timeout http-request"), ("envoy", "request_headers_timeout")],
)
def test_they_wait_for_a_request_as_long_as_the_gateway_does(name, key):
    assert seconds(name, key) == [LIMITS.receive_timeout_s]


@pytest.mark.parametrize("name", TEXTS)
def test_the_variables_that_they_name_exist(name):
    named = set(re.findall(r"\bFAIRLEAD_\w+", TEXTS[name]))
    assert named
    assert named <= {setting.variable for setting in SETTINGS}
