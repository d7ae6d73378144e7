"""The orders in which the model list can be had. Specification: wire-api, section 8.1.

Models without what is sorted by come last, in the usual order. So orders by what nobody here counts (popularity, marks
in benchmarks) are the usual one: newest first. A model is as fast as the fastest of its endpoints.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from fairlead.edge.figures import Figures
from fairlead.edge.model_listing import Row

FiguresById = Mapping[str, Figures]
Rank = Callable[[Row, FiguresById], float | None]
"""What is less comes first; None: nothing is known."""


def _price(row: Row, _: FiguresById) -> float | None:
    return row.price.prompt + row.price.completion if row.price is not None else None


def _dearness(row: Row, _: FiguresById) -> float | None:
    return -(row.price.prompt + row.price.completion) if row.price is not None else None


def _context(row: Row, _: FiguresById) -> float | None:
    return -row.model.context_length if row.model.context_length is not None else None


def _latency(row: Row, figures: FiguresById) -> float | None:
    known = (figures[one.id].first_token for one in row.endpoints if one.id in figures)
    medians = (seen.quantile(0.5) for seen in known if seen is not None)
    return min((median for median in medians if median is not None), default=None)


def _slowness(row: Row, figures: FiguresById) -> float | None:
    known = (figures[one.id].speed for one in row.endpoints if one.id in figures)
    medians = (seen.quantile(0.5) for seen in known if seen is not None)
    return min((-median for median in medians if median is not None), default=None)


def _nothing(_: Row, __: FiguresById) -> None:
    """Nobody counts it."""


SORTS: Final[Mapping[str, Rank]] = {
    "most-popular": _nothing,
    "newest": _nothing,
    "top-weekly": _nothing,
    "pricing-low-to-high": _price,
    "pricing-high-to-low": _dearness,
    "context-high-to-low": _context,
    "throughput-high-to-low": _slowness,
    "latency-low-to-high": _latency,
    "intelligence-high-to-low": _nothing,
    "coding-high-to-low": _nothing,
    "agentic-high-to-low": _nothing,
    "design-arena-elo-high-to-low": _nothing,
}
LIVE: Final = frozenset(("throughput-high-to-low", "latency-low-to-high"))
"""Those that depend on what is measured."""


def sorted_rows(rows: Iterable[Row], sort: str, figures: FiguresById) -> list[Row]:
    """Return rows, which come newest first, in the order of that name."""
    rank = SORTS[sort]
    if rank is _nothing:
        return list(rows)
    ranked = [(rank(row, figures), row) for row in rows]
    known = sorted(((value, place) for place, (value, _) in enumerate(ranked) if value is not None))
    return [ranked[place][1] for _, place in known] + [row for value, row in ranked if value is None]
