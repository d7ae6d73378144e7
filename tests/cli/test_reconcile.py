import asyncio
import json

import pytest

from fairlead.access.audit import Difference
from fairlead.access.keys import from_token
from fairlead.cli.reconcile import line_of
from fairlead.store.keys import KeyStore
from fairlead.store.money import SLOT
from fairlead.store.redis import connect
from harness.ledger import NOON, Scribe, generation

WEB = from_token("web's", "web")


def in_store(store, use):
    async def run():
        client = connect(store.url)
        try:
            return await use(client)
        finally:
            await client.aclose()

    return asyncio.run(run())


@pytest.fixture
def ledger(kept_store):
    async def fill(client):
        await KeyStore(client).add(WEB)
        await Scribe(client).charge(generation(NOON, key=WEB.hash, cost_usd_nanos=1_500_000_000), generation(key=""))

    in_store(kept_store, fill)
    return kept_store


async def spoil(client):
    await client.hincrby(f"{SLOT}spent:{WEB.hash}", "total", 250_000_000)
    await client.hdel(f"{SLOT}spent:*", "m:202611")
    await client.hincrby(f"{SLOT}day:20261121", f"{WEB.hash}|acme/large|acme|requests", 1)


def test_when_everything_agrees(fairlead, ledger):
    done = fairlead("reconcile")
    assert (done.returncode, done.stdout) == (0, "2 entries, 1 day, 2 accounts: no difference\n")


def test_json_tells_what_differs(fairlead, ledger):
    done = fairlead("reconcile", "--json")
    agreed = {"entries": 2, "days": 1, "accounts": 2, "is_repaired": False, "differences": []}
    assert (done.returncode, done.stderr, json.loads(done.stdout)) == (0, "", agreed)
    in_store(ledger, spoil)
    done = fairlead("reconcile", "--json", "--repair")
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["is_repaired"]) == (1, "", True)
    assert {
        "place": f"spent:{WEB.hash}",
        "field": "total",
        "stored": 1_750_000_000,
        "ledger": 1_500_000_000,
        "excess": 250_000_000,
    } in told["differences"]
    assert json.loads(fairlead("reconcile", "--json").stdout) == agreed


def test_a_line_for_each_difference(fairlead, ledger):
    in_store(ledger, spoil)
    done = fairlead("reconcile")
    web = f"{WEB.hash[:12]} (web)"
    assert done.stdout.splitlines() == [
        f"day 20261121 {web} acme/large acme requests: counter 2, ledger 1, difference +1",
        "* m:202611: counter missing, ledger 1.5, difference -1.5 USD",
        f"{web} total: counter 1.75, ledger 1.5, difference +0.25 USD",
    ]
    assert done.stderr == (
        "2 entries, 1 day, 2 accounts: 3 differences; set them right with: fairlead reconcile --repair\n"
    )
    assert done.returncode == 1


def test_a_repair(fairlead, ledger):
    in_store(ledger, spoil)
    done = fairlead("reconcile", "--repair")
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 3)
    assert done.stderr.endswith(": 3 differences; repaired\n")
    assert fairlead("reconcile").returncode == 0
    assert fairlead("reconcile", "--repair").stdout == "2 entries, 1 day, 2 accounts: no difference\n"


def test_an_empty_store_that_nobody_has(fairlead):
    done = fairlead("reconcile")
    assert (done.returncode, done.stdout) == (0, "0 entries, 0 days, 1 account: no difference\n")


def test_a_ledger_that_is_gone(fairlead, ledger):
    in_store(ledger, lambda client: client.delete(f"{SLOT}ledger"))
    assert fairlead("reconcile").stdout == (
        "0 entries, 1 day, 2 accounts (there is no ledger: only accounts are compared, with the sums of days):"
        " no difference\n"
    )


def test_what_the_ledger_holds_no_longer_is_said(fairlead, ledger):
    in_store(ledger, lambda client: client.xtrim(f"{SLOT}ledger", maxlen=1, approximate=False))
    told = fairlead("reconcile").stdout
    assert told.startswith("1 entry, 1 day, 2 accounts (days before 20")
    assert told.endswith(" by their sums: the ledger has not all of their entries): no difference\n")


def test_what_cannot_be_read_is_named(fairlead, ledger):
    in_store(ledger, lambda client: client.hset(f"{SLOT}spent:*", "total", "plenty"))
    done = fairlead("reconcile")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("fairlead: fl:1:{money}:spent:* holds b'plenty' as 'total'")


def test_a_store_that_is_away(fairlead):
    done = fairlead("reconcile", FAIRLEAD_REDIS_URL="unix:///nonexistent.sock")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("fairlead: the store cannot be reached: ")


@pytest.mark.parametrize(
    ("difference", "line"),
    [
        (Difference("spent:*", "n", 5, 7), "* n: counter 5, ledger 7, difference -2"),
        (
            Difference("day:20261121", "|||requests", 1, 0),
            "day 20261121 - - - requests: counter 1, ledger 0, difference +1",
        ),
        (Difference("day:20261121", "junk", 1, 0), "day 20261121 junk: counter 1, ledger 0, difference +1"),
        (
            Difference("day:20261121", "k|m|p|usd_nanos", None, 1),
            "day 20261121 k m p usd_nanos: counter missing, ledger 0.000000001, difference -0.000000001 USD",
        ),
    ],
)
def test_lines(difference, line):
    assert line_of(difference, {}) == line
