"""The providers of a scenario as HTTP servers, in this process, and what the scenario has happen to them."""

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from bench.policies.world import MEDIANS_S, RETRY_AFTER_S, SPREAD, TOKENS, TOKENS_PER_S
from bench.simulate.faults import WELL, Condition, timeline
from bench.simulate.scenario import Scenario
from fairlead import clock
from fairlead.demo import DemoModel, Personality, Script, Simulator

MODEL = "demo/chat"
_MODELS = (DemoModel(MODEL, "DEMO Chat", 1_000_000, 4_000_000),)
_PLAIN = Script(tokens=TOKENS)
_UNLISTED = Script(body=b'{"object": "list", "data": []}')
_STORM = Script(status=429, retry_after=str(RETRY_AFTER_S))
_DOWN = Script(refuse=True, garbage=b"")
"""No new connections; those that are open end without a reply, once asked."""


class Provider:
    """One provider. The same seed has the same first-token times, in the order in which it is asked."""

    def __init__(self, name: str, median_s: float, seed: int) -> None:
        self._usual = Personality(name, _MODELS, median_s, SPREAD, TOKENS_PER_S)
        self._simulator = Simulator(self._usual, script=_PLAIN, seed=seed, keep_requests=1)
        self._condition = WELL
        self._is_listed = True

    async def start(self) -> str:
        """Begin to listen; return the base URL."""
        await self._simulator.start()
        return self._simulator.base_url

    def list_(self, *, is_listed: bool) -> None:
        """Serve the model, or do not."""
        self._is_listed = is_listed
        self._follow()

    def fare(self, condition: Condition) -> None:
        """Fare like that from now on. Attempts that are under way are not touched."""
        self._condition = condition
        self._follow()

    def _follow(self) -> None:
        usual, slow = self._usual, self._condition.slow
        self._simulator.personality = replace(
            usual, first_token_s=slow * usual.first_token_s, tokens_per_s=usual.tokens_per_s / slow
        )
        script = _PLAIN
        if not self._is_listed:
            script = _UNLISTED
        elif self._condition.error:
            script = _DOWN
        elif self._condition.limited:
            script = _STORM
        self._simulator.script = script

    async def close(self) -> None:
        """Stop listening, and end what is open."""
        await self._simulator.close()


class Providers:
    """Those of a scenario, the first of `MEDIANS_S`. Use `async with`; `base_urls` by name."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.base_urls: dict[str, str] = {}
        self._names = list(MEDIANS_S)[: len(scenario.specs)]
        self._providers = [
            Provider(name, MEDIANS_S[name], zlib.crc32(f"{scenario.name}/{seed}/{name}".encode()))
            for name in self._names
        ]
        self._changes = sorted(self._schedule(scenario), key=lambda change: change[0])
        self._seconds = scenario.seconds

    def _schedule(self, scenario: Scenario) -> list[tuple[float, Callable[[], None]]]:
        found: list[tuple[float, Callable[[], None]]] = []
        for place, provider in enumerate(self._providers):
            found += [(at, partial(provider.fare, condition)) for at, condition in timeline(scenario.faults, place)]
            found += [(at, partial(provider.list_, is_listed=place in listed)) for at, listed in scenario.listed()]
        return found

    async def __aenter__(self) -> "Providers":
        for name, provider in zip(self._names, self._providers, strict=True):
            self.base_urls[name] = await provider.start()
        self._do_until(0.0)
        return self

    async def __aexit__(self, *_: object) -> None:
        for provider in self._providers:
            await provider.close()

    def _do_until(self, at: float) -> None:
        while self._changes and self._changes[0][0] <= at:
            self._changes.pop(0)[1]()

    async def perform(self, begun_at: float) -> None:
        """Let happen what is to happen; returns at the scenario's end. `begun_at` is `clock.monotonic` time."""
        while self._changes:
            at = self._changes[0][0]
            await asyncio.sleep(begun_at + at - clock.monotonic())
            self._do_until(at)
        await asyncio.sleep(begun_at + self._seconds - clock.monotonic())
