"""The product's constants, by name, and how one of them is set for the length of a run.

Named by their places and not imported: the adapter is the only file that knows the product.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module

_ADAPTER = "bench.simulate.product"
_ESTIMATE = "fairlead.health.estimate"


@dataclass(frozen=True, slots=True)
class Knob:
    """A constant. `places` are `module:NAME`, or `module:NAME.field` of a frozen dataclass; all have the same value."""

    name: str
    places: Sequence[str]

    @property
    def value(self) -> float:
        """As it is in the product."""
        _, _, value = _found(self.places[0])
        return value

    @contextmanager
    def set(self, value: float) -> Iterator[None]:
        """Have that value for a while."""
        with ExitStack() as undo:
            for place in self.places:
                module, name, _ = _found(place)
                attribute, _, field = name.partition(".")
                before = getattr(module, attribute)
                undo.callback(setattr, module, attribute, before)
                setattr(module, attribute, replace(before, **{field: value}) if field else value)
            yield


def _found(place: str) -> tuple[object, str, float]:
    """The module, the rest of the place, and the value there."""
    module_name, _, name = place.partition(":")
    module = import_module(module_name)
    value: object = module
    for part in name.split("."):
        value = getattr(value, part)
    assert isinstance(value, int | float), place
    return module, name, float(value)


def _weight(field: str) -> Knob:
    return Knob(field, (f"{_ADAPTER}:WEIGHTS.{field}",))


def _limit(field: str) -> Knob:
    return Knob(field, (f"{_ADAPTER}:LIMITS.{field}",))


KNOBS: Sequence[Knob] = (
    *map(_weight, ("theta", "sigma", "ramp", "waiting", "marginal")),
    *map(_limit, ("in_a_row", "share", "share_attempts_2s", "share_attempts_20s", "broken_off", "broken_off_share")),
    *map(_limit, ("slow_factor", "slow_expected", "slow_deviance", "min_s", "max_s", "forgive_s", "lease_s")),
    *map(_limit, ("keep_errors", "keep_latency")),
    Knob("cap_start", ("fairlead.health.breaker:CAP_START",)),
    Knob("overdue", ("fairlead.health.endpoint:OVERDUE",)),
    Knob("flush_s", (f"{_ADAPTER}:FLUSH_S", "fairlead.health.board:FLUSH_S")),
    Knob("prior_count", (f"{_ESTIMATE}:_PRIOR_COUNT",)),
    Knob("significant", (f"{_ESTIMATE}:_SIGNIFICANT",)),
    Knob("peak_weight", (f"{_ESTIMATE}:_PEAK_WEIGHT",)),
    Knob("retry_s", (f"{_ESTIMATE}:_RETRY_S",)),
    Knob("break_s", (f"{_ESTIMATE}:_BREAK_S",)),
    Knob("unknown_count", (f"{_ESTIMATE}:_UNKNOWN_COUNT",)),
    Knob("prefill", ("fairlead.plan.score:PREFILL_TOKENS_PER_S", "fairlead.plan.pick:PREFILL_TOKENS_PER_S")),
    Knob("cache_hit", ("fairlead.plan.score:CACHE_HIT", "fairlead.plan.pick:CACHE_HIT")),
)
