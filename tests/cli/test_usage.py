import asyncio
import csv
import io
import json

import pytest

from fairlead.access.keys import from_token
from fairlead.access.rollup import Amounts, Row
from fairlead.cli.usage import csv_text, summed, table
from fairlead.store.keys import KeyStore
from fairlead.store.redis import connect
from harness.ledger import DAY_S, NOON, Scribe, generation

WEB = from_token("web's", "web")
PERIOD = ("--since", "2026-11-01", "--until", "2026-11-30")


@pytest.fixture
def ledger(kept_store):
    """Two days of two keys, one of them stored; and a generation that has been corrected."""

    async def fill():
        client = connect(kept_store.url)
        await KeyStore(client).add(WEB)
        scribe = Scribe(client)
        guess = generation(NOON - DAY_S, key=WEB.hash, cost_usd_nanos=500_000_000, is_estimated=True)
        await scribe.charge(
            generation(key=WEB.hash, cost_usd_nanos=1, prompt_tokens=10, completion_tokens=5),
            generation(key="f" * 64, model='odd, "model"', provider="", cost_usd_nanos=2_000_000_000),
            guess,
            generation(NOON - 40 * DAY_S, key=WEB.hash, cost_usd_nanos=9),
        )
        await scribe.charge(generation(NOON - DAY_S, id=guess.id, key=WEB.hash, cost_usd_nanos=300_000_000))
        await client.aclose()

    asyncio.run(fill())


def test_by_day_as_a_table(fairlead, ledger):
    assert fairlead("usage", *PERIOD).stdout.splitlines() == [
        "day         requests  prompt  completion  reasoning  cached          usd",
        "2026-11-20         1       0           0          0       0          0.3",
        "2026-11-21         2      10           5          0       0  2.000000001",
        "total              3      10           5          0       0  2.300000001",
    ]


def test_by_key_with_names_the_dearest_first(fairlead, ledger):
    lines = fairlead("usage", "--by", "key", *PERIOD).stdout.splitlines()
    assert [line.split()[:-6] for line in lines[1:]] == [["f" * 12], [WEB.hash[:12], "web"], ["total"]]


def test_by_model_and_by_provider_as_csv(fairlead, ledger):
    told = fairlead("usage", "--by", "model", "--csv", *PERIOD).stdout
    assert list(csv.reader(io.StringIO(told))) == [
        ["model", "requests", "prompt", "completion", "reasoning", "cached", "usd"],
        ['odd, "model"', "1", "0", "0", "0", "0", "2"],
        ["acme/large", "2", "10", "5", "0", "0", "0.300000001"],
    ]
    told = fairlead("usage", "--by", "provider", "--csv", *PERIOD).stdout
    assert [line[0] for line in csv.reader(io.StringIO(told))] == ["provider", "", "acme"]


def test_as_json(fairlead, ledger):
    told = json.loads(fairlead("usage", "--by", "key", "--json", *PERIOD).stdout)
    assert [(row["key"], row["requests"], row["usd_nanos"], row["usd"]) for row in told] == [
        ("f" * 64, 1, 2_000_000_000, 2.0),
        (WEB.hash, 2, 300_000_001, 0.300000001),
    ]


def test_the_period(fairlead, ledger):
    for period, days in [
        (("--since", "2026-11-21", "--until", "2026-11-21"), ["2026-11-21"]),
        (("--until", "2026-11-20"), ["2026-11-20"]),
        (("--since", "2026-10-01", "--until", "2026-11-20"), ["2026-10-12", "2026-11-20"]),
    ]:
        told = json.loads(fairlead("usage", "--json", *period).stdout)
        assert [row["day"] for row in told] == days


def test_the_ledger_as_json_lines(fairlead, ledger):
    lines = [json.loads(line) for line in fairlead("usage", "export", *PERIOD).stdout.splitlines()]
    assert [(line["cost_usd_nanos"], line["adds_usd_nanos"]) for line in lines] == [
        (1, 1),
        (2_000_000_000, 2_000_000_000),
        (500_000_000, 500_000_000),
        (300_000_000, -200_000_000),
    ]
    assert sum(line["adds_usd_nanos"] for line in lines) == 2_300_000_001
    assert lines[3]["id"] == lines[2]["id"]
    assert lines[3]["corrects_usd_nanos"] == 500_000_000
    assert lines[1]["model"] == 'odd, "model"'
    assert all(line["entry"] for line in lines)


def test_nothing_was_used(fairlead, kept_store):
    assert fairlead("usage").stdout.splitlines()[-1].split() == ["total", "0", "0", "0", "0", "0", "0"]
    assert fairlead("usage", "--json").stdout == "[]\n"
    assert fairlead("usage", "--csv").stdout == "day,requests,prompt,completion,reasoning,cached,usd\n"
    assert fairlead("usage", "export").stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--by", "colour"],
        ["--since", "yesterday"],
        ["--since", "2026-11-02", "--until", "2026-11-01"],
        ["--csv", "--json"],
        ["export", "--until", "x"],
    ],
    ids=" ".join,
)
def test_wrong_usage(fairlead, arguments):
    done = fairlead("usage", *arguments)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_store_that_is_away(fairlead):
    for arguments in (["usage"], ["usage", "export"]):
        done = fairlead(*arguments, FAIRLEAD_REDIS_URL="unix:///nonexistent.sock")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("fairlead: the store cannot be reached: ")


def test_what_has_no_name_has_a_line_of_its_own():
    rows = [Row("20261121", "", "", "", Amounts(1, -5)), Row("20261121", "k", "m", "p", Amounts(2, 3))]
    assert list(summed(rows, "model")) == ["m", ""]
    assert table("model", summed(rows, "model"), {})[2].startswith("- ")
    assert csv_text("key", summed(rows, "key")).splitlines()[1:] == [
        "k,2,0,0,0,0,0.000000003",
        ",1,0,0,0,0,-0.000000005",
    ]
