import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.usd import MOST_USD, NANOS_PER_USD, usd_nanos, usd_of, usd_text

AMOUNTS = st.integers(-MOST_USD * NANOS_PER_USD, MOST_USD * NANOS_PER_USD)


@given(AMOUNTS)
def test_there_and_back_as_text(nanos):
    assert usd_nanos(usd_text(nanos), can_be_negative=True) == nanos


@given(AMOUNTS)
def test_there_and_back_through_json(nanos):
    """As a client sends back what it has read."""
    assert usd_nanos(json.loads(json.dumps(usd_of(nanos))), can_be_negative=True) == nanos


@given(AMOUNTS)
def test_the_text_is_a_json_number_of_that_amount(nanos):
    assert json.loads(usd_text(nanos), parse_float=Decimal, parse_int=Decimal) * NANOS_PER_USD == nanos


@pytest.mark.parametrize(("value", "nanos"), [
    (0.1, 100_000_000), ("0.1", 100_000_000), (Decimal("0.1"), 100_000_000), (25, 25 * NANOS_PER_USD),
    (" 1.5 ", 1_500_000_000), ("1e-9", 1), ("0.0000000005", 1), ("0.00000000049", 0), (0, 0),
], ids=repr)  # fmt: skip
def test_what_is_an_amount(value, nanos):
    assert usd_nanos(value) == nanos


@pytest.mark.parametrize("value", [
    "", "x", "1,5", "nan", "inf", "-inf", True, False, None, "-0.1", -1, MOST_USD + 1, "1e999999999", "-1e999999999",
], ids=repr)  # fmt: skip
def test_what_is_none(value):
    with pytest.raises(ValueError, match="USD"):
        usd_nanos(value)


@pytest.mark.parametrize(("nanos", "text"), [(1, "0.000000001"), (-3 * NANOS_PER_USD, "-3"), (12_500_000_000, "12.5")])
def test_it_is_as_short_as_can_be(nanos, text):
    assert usd_text(nanos) == text
