"""With the real store, started for the moment of each command, or kept by somebody else."""

import json
import re

import pytest

from fairlead.access.keys import from_token, is_well_formed, key_hash
from fairlead.cli.keys import matching
from fairlead.store.embedded import EmbeddedStore


@pytest.fixture
def kept_store(tmp_path):
    """A store in the data directory, as a running gateway has one."""
    store = EmbeddedStore(tmp_path / "data")
    store.start()
    yield store
    store.stop()


def test_life_of_a_key_in_a_store_started_for_the_moment(fairlead):
    assert fairlead("keys", "list").stderr == "No keys yet: fairlead keys create --name NAME\n"

    created = fairlead("keys", "create", "--name", "web")
    token = created.stdout.strip()
    assert (created.returncode, created.stderr) == (0, "Store it now: it cannot be shown again.\n")
    assert is_well_formed(token.encode())

    listed = fairlead("keys", "list").stdout
    digest = key_hash(token.encode())
    assert re.fullmatch(rf"{digest[:12]}  sk-fl-v1-\S+  active    \d{{4}}-\d\d-\d\d  web\n", listed)
    assert token not in listed

    assert fairlead("keys", "disable", "web").stdout.endswith(" web disabled\n")
    assert "  disabled  " in fairlead("keys", "list").stdout
    assert fairlead("keys", "enable", digest[:6]).stdout.endswith(" web enabled\n")
    assert "  active  " in fairlead("keys", "list").stdout
    assert fairlead("keys", "delete", "web").stdout.endswith(" web deleted\n")
    assert fairlead("keys", "list").stdout == ""


def test_json_of_create_and_list(fairlead, kept_store):
    created = json.loads(fairlead("keys", "create", "--name", "ci", "--json").stdout)
    token = created.pop("key")
    assert created["hash"] == key_hash(token.encode())
    assert created["name"] == "ci"
    assert created["is_disabled"] is False
    assert json.loads(fairlead("keys", "list", "--json").stdout) == [created]


def test_the_store_of_a_running_gateway_is_used(fairlead, kept_store):
    fairlead("keys", "create", "--name", "one")
    assert kept_store.how_it_ended() is None
    named = fairlead("keys", "list", FAIRLEAD_REDIS_URL=kept_store.url, FAIRLEAD_DATA_DIR="elsewhere")
    assert named.stdout.endswith("  one\n")


def test_no_key_of_that_name(fairlead, kept_store):
    fairlead("keys", "create")
    for wanted in ("nobody", ""):
        done = fairlead("keys", "delete", wanted)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"fairlead: no keys match {wanted!r}: see fairlead keys list\n"


def test_two_keys_of_one_name(fairlead, kept_store):
    for _ in range(2):
        fairlead("keys", "create", "--name", "twin")
    done = fairlead("keys", "disable", "twin")
    assert (done.returncode, done.stderr) == (1, "fairlead: 2 keys match 'twin': see fairlead keys list\n")


@pytest.mark.parametrize("arguments", [["list"], ["create"], ["delete", "web"]], ids=" ".join)
def test_a_store_that_is_away(fairlead, arguments):
    done = fairlead("keys", *arguments, FAIRLEAD_REDIS_URL="unix:///nonexistent.sock")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("fairlead: the store cannot be reached: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_name_counts_before_a_hash():
    web, other = from_token("a", "web"), from_token("b", "")
    by_name = from_token("c", other.hash[:8])
    assert matching([web, other], "web") == [web]
    assert matching([web, other], other.hash) == [other]
    assert matching([web, other, by_name], other.hash[:8]) == [by_name]


def test_too_little_of_a_hash_names_no_key():
    key = from_token("a", "")
    assert matching([key], key.hash[:4]) == [key]
    assert matching([key], key.hash[:3]) == []
    assert matching([key], "") == []
