"""The providers of a scenario as HTTP servers, in this process, and what the scenario has happen to them."""

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from bench.policies.engine import Engine, Slots
from bench.policies.world import NAMES, RETRY_AFTER_S, SPREAD, TOKENS, median_s
from bench.simulate.faults import WELL, Condition, timeline
from bench.simulate.metrics import OUTPUT_PRICE
from bench.simulate.scenario import Scenario
from bench.simulate.world import Spec
from fairlead import clock
from fairlead.demo import DemoModel, Personality, Script, Simulator

MODEL = "demo/chat"
CHAT = {
    "model": MODEL,
    "stream": True,
    "stream_options": {"include_usage": True},
    "messages": [{"role": "user", "content": "What is a reverse proxy?"}],
}
"""What all callers ask."""

_PLAIN = Script(tokens=TOKENS)
_UNLISTED = Script(body=b'{"object": "list", "data": []}')
# At once, as in the simulator.
_STORM = Script(status=429, retry_after=str(RETRY_AFTER_S), first_byte_delay_s=0.0)
_DOWN = Script(refuse=True, garbage=b"", first_byte_delay_s=0.0)
"""No new connections; those that are open end without a reply, once asked."""


def _personality(name: str, spec: Spec) -> Personality:
    """Who the endpoint is; the round trip of the `spec` is not played, it is there by itself."""
    price = round(1_000_000 * spec.price)
    models = (DemoModel(MODEL, "DEMO Chat", price, round(OUTPUT_PRICE * price)),)
    usual = (name, models, median_s(spec), SPREAD, spec.tokens_per_s)
    if spec.slots is None:
        return Personality(*usual)
    return Engine(*usual, at=clock.monotonic, slots=Slots(spec.slots, spec.slope))


class Provider:
    """One provider. The same seed has the same first-token times, in the order in which it is asked."""

    def __init__(self, name: str, spec: Spec, seed: int) -> None:
        self._usual = _personality(name, spec)
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
    """Those of a scenario, in the order of `NAMES`. Use `async with`; `base_urls` by name."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.base_urls: dict[str, str] = {}
        self._providers = {
            name: Provider(name, spec, zlib.crc32(f"{scenario.name}/{seed}/{name}".encode()))
            for name, spec in zip(NAMES, scenario.specs, strict=True)
        }
        self._changes = sorted(self._schedule(scenario), key=lambda change: change[0])
        self._seconds = scenario.seconds

    def _schedule(self, scenario: Scenario) -> list[tuple[float, Callable[[], None]]]:
        found: list[tuple[float, Callable[[], None]]] = []
        for place, provider in enumerate(self._providers.values()):
            found += [(at, partial(provider.fare, condition)) for at, condition in timeline(scenario.faults, place)]
            found += [(at, partial(provider.list_, is_listed=place in listed)) for at, listed in scenario.listed()]
        return found

    async def __aenter__(self) -> "Providers":
        for name, provider in self._providers.items():
            self.base_urls[name] = await provider.start()
        self._do_until(0.0)
        return self

    async def __aexit__(self, *_: object) -> None:
        for provider in self._providers.values():
            await provider.close()

    def _do_until(self, at: float) -> None:
        while self._changes and self._changes[0][0] <= at:
            self._changes.pop(0)[1]()

    async def perform(self, begun_at: float) -> None:
        """Let happen what is to happen; returns at the scenario's end. `begun_at` is `clock.monotonic` time."""
        while self._changes and self._changes[0][0] < self._seconds:
            at = self._changes[0][0]
            await asyncio.sleep(begun_at + at - clock.monotonic())
            self._do_until(at)
        await asyncio.sleep(begun_at + self._seconds - clock.monotonic())
