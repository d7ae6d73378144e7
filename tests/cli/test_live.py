import asyncio
import re
from typing import get_args

import pytest

from fairlead.catalog.model import Provider
from fairlead.cli.live import ask_all, lines, row_of, variables
from fairlead.config import ProviderSettings, Settings
from fairlead.demo import DEMO_PROVIDERS, Simulator
from fairlead.upstream.ping import Fault, Pinged

GOOD = Pinged(0.12, 200, models=7, is_key_known=True)


def item(slug="acme", key="sk-up-secret", declared=None, base_url="http://127.0.0.1:9/v1"):
    return ProviderSettings(provider=Provider(slug, slug, base_url, key), declared_models=declared)


def row(pinged, **members):
    return row_of(item(**members), pinged, 10.0)


def test_one_that_answers_as_it_should():
    assert row(GOOD) == {
        "provider": "acme", "ok": True, "status": 200, "latency_ms": 120, "models": 7, "has_key": True,
        "is_key_known": True, "problem": None, "remedy": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "problem", "remedy"),
    [
        (200, "no list of models", "ACME__BASE_URL"),
        (302, "redirects", "ACME__BASE_URL"),
        (401, "refuses the key (401)", "ACME__API_KEY"),
        (403, "refuses the key (403)", "ACME__API_KEY"),
        (402, "no credit", "add some"),
        (404, "does not know /models", "ACME__BASE_URL"),
        (429, "no more requests", "wait"),
        (500, "fails (500)", "later"),
        (503, "fails (503)", "later"),
    ],
)
def test_what_is_wrong_and_what_to_do(status, problem, remedy):
    told = row(Pinged(0.1, status))
    assert not told["ok"]
    assert problem in told["problem"]
    assert remedy in told["remedy"]


@pytest.mark.parametrize("fault", get_args(Fault))
def test_every_fault_has_a_remedy(fault):
    told = row(Pinged(0.1, fault=fault))
    assert (told["ok"], told["status"], told["latency_ms"]) == (False, None, None)
    assert told["problem"]
    assert re.search("[A-Z_]{6}", told["remedy"])


@pytest.mark.parametrize("status", [200, 404])
def test_who_has_no_list_needs_none_where_models_are_declared(status):
    told = row(Pinged(0.1, status), declared=(("acme/a", "a"),))
    assert told["ok"]
    assert "says nothing of the key" in lines([told])[1]


def test_a_key_that_nobody_has_looked_at_is_not_called_good():
    told = row(Pinged(0.1, 200, models=7))
    assert told["ok"]
    assert "says nothing of the key" in lines([told])[1]
    assert "key" not in lines([row(Pinged(0.1, 200, models=7), key=None)])[1]


def test_variables_are_those_that_set_it():
    assert variables("openai") == ("OPENAI_API_KEY", "OPENAI_BASE_URL")
    assert variables("my-lab") == ("FAIRLEAD_PROVIDERS__MY_LAB__API_KEY", "FAIRLEAD_PROVIDERS__MY_LAB__BASE_URL")


def test_the_table():
    told = lines([row(GOOD), row(Pinged(0.1, 401), slug="openai")])
    assert told == [
        "provider         answers in  models",
        "acme      ok         120 ms       7",
        "openai    WRONG      100 ms       -  it refuses the key (401): correct OPENAI_API_KEY",
    ]
    assert "\x1b[31mWRONG\x1b[0m" in lines([row(Pinged(0.1, 401))], use_color=True)[1]


def test_all_are_asked(tmp_path):
    async def serve(ready, done):
        async with Simulator(DEMO_PROVIDERS[0]) as simulator:
            ready.set_result(simulator.base_url)
            await done.wait()

    async def main():
        ready, done = asyncio.get_running_loop().create_future(), asyncio.Event()
        serving = asyncio.create_task(serve(ready, done))  # noqa: TID251 - a test's own task
        url = await ready
        settings = Settings(data_dir=tmp_path, providers=(item("one", base_url=url), item("two", base_url=url)))
        found = await asyncio.to_thread(ask_all, settings, 10.0)
        done.set()
        await serving
        return found

    found = asyncio.run(main())
    assert [one.provider.slug for one, _ in found] == ["one", "two"]
    assert [pinged.status for _, pinged in found] == [200, 200]
