import math

import pytest

from fairlead.edge.figures import Figures
from fairlead.edge.model_sorts import LIVE, SORTS, sorted_rows
from fairlead.health.histogram import FIRST_TOKEN, SPEED, Histogram

from .catalogues import listing

USUAL = ["gpt-9", "large", "painter", "small"]
PUBLISHED = (
    "most-popular", "newest", "top-weekly", "pricing-low-to-high", "pricing-high-to-low", "context-high-to-low",
    "throughput-high-to-low", "latency-low-to-high", "intelligence-high-to-low", "coding-high-to-low",
    "agentic-high-to-low", "design-arena-elo-high-to-low",
)  # fmt: skip


def timed(first_token_s, tokens_per_s):
    return Figures(
        first_token=Histogram(FIRST_TOKEN, {FIRST_TOKEN.bucket(math.log(first_token_s)): 5.0}),
        speed=Histogram(SPEED, {SPEED.bucket(math.log(tokens_per_s)): 5.0}),
    )


FIGURES = {
    "acme:acme/large": timed(0.5, 1.0),
    "other:acme/large": timed(2.0, 5.0),
    "acme:openai/gpt-9": timed(1.0, 3.0),
    "local:acme/small": Figures(),
}


def order(sort, figures=FIGURES):
    return [row.model.id.partition("/")[2] for row in sorted_rows(listing().rows, sort, figures)]


def test_all_that_openrouter_has():
    assert set(SORTS) == set(PUBLISHED)


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("newest", USUAL),
        ("pricing-low-to-high", ["large", "gpt-9", "painter", "small"]),
        ("pricing-high-to-low", ["painter", "gpt-9", "large", "small"]),
        ("context-high-to-low", ["gpt-9", "large", "painter", "small"]),
        ("throughput-high-to-low", ["large", "gpt-9", "painter", "small"]),
        ("latency-low-to-high", ["large", "gpt-9", "painter", "small"]),
    ],
)
def test_orders(sort, found):
    assert order(sort) == found


def test_by_the_fastest_endpoint():
    slow = FIGURES | {"acme:acme/large": Figures()}
    assert order("latency-low-to-high", slow)[0] == "gpt-9"
    assert order("throughput-high-to-low", slow)[0] == "large"


def test_what_nobody_counts_and_what_has_not_been_measured_leave_the_usual_order():
    unknown = set(PUBLISHED) - {"pricing-low-to-high", "pricing-high-to-low", "context-high-to-low"}
    for sort in unknown:
        assert order(sort, {}) == USUAL
    assert unknown >= LIVE
