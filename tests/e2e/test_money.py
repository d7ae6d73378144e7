"""Money with real processes: callers leave, workers are killed, and every cent is accounted for."""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from dataclasses import dataclass

import aiohttp
import pytest
from redis import Redis

from fairlead import clock
from fairlead.store.money import DEAD_S, SLOT
from fairlead.telemetry.generation import unpack

from .caller import HELLO
from .conftest import provider

REQUESTS = 2_000
AT_ONCE = 40
LEAVING = 0.2
"""Part of the callers that leave before the end."""
KILLS = (400, 900, 1_400)
"""After so many requests a worker is killed."""
PROMPT_USD_NANOS, COMPLETION_USD_NANOS = 1_000, 2_000
"""Per token."""
SETTLING_S = DEAD_S + 15.0


@dataclass
class Told:
    """What a caller knows of its request."""

    id: str = ""
    events: int = 0
    """With content, that it has read."""
    usage: dict | None = None
    """As the provider has told it."""
    is_whole: bool = False
    has_left: bool = False


async def ask(session, url, key, rng, leaving):
    told = Told()
    leaves_after = rng.randrange(1, 30) if rng.random() < leaving else None
    try:
        body, headers = {"model": "acme/large", "messages": HELLO, "stream": True}, {"authorization": f"Bearer {key}"}
        async with session.post(url, json=body, headers=headers) as reply:
            assert reply.status in (200, 503), await reply.text()  # 503: the store took too long, which is no harm
            if reply.status == 503:
                return told
            told.id = reply.headers["x-generation-id"]
            async for line in reply.content:
                if not line.startswith(b"data: {"):
                    continue
                event = json.loads(line[6:])
                assert "error" not in event, event
                if event.get("usage"):
                    told.usage = event["usage"]
                elif event["choices"] and event["choices"][0]["delta"].get("content"):
                    told.events += 1
                if told.events == leaves_after:
                    told.has_left = True
                    reply.close()
                    break
            else:
                told.is_whole = True  # to the end of its body, not only to [DONE]
    except (aiohttp.ClientError, OSError):
        pass  # its worker has been killed
    return told


async def load(gateway, keys, rng, requests, kills=(), leaving=0.0):
    """Ask so many times, AT_ONCE at a time, with the keys by turns, and kill workers meanwhile.

    Returns what each caller knows.
    """
    told, numbers = [], iter(range(requests))
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one_after_another():
            for number in numbers:
                if number in kills:
                    os.kill(rng.choice(gateway.workers()), signal.SIGKILL)
                key = keys[number % len(keys)]
                told.append(await ask(session, f"{gateway.base_url}/chat/completions", key, rng, leaving))

        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    return told


def ledger(store):
    """What each generation came to, by its id: the last word of it, and how many entries it has."""
    found = {}
    for _, fields in store.xrange(f"{SLOT}ledger"):
        generation = unpack(fields[b"g"])
        _, entries = found.get(generation.id, (None, 0))
        found[generation.id] = (generation, entries + 1)
    return found


def wait_until(condition, state):
    deadline = clock.monotonic() + SETTLING_S
    while not condition():
        assert clock.monotonic() < deadline, f"the books do not come to rest: {state()}"
        signal.sigtimedwait([], 0.2)


@pytest.mark.timeout(180)
def test_every_cent_is_accounted_for_whoever_leaves_or_dies(new_gateway, simulators, record_property):
    upstreams = {name: simulators.start() for name in ("one", "two")}
    env = {"FAIRLEAD_WORKERS": "4"}
    for name, upstream in upstreams.items():
        upstream.does(token_delay_s=0.002, first_byte_delay_s=0.005)
        env |= provider(name, upstream, models="acme/large", price_prompt=1, price_completion=2)
    with new_gateway(env) as gateway:
        # A request that nothing limits holds nothing, and is settled another way.
        limits = {"limited": ("--limit", "1000", "--reset", "daily"), "unlimited": ()}
        keys = [gateway.run("keys", "create", "--name", name, *limit).strip() for name, limit in limits.items()]
        gateway.secrets.update(keys)
        told = asyncio.run(load(gateway, keys, random.Random(1), 20))
        calm = sum(upstream.record.bytes_sent for upstream in upstreams.values())
        bytes_of_token = calm / sum(one.usage["completion_tokens"] for one in told)
        told += asyncio.run(load(gateway, keys, random.Random(7), REQUESTS, KILLS, LEAVING))
        with Redis.from_url(gateway.store_url()) as store:
            whole = {one.id: one for one in told if one.is_whole}
            wait_until(
                lambda: whole.keys() <= ledger(store).keys() and not list(store.scan_iter(f"{SLOT}open:*")),
                lambda: (
                    whole.keys() - ledger(store).keys(),
                    store.hgetall(f"{SLOT}workers"),
                    {name: store.hkeys(name) for name in store.scan_iter(f"{SLOT}open:*")},
                ),
            )
            books = ledger(store)
            paying = {generation.key for generation, _ in books.values()}
            spent = {account: int(store.hget(f"{SLOT}spent:{account}", "total")) for account in ("*", *paying)}

        # Whoever was answered to the end pays what the provider counted, once, whatever became of the worker then.
        assert len(whole) > REQUESTS * (1 - LEAVING) * 0.9
        for id, one in whole.items():
            generation, entries = books[id]
            counted = (one.usage["prompt_tokens"], one.usage["completion_tokens"])
            assert (generation.prompt_tokens, generation.completion_tokens) == counted
            cost = counted[0] * PROMPT_USD_NANOS + counted[1] * COMPLETION_USD_NANOS
            assert generation.cost_usd_nanos == cost == round(one.usage["cost"] * 1e9)
            assert (entries, generation.is_estimated) == (1, False)

        # Whoever left pays an estimate of what it got, unless the provider had said by then what there was.
        left = [(one, books[one.id][0]) for one in told if one.has_left and one.id in books]
        assert len(left) > REQUESTS * LEAVING * 0.8
        assert all(generation.is_estimated or generation.finish_reason for _, generation in left)
        got = sum(one.events for one, _ in left)
        charged = sum(generation.completion_tokens for _, generation in left)
        assert charged > 0.8 * got

        # All together pay what the providers have served, but for what was under way where a worker was killed.
        served = sum(upstream.record.bytes_sent for upstream in upstreams.values()) / bytes_of_token
        assert 0.9 * served < sum(generation.completion_tokens for generation, _ in books.values()) < 1.05 * served

        # Nobody pays who is in no book, and the counters are the books.
        costs = Counter()
        for generation, _ in books.values():
            costs.update({generation.key: generation.cost_usd_nanos, "*": generation.cost_usd_nanos})
        assert spent == costs
        assert len(paying) == len(keys)
        total = costs["*"]
        crashed = [generation for generation, _ in books.values() if generation.end == "crashed"]
        assert {generation.id for generation in crashed} <= {one.id for one in told}
        assert ": no difference\n" in gateway.run("reconcile")
        record_property("whole", len(whole))
        record_property("left early", len(left))
        record_property("charged for the dead", len(crashed))
        record_property("in no book", len(told) - len(books))
        record_property("nano-USD", total)
