"""Simulated providers in the loop of the callers: two that are well, and two that always fail differently."""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

from fairlead.demo import Script, Simulator

TURN_S = 0.03
"""For so long a faulty provider has one fault: some requests meet it, others its end."""
FLOOD_BYTES = 2_000_000

FAULTS: Final[Sequence[Script]] = [
    Script(),
    Script(),
    Script(status=429, retry_after="0"),
    Script(status=500),
    Script(status=503),
    Script(status=401),
    Script(status=404),
    Script(status=400),
    Script(refuse=True),
    Script(reset_on_accept=True),
    Script(hang=True),
    Script(head_then_hang=True),
    Script(slow_headers=0.05),
    Script(first_token_delay_s=2.0),
    Script(stall_after=4),
    Script(token_delay_s=0.02),
    Script(cut_after=0),
    Script(cut_after=4),
    Script(cut_after=4, cut="reset"),
    Script(cut_after=4, cut_inside="chunk"),
    Script(cut_after=4, cut_inside="event"),
    Script(cut_after=4, cut_inside="utf8"),
    Script(truncate_length=100),
    Script(keepalive_close=True),
    Script(garbage=b"\x00\x01 what?\r\n\r\n"),
    Script(html=True),
    Script(empty=True),
    Script(error_in_stream=0),
    Script(error_in_stream=4),
    Script(malformed_event=3),
    Script(missing_done=True),
    Script(missing_finish=True, missing_done=True),
    Script(encoding="gzip"),
    Script(informational=20),
]
SERVED: Final[Mapping[str, tuple[str, Script]]] = {
    "well": ("soak/both,soak/well", Script(tokens=20)),
    "slow": ("soak/slow", Script(tokens=200, token_delay_s=0.02)),
    "wide": ("soak/wide", Script(flood_bytes=FLOOD_BYTES)),
    "bad": ("soak/both,soak/bad", Script()),
    "worse": ("soak/both,soak/worse", Script()),
}
"""The models of each provider, and how it answers when it is well."""
FAULTY = ("bad", "worse")


class Providers:
    """Use `async with`; `run` lets the faulty ones fail, until it is cancelled; after it all are well."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._stack = AsyncExitStack()
        self._simulators = {name: Simulator(script=script, keep_requests=1) for name, (_, script) in SERVED.items()}

    async def __aenter__(self) -> "Providers":
        for simulator in self._simulators.values():
            await self._stack.enter_async_context(simulator)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def environment(self) -> dict[str, str]:
        """Return the variables that declare them."""
        return dict(self._variables())

    def _variables(self) -> Iterator[tuple[str, str]]:
        for name, (models, _) in SERVED.items():
            tree = f"FAIRLEAD_PROVIDERS__{name.upper()}__"
            yield f"{tree}BASE_URL", self._simulators[name].base_url
            yield f"{tree}API_KEY", f"sk-soak-upstream-of-{name}"
            yield f"{tree}MODELS", models
            yield f"{tree}PRICE_PROMPT", "1"
            yield f"{tree}PRICE_COMPLETION", "2"

    async def run(self) -> None:
        try:
            while True:
                for name in FAULTY:
                    self._simulators[name].script = self._rng.choice(FAULTS)
                await asyncio.sleep(TURN_S)
        finally:
            for name in FAULTY:
                self._simulators[name].script = Script()
