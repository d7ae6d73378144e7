"""What other gateways are installed from, and what becomes of an environment that cannot be made."""

import json
import re

import pytest
from bench.peers.install import ENVIRONMENTS, ensure
from bench.targets import HERE

from bench import targets

PYTHON = sorted(ENVIRONMENTS.glob("*/requirements.lock"))
NODE = sorted(ENVIRONMENTS.glob("*/package-lock.json"))


@pytest.fixture
def places(tmp_path):
    environment = tmp_path / "environments" / "tiny"
    environment.mkdir(parents=True)
    return environment / "requirements.lock", tmp_path / "environments", tmp_path / "peers"


@pytest.mark.parametrize("lock", PYTHON, ids=lambda lock: lock.parent.name)
def test_locks_have_hashes_and_say_not_where_from(lock):
    text = lock.read_text(encoding="utf-8")
    entries = re.findall(r"^[a-zA-Z0-9][^\n]*==[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^[a-zA-Z0-9]", text, re.MULTILINE)) > 3
    assert "://" not in text
    for line in (lock.parent / "requirements.in").read_text(encoding="utf-8").splitlines():
        if "==" in line:
            name, _, version = line.partition("==")
            assert f"\n{name.partition('[')[0]}=={version}" in f"\n{text.replace('[proxy]', '')}"


@pytest.mark.parametrize("lock", NODE, ids=lambda lock: lock.parent.name)
def test_locks_of_node_too(lock):
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    packages.pop("")
    assert packages
    assert not [name for name, package in packages.items() if "integrity" not in package or "resolved" in package]


def test_each_target_has_its_environment_and_its_files():
    declared = targets.load(HERE / "peers" / "peers.toml")
    assert {target.name for target in declared} >= {"nginx", "haproxy", "fairlead", "smg", "tensorzero", "litellm"}
    locked = {lock.parent.name for lock in [*PYTHON, *NODE]}
    assert {target.environment for target in declared} - {""} == locked
    assert all((HERE / "targets" / name).exists() for target in declared for name in target.files)


def test_an_environment_is_made_once_and_anew_when_its_lock_has_changed(places):
    lock, environments, peers = places
    lock.write_text("")
    assert ensure("tiny", environments, peers) == ""
    mark = peers / "tiny" / "mark"
    mark.touch()
    assert ensure("tiny", environments, peers) == ""
    assert mark.exists()
    lock.write_text("# changed\n")
    assert ensure("tiny", environments, peers) == ""
    assert not mark.exists()


def test_what_cannot_be_installed_says_why_and_is_tried_again(places, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    lock, environments, peers = places
    lock.write_text(f"no-such-package==1.0 --hash=sha256:{'0' * 64}\n")
    for _ in range(2):
        assert "no-such-package" in ensure("tiny", environments, peers)
        assert not (peers / "tiny" / ".ready").exists()


def test_an_environment_without_a_lock_is_said_to_be_one(places):
    _, environments, peers = places
    assert ensure("tiny", environments, peers) == "bench/peers/environments has no lock for tiny"
