"""Redis keys that may be there when nothing happens any more: which, how many at most, and for how long."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """`name` is a pattern; there may be `most` of them for each `each`: one, key, group, endpoint, day.

    With a `lasts` they have no time to live, for that reason; without one they have.
    """

    name: str
    each: str
    most: int = 1
    lasts: str = ""


KINDS: Final[Sequence[Kind]] = [
    Kind(r"keys", "one", lasts="names all keys, as long as there are any"),
    Kind(r"key:\{[0-9a-f]{64}\}", "key", lasts="until it is deleted"),
    Kind(r"\{money\}:workers", "one", lasts="a field per worker, until it has been dead for a day"),
    Kind(r"\{money\}:ledger", "one", lasts="trimmed to FAIRLEAD_LEDGER_DAYS"),
    Kind(r"\{money\}:days", "one", lasts="names the days that have sums"),
    Kind(r"\{money\}:day:\d{8}", "day", lasts="the sums outlive the ledger's entries"),
    Kind(r"\{money\}:ids:\d{8}", "day"),
    Kind(r"\{money\}:spent:(\*|[0-9a-f]{64})", "key", 2, lasts="a limit may be for ever"),
    Kind(r"\{money\}:alerts", "one", lasts="a counter"),
    Kind(r"\{money\}:told:.*", "key", 4),
    Kind(r"\{.*\}:health2", "group"),
    Kind(r"\{.*\}:percentiles", "group"),
    Kind(r"\{.*\}:minutes:.*", "endpoint"),
    Kind(r"\{cache\}:(order|sizes)", "one", 2),
    Kind(r"sticky", "one"),
]
"""A model is a group, and so is a provider's account."""
_PREFIX = "fl:1:"
FOR_EVER = -1


def kind_of(name: str) -> Kind | None:
    rest = name.removeprefix(_PREFIX)
    return next((kind for kind in KINDS if re.fullmatch(kind.name, rest)), None) if rest != name else None


def by_kind(left: Iterable[tuple[str, int]]) -> dict[str, list[tuple[str, int]]]:
    """The keys of each kind, by its pattern; those of none by their own name."""
    found: dict[str, list[tuple[str, int]]] = {}
    for name, ttl_s in sorted(left):
        kind = kind_of(name)
        found.setdefault(kind.name if kind else name, []).append((name, ttl_s))
    return found


def surplus(left: Iterable[tuple[str, int]], there_are: Mapping[str, int]) -> list[str]:
    """What is wrong with the keys that are `left`, each with the seconds it has to live, or FOR_EVER."""
    problems = []
    for pattern, found in by_kind(left).items():
        kind = kind_of(found[0][0])
        if kind is None:
            problems.append(f"Redis key that should have gone: {pattern}")
            continue
        most = kind.most * there_are[kind.each]
        if len(found) > most:
            problems.append(f"{len(found)} Redis keys {pattern}, at most {most} expected")
        if not kind.lasts:
            problems += [f"Redis key without a time to live: {name}" for name, ttl_s in found if ttl_s == FOR_EVER]
    return problems
