from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.model import FREE, Price, Tier
from fairlead.catalog.pricing import Usage, cost_usd_nanos, price_from_usd_per_mtok, price_from_usd_per_token

GPT_5 = Price(prompt=1_250_000, completion=10_000_000, cache_read=125_000)
GEMINI = Price(
    prompt=1_250_000,
    completion=10_000_000,
    tiers=(Tier(200_000, Price(prompt=2_500_000, completion=15_000_000)),),
)

counts = st.integers(min_value=0, max_value=10**7)
micros = st.integers(min_value=0, max_value=10**9)
prices = st.builds(Price, micros, micros, st.none() | micros, st.none() | micros, micros)
usages = st.builds(Usage, counts, counts, counts, counts, counts)


@pytest.mark.parametrize(
    ("price", "usage", "nanos"),
    [
        (GPT_5, Usage(1_000_000, 0), 1_250_000_000),
        (GPT_5, Usage(1, 1), 11_250),
        (GPT_5, Usage(1000, 10, cached_tokens=800), 200 * 1250 + 800 * 125 + 10 * 10_000),
        (GPT_5, Usage(10, 500, reasoning_tokens=400), 10 * 1250 + 500 * 10_000),
        (Price(1000, 0, cache_read=0, cache_write=125_000), Usage(10, 0, 3, 5), 2 * 1 + 3 * 0 + 5 * 125),
        (Price(0, 0, request=5_000), Usage(), 5_000_000),
        (FREE, Usage(10**9, 10**9), 0),
        (GEMINI, Usage(200_000, 1), 200_000 * 1250 + 10_000),
        (GEMINI, Usage(200_001, 1), 200_001 * 2500 + 15_000),
    ],
)
def test_cost(price, usage, nanos):
    assert cost_usd_nanos(price, usage) == nanos


@pytest.mark.parametrize(("picos", "nanos"), [(0, 0), (499, 0), (500, 1), (1499, 1), (1500, 2)])
def test_a_cost_is_rounded_once_and_half_up(picos, nanos):
    assert cost_usd_nanos(Price(prompt=picos, completion=0), Usage(prompt_tokens=1)) == nanos
    assert cost_usd_nanos(Price(prompt=picos - picos // 2, completion=picos // 2), Usage(1, 1)) == nanos


def test_counters_that_cannot_be_are_brought_into_bounds():
    assert cost_usd_nanos(GPT_5, Usage(100, 0, cached_tokens=900)) == cost_usd_nanos(GPT_5, Usage(100, 0, 100))
    assert cost_usd_nanos(GPT_5, Usage(-5, -5, -5, -5)) == 0
    written = Price(1000, 0, cache_read=0, cache_write=2000)
    assert cost_usd_nanos(written, Usage(10, 0, cached_tokens=4, cache_write_tokens=100)) == 6 * 2000 // 1000


@given(prices, usages)
def test_a_cost_is_the_exact_sum_rounded(price, usage):
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    written = min(usage.cache_write_tokens, usage.prompt_tokens - cached)
    read_price = price.prompt if price.cache_read is None else price.cache_read
    write_price = price.prompt if price.cache_write is None else price.cache_write
    exact = (
        Fraction(
            (usage.prompt_tokens - cached - written) * price.prompt
            + cached * read_price
            + written * write_price
            + usage.completion_tokens * price.completion,
            1000,
        )
        + price.request * 1000
    )
    cost = cost_usd_nanos(price, usage)
    assert cost >= 0
    assert -Fraction(1, 2) < cost - exact <= Fraction(1, 2)


@given(prices, usages, usages)
def test_costs_add_up_but_for_the_rounding(price, one, other):
    both = Usage(one.prompt_tokens + other.prompt_tokens, one.completion_tokens + other.completion_tokens)
    plain = [Usage(usage.prompt_tokens, usage.completion_tokens) for usage in (one, other)]
    apart = sum(cost_usd_nanos(price, usage) for usage in plain)
    assert abs(cost_usd_nanos(price, both) + price.request * 1000 - apart) <= 1


@given(prices, usages, counts)
def test_more_tokens_never_cost_less(price, usage, more):
    dearer = Usage(usage.prompt_tokens, usage.completion_tokens + more, usage.cached_tokens, usage.cache_write_tokens)
    assert cost_usd_nanos(price, dearer) >= cost_usd_nanos(price, usage)


@pytest.mark.parametrize(
    ("text", "micros"),
    [("0.0000025", 2_500_000), ("0", 0), ("0.00000000125", 1_250), ("1e-7", 100_000), (0.0000002, 200_000)],
)
def test_price_per_token(text, micros):
    assert price_from_usd_per_token(text) == micros


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        (1.25, 1_250_000),
        ("2.5", 2_500_000),
        (" 0.0125 ", 12_500),
        (0.1, 100_000),
        (3, 3_000_000),
        (Decimal("0.07"), 70_000),
    ],
)
def test_price_per_million(value, micros):
    assert price_from_usd_per_mtok(value) == micros


@given(st.integers(min_value=0, max_value=10**11))
def test_every_price_survives_the_way_to_text_and_back(micros):
    assert price_from_usd_per_mtok(str(Decimal(micros) / 10**6)) == micros
    assert price_from_usd_per_token(f"{Decimal(micros) / 10**12:f}") == micros


@given(st.integers(min_value=0, max_value=10**9))
def test_no_price_is_off_by_a_float(micros):
    assert price_from_usd_per_mtok(micros / 10**6) == micros


@pytest.mark.parametrize("value", ["", "free", "nan", "inf", "1,5", "$2", True, None])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="not a number"):
        price_from_usd_per_mtok(value)


@pytest.mark.parametrize(("parse", "value"), [(price_from_usd_per_token, "-1"), (price_from_usd_per_mtok, -0.5)])
def test_negative_prices_are_refused(parse, value):
    with pytest.raises(ValueError, match="negative"):
        parse(value)


@pytest.mark.parametrize(
    ("parse", "value"),
    [(price_from_usd_per_token, "2.5"), (price_from_usd_per_mtok, "1e6"), (price_from_usd_per_mtok, "1e999999999")],
)
def test_a_price_in_the_wrong_unit_is_refused(parse, value):
    with pytest.raises(ValueError, match="check the unit"):
        parse(value)
