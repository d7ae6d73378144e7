"""What the page says of the picture, and that the picture is that of the code."""

from xml.etree import ElementTree

import pytest

from docs import breaker, routing
from docs.pages import ROOT

PLAN = ROOT / "src" / "fairlead" / "plan"


@pytest.mark.parametrize("picture", [routing.picture, breaker.picture], ids=["routing", "breaker"])
def test_the_picture_is_that_of_the_code(picture):
    name, drawn = f"{picture.__module__.rpartition('.')[2]}.svg", picture()
    assert (PLAN / name).read_text(encoding="utf-8") == drawn, "make docs"
    assert f"]({name})" in (PLAN / "README.md").read_text(encoding="utf-8")
    assert ElementTree.fromstring(drawn).get("aria-label")


@pytest.mark.parametrize(("seconds", "price", "expected"), [
    (1.0, 1.0, 0.5), (1.05, 1.0, 0.25), (1.2, 1.0, 0.03), (1.41, 0.5, 0.5), (2.0, 0.25, 0.5),
])  # fmt: skip
def test_shares_are_as_the_page_says(seconds, price, expected):
    assert routing.share(seconds, price) == pytest.approx(expected, abs=0.04)


def test_failures_take_some_of_the_share():
    well_s = routing.expected_at(0.0)
    shares = [routing.share(routing.expected_at(failing) / well_s, 1.0) for failing in (0.0, 0.1, 0.2)]
    assert shares[0] > shares[1] > shares[2] > 0.0
    assert shares[1] > 0.1


def test_what_is_expected_follows_what_comes():
    fast, slow = dict(routing.believed(10.0)), dict(routing.believed(1.0))
    assert fast[0.0] == slow[0.0] == pytest.approx(0.3)
    late = max(fast)
    assert fast[late] > routing.SLOW_S > 0.3
    assert next(second for second, expected in fast.items() if expected > 0.6) < 2.0


def test_each_rest_is_twice_as_long_up_to_the_longest():
    rests = [to - begin for begin, to, state in breaker.outage() if breaker.COLOURS[state] == "bad"]
    assert rests == pytest.approx([1.0, 2.0, 4.0, 8.0, 8.0])
    assert breaker.COLOURS[breaker.outage()[-1][2]] == "good"
