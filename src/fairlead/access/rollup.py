"""Roll-ups: what each key has used of each model at each provider on a day, added up.

A roll-up is kept as counters by name, `<key>|<model>|<provider>|<metric>`; `|` within a model's or a provider's name is
stored as `_`. Days are `20261121`, in UTC, and a request belongs to that of its start.
"""

import operator
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

T = TypeVar("T", bound=Hashable)


class Amounts(NamedTuple):
    """What is counted; the names are those of the metrics. Of a correction the differences, which may be negative."""

    requests: int = 0
    usd_nanos: int = 0
    prompt: int = 0
    completion: int = 0
    reasoning: int = 0
    cached: int = 0

    def plus(self, other: "Amounts") -> "Amounts":
        return Amounts(*map(operator.add, self, other))


METRICS = Amounts._fields


@dataclass(frozen=True, slots=True)
class Row:
    """What one key has used of one model at one provider on one day. `provider` is a slug, empty when none answered."""

    day: str
    key: str
    model: str
    provider: str
    amounts: Amounts


def field_of(key: str, model: str, provider: str, metric: str) -> str:
    """Return the name of a counter."""
    return f"{key}|{model.replace('|', '_')}|{provider.replace('|', '_')}|{metric}"


def split_field(field: str) -> tuple[str, str, str, str] | None:
    """Return key, model, provider and metric of a counter's name; None if it is none of ours."""
    parts = field.rsplit("|", 3)
    if len(parts) != 4 or parts[3] not in METRICS:
        return None
    return parts[0], parts[1], parts[2], parts[3]


def rows_of(day: str, counters: Mapping[str, int]) -> list[Row]:
    """Return the rows that these counters make, those that came to nothing left out."""
    found: dict[tuple[str, str, str], dict[str, int]] = {}
    for field, value in counters.items():
        if value and (parts := split_field(field)):
            found.setdefault(parts[:3], {})[parts[3]] = value
    return [Row(day, *names, Amounts(**metrics)) for names, metrics in found.items()]


def added_up(rows: Iterable[Row], by: Callable[[Row], T]) -> dict[T, Amounts]:
    """Return the sums of those rows that have the same value of `by`, in the order in which they come."""
    sums: dict[T, Amounts] = {}
    for row in rows:
        name = by(row)
        sums[name] = sums[name].plus(row.amounts) if name in sums else row.amounts
    return sums
