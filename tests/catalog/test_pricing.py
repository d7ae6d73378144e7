from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fairlead.catalog.model import FREE, Price, Tier
from fairlead.catalog.pricing import (
    Bill,
    Usage,
    bill_of,
    cost_of,
    cost_usd_nanos,
    most_usd_nanos,
    parts_usd_nanos,
    price_from_usd_per_mtok,
    price_from_usd_per_token,
)

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
own_prices = ("cache_read", "cache_write", "cache_write_1h", "prompt_audio", "prompt_image", "reasoning")
own_prices += ("completion_audio", "completion_image")
every_price = st.builds(Price, micros, micros, request=micros, **dict.fromkeys(own_prices, st.none() | micros))
wild_counts = st.integers(min_value=-10, max_value=100)
every_usage = st.builds(Usage, *[wild_counts] * 10)
SEVERAL = Price(
    prompt=1_000,
    completion=2_000,
    cache_read=100,
    cache_write=1_250,
    cache_write_1h=2_500,
    prompt_audio=40_000,
    prompt_image=5_000,
    reasoning=3_000,
    completion_audio=80_000,
    completion_image=30_000,
)


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


class TestKindsOfTokens:
    def test_each_has_its_price(self):
        usage = Usage(
            prompt_tokens=100,
            completion_tokens=50,
            cached_tokens=10,
            cache_write_tokens=30,
            cache_write_1h_tokens=20,
            prompt_audio_tokens=7,
            prompt_image_tokens=5,
            reasoning_tokens=9,
            completion_audio_tokens=8,
            completion_image_tokens=6,
        )
        prompt = 10 * 100 + 20 * 2_500 + 10 * 1_250 + 7 * 40_000 + 5 * 5_000 + 48 * 1_000
        completion = 9 * 3_000 + 8 * 80_000 + 6 * 30_000 + 27 * 2_000
        assert cost_usd_nanos(SEVERAL, usage) == (prompt + completion + 500) // 1_000
        assert parts_usd_nanos(SEVERAL, usage) == (417, 901)

    def test_without_a_price_of_its_own_each_costs_what_the_others_cost(self):
        flat = Price(1_000, 2_000)
        told = Usage(100, 50, 10, 30, 9, 20, 7, 5, 8, 6)
        assert cost_usd_nanos(flat, told) == cost_usd_nanos(flat, Usage(100, 50)) == 200

    def test_an_hour_costs_what_five_minutes_cost_unless_it_has_a_price(self):
        hour = Usage(100, cache_write_tokens=100, cache_write_1h_tokens=100)
        assert cost_usd_nanos(Price(1_000, 0, cache_write=1_250), hour) == 125
        assert cost_usd_nanos(Price(1_000, 0, cache_write=1_250, cache_write_1h=2_000), hour) == 200

    @pytest.mark.parametrize(
        ("kind", "told"),
        [
            ("cache_read", {"cached_tokens": 100}),
            ("cache_write", {"cache_write_tokens": 100}),
            ("cache_write_1h", {"cache_write_tokens": 100, "cache_write_1h_tokens": 100}),
            *((kind, {f"{kind}_tokens": 100}) for kind in own_prices[3:]),
        ],
    )
    def test_a_price_of_zero_is_zero(self, kind, told):
        assert cost_usd_nanos(Price(1_000, 1_000, **{kind: 0}), Usage(100, 100, **told)) == 100

    @given(st.integers(0, 1_000), every_usage)
    def test_at_one_price_for_all_it_does_not_matter_what_they_are(self, micros, usage):
        price = Price(micros, micros, **dict.fromkeys(own_prices, micros))
        tokens = max(usage.prompt_tokens, 0) + max(usage.completion_tokens, 0)
        assert cost_usd_nanos(price, usage) == (tokens * micros + 500) // 1_000

    @given(every_price, every_usage)
    def test_no_token_is_charged_twice_or_not_at_all(self, price, usage):
        def between(tokens, kinds):
            told = [getattr(price, kind) for kind in kinds if getattr(price, kind) is not None]
            return max(tokens, 0) * min(told), max(tokens, 0) * max(told)

        least, most = between(usage.prompt_tokens, ("prompt", *own_prices[:5]))
        least_completion, most_completion = between(usage.completion_tokens, ("completion", *own_prices[5:]))
        fixed = price.request * 10**6
        cost = cost_usd_nanos(price, usage)
        assert (least + least_completion + fixed + 500) // 1_000 <= cost
        assert cost <= (most + most_completion + fixed + 500) // 1_000

    @given(every_price, every_usage)
    def test_the_parts_are_the_whole(self, price, usage):
        prompt, completion = parts_usd_nanos(price, usage)
        assert prompt + completion == cost_usd_nanos(price, usage)
        assert min(prompt, completion) >= 0
        assert usage.completion_tokens > 0 or completion == 0

    def test_a_tier_brings_its_own_prices(self):
        price = Price(1_000, 0, prompt_audio=9_000, tiers=(Tier(100, Price(2_000, 0, prompt_audio=18_000)),))
        assert cost_usd_nanos(price, Usage(100, prompt_audio_tokens=100)) == 900
        assert cost_usd_nanos(price, Usage(101, prompt_audio_tokens=101)) == 1_818


class TestWhoSays:
    def test_the_provider_before_the_price(self):
        assert cost_of(GPT_5, Usage(1, 1)) == 11_250
        assert cost_of(GPT_5, Usage(1, 1, reported_usd_nanos=7)) == 7
        assert cost_of(GPT_5, Usage(1, 1, reported_usd_nanos=0)) == 0
        assert cost_of(None, Usage(1, 1, reported_usd_nanos=7)) == 7
        assert cost_of(None, Usage(1, 1)) is None
        assert cost_of(FREE, Usage(1, 1)) == 0

    @pytest.mark.parametrize(
        ("price", "reported", "bill"),
        [
            (GPT_5, None, Bill(11_250, 1_250, 10_000)),
            (GPT_5, 20_000, Bill(20_000, 1_250, 18_750)),
            (GPT_5, 1_000, Bill(1_000, 1_000, 0)),
            (GPT_5, 0, Bill(0, 0, 0)),
            (None, 7, Bill(7, None, None)),
            (None, None, None),
        ],
    )
    def test_a_bill_adds_up(self, price, reported, bill):
        assert bill_of(price, Usage(1, 1, reported_usd_nanos=reported)) == bill

    @given(st.none() | every_price, every_usage, st.none() | counts)
    def test_a_bill_says_what_the_cost_is(self, price, usage, reported):
        usage = replace(usage, reported_usd_nanos=reported)
        bill, cost = bill_of(price, usage), cost_of(price, usage)
        assert (None if bill is None else bill.usd_nanos) == cost
        if price is not None:
            assert bill.prompt_usd_nanos + bill.completion_usd_nanos == bill.usd_nanos


@given(
    st.builds(
        Price,
        *[st.integers(0, 10**9)] * 2,
        cache_write=st.none() | st.integers(0, 10**9),
        cache_write_1h=st.none() | st.integers(0, 10**9),
        prompt_audio=st.none() | st.integers(0, 10**9),
        reasoning=st.none() | st.integers(0, 10**9),
        request=st.integers(0, 10**6),
    ),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.data(),
)
def test_the_most_is_the_most(price, prompt, completion, data):
    """Whatever kinds the tokens turn out to be of. (A cache read is never dearer than the prompt.)"""
    part = st.integers(0, prompt)
    usage = Usage(
        prompt, completion, cache_write_tokens=data.draw(part), cache_write_1h_tokens=data.draw(part),
        prompt_audio_tokens=data.draw(part), reasoning_tokens=data.draw(st.integers(0, completion)),
    )  # fmt: skip
    assert cost_usd_nanos(price, usage) <= most_usd_nanos(price, prompt, completion)
