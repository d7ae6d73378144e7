"""With the real store, started for the moment of each command, or kept by somebody else."""

import json
import re

import pytest
from redis import Redis

from fairlead import clock
from fairlead.access.iso import unix_of
from fairlead.access.keys import from_token, is_well_formed, key_hash
from fairlead.access.windows import windows_at
from fairlead.cli.keys import matching
from fairlead.store.money import SLOT


def test_life_of_a_key_in_a_store_started_for_the_moment(fairlead):
    assert fairlead("keys", "list").stderr == "No keys yet: fairlead keys create --name NAME\n"

    created = fairlead("keys", "create", "--name", "web")
    token = created.stdout.strip()
    assert (created.returncode, created.stderr) == (0, "Store it now: it cannot be shown again.\n")
    assert is_well_formed(token.encode())

    listed = fairlead("keys", "list").stdout
    digest = key_hash(token.encode())
    assert re.fullmatch(rf"{digest[:12]}  sk-fl-v1-\S+  active    \d{{4}}-\d\d-\d\d  0 USD +web\n", listed)
    assert token not in listed

    assert fairlead("keys", "disable", "web").stdout.endswith(" web disabled\n")
    assert "  disabled  " in fairlead("keys", "list").stdout
    assert fairlead("keys", "enable", digest[:6]).stdout.endswith(" web enabled\n")
    assert "  active  " in fairlead("keys", "list").stdout
    assert fairlead("keys", "delete", "web").stdout.endswith(" web deleted\n")
    assert fairlead("keys", "list").stdout == ""


def test_json_is_that_of_the_api(fairlead, kept_store):
    created = json.loads(fairlead("keys", "create", "--name", "ci", "--json").stdout)
    token = created.pop("key")
    assert created["hash"] == key_hash(token.encode())
    assert (created["name"], created["disabled"], created["limit"], created["usage"]) == ("ci", False, None, 0)
    assert json.loads(fairlead("keys", "list", "--json").stdout) == [created]
    assert json.loads(fairlead("keys", "show", "ci", "--json").stdout) == created
    disabled = json.loads(fairlead("keys", "disable", "ci", "--json").stdout)
    assert unix_of(disabled["updated_at"]) >= unix_of(created["created_at"])
    assert disabled == created | {"disabled": True, "updated_at": disabled["updated_at"]}
    enabled = json.loads(fairlead("keys", "enable", "ci", "--json").stdout)
    assert enabled == created | {"updated_at": enabled["updated_at"]}
    deleted = json.loads(fairlead("keys", "delete", "ci", "--json").stdout)
    assert deleted == {"deleted": True, "hash": created["hash"]}
    assert json.loads(fairlead("keys", "list", "--json").stdout) == []


def test_every_condition(fairlead, kept_store):
    began = int(clock.wall())
    created = fairlead(
        *("keys", "create", "--name", "team", "--limit", "12.5", "--reset", "monthly", "--expires", "7d"),
        *("--models", "openai/*, *:free", "--providers", "groq", "--rpm", "60", "--tpm", "1000", "--concurrency", "2"),
        *("--resume-tokens", "0"),
        "--json",
    )
    assert created.returncode == 0, created.stderr
    found = json.loads(created.stdout)
    assert 0 <= unix_of(found["expires_at"]) - began - 7 * 86_400 < 60
    expected = {
        "limit": 12.5,
        "limit_remaining": 12.5,
        "limit_reset": "monthly",
        "allowed_models": ["openai/*", "*:free"],
        "allowed_providers": ["groq"],
        "requests_per_minute": 60,
        "tokens_per_minute": 1000,
        "max_concurrency": 2,
        "resume_tokens": 0,
        "is_management": False,
    }
    assert found | expected == found


def test_a_management_key(fairlead, kept_store):
    assert (
        fairlead("keys", "create", "--name", "boss", "--management", "--expires", "2099-12-31T23:59:59Z").returncode
        == 0
    )
    shown = fairlead("keys", "show", "boss").stdout
    assert re.search(r"^for +management$", shown, re.MULTILINE)
    assert re.search(r"^expires +2099-12-31T23:59:59Z$", shown, re.MULTILINE)
    assert fairlead("keys", "list").stdout.endswith(" boss (management)\n")


def test_what_has_been_spent_is_shown(fairlead, kept_store):
    created = json.loads(fairlead("keys", "create", "--name", "web", "--limit", "5", "--json").stdout)
    now = clock.wall()
    fields = dict.fromkeys(windows_at(now).values(), 1_250_000_000) | {"n": 3, "last": int(now)}
    with Redis.from_url(kept_store.url) as client:
        client.hset(f"{SLOT}spent:{created['hash']}", mapping=fields)
    found = json.loads(fairlead("keys", "show", "web", "--json").stdout)
    assert (found["usage"], found["limit_remaining"]) == (1.25, 3.75)
    assert unix_of(found["last_used_at"]) == int(now)
    assert "1.25 of 5 USD  " in fairlead("keys", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "option", "remedy"),
    [
        (["--limit", "-1"], "--limit", "an amount in USD, a number from 0 to 8000000"),
        (["--limit", "nan"], "--limit", "an amount in USD"),
        (["--limit", "1e999999999"], "--limit", "an amount in USD"),
        (["--limit", "five"], "--limit", "an amount in USD"),
        (["--reset", "yearly"], "--reset", "daily, weekly, monthly"),
        (["--expires", "2001-01-01T00:00:00Z"], "--expires", "has passed"),
        (["--expires", "tomorrow"], "--expires", "such as 2099-12-31T23:59:59Z"),
        (["--models", ""], "--models", "a list of 1 to 100 patterns"),
        (["--providers", "a,,b"], "--providers", "a list of 1 to 100 patterns"),
        (["--rpm", "0"], "--rpm", "a whole number of requests from 1"),
        (["--tpm", "x"], "--tpm", "integer"),
        (["--concurrency", "-1"], "--concurrency", "a whole number"),
        (["--name", "x" * 300], "--name", "1 to 200 printable characters"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else None,
)
def test_a_wrong_option_is_named_with_its_remedy(fairlead, arguments, option, remedy):
    done = fairlead("keys", "create", *arguments, FAIRLEAD_REDIS_URL="unix:///nonexistent.sock")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Invalid value for {option}" in done.stderr.replace("'", "")
    assert remedy in done.stderr
    assert "Traceback" not in done.stderr


def test_no_key_of_that_name(fairlead, kept_store):
    fairlead("keys", "create")
    for command, wanted in (("delete", "nobody"), ("delete", ""), ("show", "nobody"), ("disable", "nobody")):
        done = fairlead("keys", command, wanted)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"fairlead: no keys match {wanted!r}: see fairlead keys list\n"


def test_two_keys_of_one_name(fairlead, kept_store):
    for _ in range(2):
        fairlead("keys", "create", "--name", "twin")
    done = fairlead("keys", "disable", "twin")
    assert (done.returncode, done.stderr) == (1, "fairlead: 2 keys match 'twin': see fairlead keys list\n")


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
