"""As deploy/ runs it: no capabilities, a root that is read-only, and nothing to write to but its data directory."""

import shutil
import signal
import subprocess

import pytest

from harness import process

from .caller import Caller
from .conftest import provider

KEY = "sk-e2e-confined-77d1"
ENTER = ("unshare", "--mount", "--propagation", "private", "sh", "-euc")
MOUNTS = """
data=$1; shift
mount --bind "$data" "$data"
mount -o remount,bind,ro /
! touch beside 2>/dev/null
touch "$data/inside"
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""
"""Of this process and its children alone: the mounts are private."""


@pytest.fixture
def confined(tmp_path, monkeypatch):
    """The data directory to which every gateway of this test is confined."""
    data = tmp_path / "data"
    data.mkdir()
    before = [*ENTER, MOUNTS, "confine", str(data)]
    if (
        not all(map(shutil.which, ("unshare", "setpriv")))
        or subprocess.run([*before, "true"], cwd=tmp_path, capture_output=True, check=False).returncode
    ):
        pytest.skip("no mounts of one's own on this machine")
    monkeypatch.setattr(process, "PROGRAM", (*before, *process.PROGRAM))
    return data


def test_it_starts_reloads_and_drains_with_a_store_of_its_own(confined, simulators, new_gateway, tmp_path):
    lab = simulators.start()
    env = {"FAIRLEAD_WORKERS": "2", "FAIRLEAD_API_KEYS": KEY, **provider("lab", lab, models="acme/large")}
    gateway = new_gateway(env).start()
    with Caller(gateway, KEY) as caller:
        assert caller.chat("acme/large").status == 200
    gateway.signal(signal.SIGHUP)
    gateway.expect("reloaded")
    with Caller(gateway, KEY) as caller:
        assert caller.chat("acme/large").status == 200
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    assert (confined / "admin.key").exists()
    assert (confined / "store").is_dir()
    assert not (tmp_path / "beside").exists()
    assert "read-only" not in gateway.output.lower()
