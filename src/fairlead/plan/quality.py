"""How good an answer has to be, and how good a model is: both on one scale.

The scale is that of item response theory (Rasch, 1960): a model of ability `a` answers a request of demand `d` well
with a chance of 1 / (1 + e^(−SHARPNESS·(a − d))). 0 is the ability of a model with 55 % on MMLU-Pro, 1 that of one
with 70 %; the best of late 2026 are near 2.5.

`QualityModel` is the seam for one that has learned from prompts and their answers: it says what a request demands, and
nothing else changes. Until there is one, both numbers are guesses from what anybody can see.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from fairlead.catalog.model import Model, Price
from fairlead.wire.features import Features

SHARPNESS = 1.7
"""Of the logistic curve; with it, it is within 0.01 of the normal one."""


class QualityModel(Protocol):
    """Judges requests. Called once for each that asks for `auto`, on the event loop: it has some 50 µs.

    `features.prompt` holds the words, for a model that reads them.
    """

    def demand(self, features: Features) -> float:
        """Return the ability at which half of the answers to such a request are good: -3 to 3; more is cut."""
        ...


def chance(ability: float, demand: float) -> float:
    """Return how probable a good answer is."""
    return 1.0 / (1.0 + math.exp(-SHARPNESS * (ability - demand)))


class Supposed:
    """Judges a request by what it looks like: long, about code, with words that ask for thought.

    Every term is a guess by hand, so small that no single one decides.
    """

    def demand(self, features: Features) -> float:
        demand = -2.5
        demand += min(0.35 * math.log1p(features.user_tokens / 50.0), 1.6)
        demand += 1.0 * min(features.reasoning_words, 1) + 0.5 * max(min(features.reasoning_words, 4) - 1, 0)
        demand += 1.0 if features.has_code else 0.0
        demand += 1.5 if "tools" in features.needs else 0.0
        demand += 0.3 if "structured_outputs" in features.needs else 0.0
        demand += 0.5 if features.inputs else 0.0
        demand += 0.3 if features.script != "latin" else 0.0  # small models know fewer languages
        demand += 0.5 if features.prompt_tokens > 30_000 else 0.0  # and lose the thread
        demand += 0.05 * min(features.turns, 10)
        return demand + _EFFORTS.get(features.effort, 0.0)


_EFFORTS: Final[Mapping[str, float]] = {
    "none": -0.5,
    "minimal": -0.25,
    "medium": 0.5,
    "high": 1.0,
    "xhigh": 1.5,
    "max": 1.5,
}

_YEAR_S: Final = 365.25 * 86_400.0
_FALL: Final = math.log(5.0)
"""What a given ability costs falls to a fifth in a year: between the hand-made estimates of a tenth and a half."""
_UNKNOWN_YEARS: Final = 0.5
_PER_FOLD: Final = 0.4
"""Ability gained by paying e times as much: least squares through a dozen models of 2023 to 2025 whose MMLU-Pro is
known gives 0.35 to 0.45."""
_AT_ONE_USD: Final = 1.8
"""Ability of a new model at 1 USD per million tokens."""
_UNKNOWN: Final = 0.0
_USUAL_CONTEXT: Final = 128_000
PROMPT_SHARE: Final = 3
"""Prompt tokens for each token of a completion, in prices that stand for a whole request."""


def abilities(models: Iterable[Model]) -> dict[str, float]:
    """Return the supposed ability of each model, by id: from its price, its age, its context.

    Age counts from the newest of them, since the catalogue ages too. The number of parameters in a name (`-70b`) tells
    what hosts would charge: it counts where no price is known, or a higher one:
    for the smallest, not the model is what is paid for.
    """
    known = list(models)
    newest = max((model.created for model in known), default=0)
    return {model.id: _ability(model, newest) for model in known}


def _ability(model: Model, newest: int) -> float:
    known = [usd for usd in (blended(model.price) / 1e6, _usd_by_size(model.id)) if usd > 0.0]
    if not known:
        return _UNKNOWN
    years = (newest - model.created) / _YEAR_S if model.created else _UNKNOWN_YEARS
    ability = _AT_ONE_USD + _PER_FOLD * (math.log(min(known)) - _FALL * years)
    if model.context_length:
        ability += min(max(0.1 * math.log(model.context_length / _USUAL_CONTEXT), -0.3), 0.2)
    return min(max(ability, -3.0), 3.0)


def blended(price: Price | None) -> float:
    """Return what a million tokens of a usual request cost, in micro-USD; 0 if nothing, or nobody knows."""
    return (PROMPT_SHARE * price.prompt + price.completion) / (PROMPT_SHARE + 1) if price else 0.0


_SIZE: Final = re.compile(r"(?<![a-z0-9.])(\d{1,4}(?:\.\d{1,2})?)(b|t)(?![a-z0-9])")


def _usd_by_size(model_id: str) -> float:
    """As hosts charged for open weights in 2025: 0.08 USD per million tokens at 8b, 0.4 at 70b, 1.3 at 400b."""
    sizes = [float(number) * (1_000.0 if unit == "t" else 1.0) for number, unit in _SIZE.findall(model_id.lower())]
    return 0.02 * float(max(sizes)) ** 0.7 if sizes and max(sizes) > 0.0 else 0.0
