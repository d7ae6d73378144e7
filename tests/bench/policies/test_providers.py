"""Upstreams on real sockets do what the scenario says."""

from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import aiohttp
import orjson
import pytest
from bench.policies.providers import CHAT, Provider, Providers
from bench.policies.world import NAMES, PRICES, RETRY_AFTER_S, SCENARIOS, TOKENS, paid_nanos
from bench.simulate.faults import DOWN, WELL, Condition
from bench.simulate.world import Spec

pytestmark = pytest.mark.anyio
QUICK = Spec(service_s=0.0, tokens_per_s=1e6)


@pytest.fixture
def served():
    @asynccontextmanager
    async def serve(spec=QUICK):
        provider = Provider("p1", spec, 1)
        base_url = await provider.start()
        async with aiohttp.ClientSession() as session:
            yield provider, base_url, session
        await provider.close()

    return serve


async def ask(session, base_url):
    async with session.post(f"{base_url}/chat/completions", json=CHAT) as reply:
        return reply, (await reply.read()).split(b"\n\n")


async def listed(session, base_url):
    async with session.get(f"{base_url}/models") as reply:
        return (await reply.json())["data"]


async def test_a_reply_costs_what_the_simulated_one_does(served):
    async with served(replace(QUICK, price=PRICES[1])) as (_, base_url, session):
        [model] = await listed(session, base_url)
        _, events = await ask(session, base_url)
    [usage] = [orjson.loads(event[6:])["usage"] for event in events if b'"usage":{' in event]
    assert usage["completion_tokens"] == TOKENS
    usd = sum(usage[f"{kind}_tokens"] * Decimal(model["pricing"][kind]) for kind in ("prompt", "completion"))
    assert float(1_000_000_000 * usd) == pytest.approx(paid_nanos(PRICES[1]))


async def test_conditions_come_and_go(served):
    async with served() as (provider, base_url, session):
        provider.fare(Condition(limited=1.0))
        reply, _ = await ask(session, base_url)
        assert (reply.status, reply.headers["retry-after"]) == (429, str(RETRY_AFTER_S))
        provider.fare(DOWN)
        with pytest.raises(aiohttp.ClientConnectionError):
            await ask(session, base_url)
        provider.fare(WELL)
        reply, _ = await ask(session, base_url)
        assert reply.status == 200


async def test_who_is_not_listed_yet_serves_no_model(served):
    async with served() as (provider, base_url, session):
        provider.list_(is_listed=False)
        assert await listed(session, base_url) == []
        provider.list_(is_listed=True)
        assert len(await listed(session, base_url)) == 1


@pytest.mark.parametrize("name", SCENARIOS)
async def test_each_scenario_begins_with_its_own_upstreams(name):
    scenario = SCENARIOS[name](9.0)
    (_, there), *_ = scenario.listed()
    async with Providers(scenario, 1) as providers, aiohttp.ClientSession() as session:
        assert list(providers.base_urls) == list(NAMES)
        serve = [bool(await listed(session, base_url)) for base_url in providers.base_urls.values()]
    assert [place for place, is_there in enumerate(serve) if is_there] == list(there)
