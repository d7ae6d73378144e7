"""Who a simulated provider is: its name, what it sells, how fast it is and how often it fails."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class DemoModel:
    """A model on a price list. Prices are micro-USD per million tokens, as in the catalogue."""

    id: str
    name: str
    prompt_price: int
    completion_price: int
    context_length: int = 131_072


@dataclass(slots=True)
class Pace:
    """How one request will go: the wait for the first token and between tokens, in seconds, or a failure."""

    first_token_s: float = 0.0
    token_s: float = 0.0
    fails: bool = False


INSTANT: Final = Pace()


@dataclass(frozen=True, slots=True)
class Personality:
    """A provider. The default one is instant, never fails and serves whatever model it is asked for."""

    name: str = "demo"
    models: tuple[DemoModel, ...] = ()
    """Empty: any model id is served."""
    first_token_s: float = 0.0
    """Median of a lognormal distribution, which is how time to first token is usually shaped."""
    spread: float = 0.35
    """Sigma of that distribution: two requests of three lie within a factor of e^sigma of the median."""
    tokens_per_s: float = math.inf
    failure_share: float = 0.0
    """The part of requests answered with 503, in [0, 1]."""

    def draw(self, rng: random.Random) -> Pace:
        """The pace of the next request. Instant and infallible providers draw nothing from `rng`."""
        if not (self.first_token_s or self.failure_share or math.isfinite(self.tokens_per_s)):
            return INSTANT
        first_token_s = self.first_token_s * rng.lognormvariate(0.0, self.spread) if self.first_token_s else 0.0
        return Pace(first_token_s, 1 / self.tokens_per_s, rng.random() < self.failure_share)

    def without_latency(self) -> "Personality":
        """The same provider, answering at once. It fails as often as before."""
        return replace(self, first_token_s=0.0, tokens_per_s=math.inf)


def _price_list(
    chat: tuple[int, int], mini: tuple[int, int], reasoner: tuple[int, int] | None = None
) -> tuple[DemoModel, ...]:
    listed = [DemoModel("demo/chat", "DEMO Chat", *chat), DemoModel("demo/chat-mini", "DEMO Chat Mini", *mini)]
    if reasoner is not None:
        listed.append(DemoModel("demo/reasoner", "DEMO Reasoner", *reasoner))
    return tuple(listed)


PLAIN_PROVIDER: Final = Personality()

DEMO_PROVIDERS: Final = (
    Personality(
        name="demo-swift",
        models=_price_list(chat=(900_000, 3_600_000), mini=(200_000, 800_000)),
        first_token_s=0.060,
        tokens_per_s=120,
    ),
    Personality(
        name="demo-steady",
        models=_price_list(chat=(600_000, 2_400_000), mini=(150_000, 600_000), reasoner=(1_200_000, 4_800_000)),
        first_token_s=0.120,
        spread=0.15,
        tokens_per_s=80,
    ),
    # The cheapest is the one that fails, so that whoever routes by price gets to see a failover.
    Personality(
        name="demo-thrifty",
        models=_price_list(chat=(250_000, 1_000_000), mini=(50_000, 200_000)),
        first_token_s=0.200,
        tokens_per_s=40,
        failure_share=0.02,
    ),
)

PERSONALITIES: Final[Mapping[str, Personality]] = MappingProxyType(
    {personality.name: personality for personality in (PLAIN_PROVIDER, *DEMO_PROVIDERS)}
)
