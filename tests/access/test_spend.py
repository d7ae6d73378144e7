import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.keys import ApiKey
from fairlead.access.lease import AmountLimit
from fairlead.access.spend import (
    INSTANCE,
    Budgets,
    SpendAlert,
    WorstCase,
    key_limits,
    refuse_concurrency,
    refuse_free_day,
    refuse_held,
    refuse_rate,
    refuse_size,
    refuse_spend,
    refuse_unchecked,
)
from fairlead.catalog.model import Price, Tier
from fairlead.catalog.pricing import Usage, cost_usd_nanos

NOON = 1_795_262_400.0
"""2026-11-21 12:00 UTC."""
CHEAP, DEAR = Price(prompt=1_000_000, completion=2_000_000), Price(prompt=3_000_000, completion=15_000_000)
"""A dollar and two, three and fifteen, per million tokens."""
FREE = Price(0, 0)

PRICES = st.builds(Price, st.integers(0, 10**9), st.integers(0, 10**9), request=st.integers(0, 10**4))
TIERED = st.builds(
    lambda price, above, tier: Price(price.prompt, price.completion, tiers=(Tier(above, tier),)),
    PRICES,
    st.integers(0, 10**5),
    PRICES,
)


class TestBudgets:
    def test_none_limit_nothing(self):
        assert Budgets().limits() == ()

    def test_each_is_a_limit_of_its_window(self):
        limits = Budgets(daily=1, monthly=0, is_credit_enforced=True).limits()
        assert limits == (AmountLimit("total", None), AmountLimit("daily", 1), AmountLimit("monthly", 0))
        assert Budgets(weekly=7).limits() == (AmountLimit("weekly", 7),)


@pytest.mark.parametrize(
    ("reset", "window"), [(None, "total"), ("daily", "daily"), ("weekly", "weekly"), ("monthly", "monthly")]
)
def test_limit_of_a_key(reset, window):
    assert key_limits(ApiKey("h", "n", "l", limit_usd_nanos=0, limit_reset=reset)) == (AmountLimit(window, 0),)
    assert key_limits(ApiKey("h", "n", "l", limit_reset=reset)) == ()


class TestWorstCase:
    def test_is_that_of_the_dearest_whoever_answers(self):
        worst = WorstCase(1_000, 100, [CHEAP, None, DEAR])
        assert worst.usd_nanos == 1_000 * 3_000 + 100 * 15_000
        assert worst.tokens == 1_100

    def test_of_unknown_prices_is_nothing(self):
        assert WorstCase(1_000, 100, [None]).usd_nanos == 0
        assert WorstCase(1_000, 100, []).usd_nanos == 0

    @pytest.mark.parametrize(
        ("prices", "is_free"), [([FREE], True), ([FREE, CHEAP], True), ([None], False), ([CHEAP], False)]
    )
    def test_is_free_if_somebody_may_charge_nothing(self, prices, is_free):
        """Else the limits on free requests could be got round by naming a paid model behind a free one."""
        assert WorstCase(1, 1, prices).is_free is is_free

    def test_what_is_affordable_is_so_at_the_dearest(self):
        worst = WorstCase(1_000, 500, [CHEAP, None, FREE, DEAR])
        assert worst.affordable_tokens(3_000_000 + 15_000 * 42 + 14_999) == 42
        assert worst.affordable_tokens(2_000_000) == 0
        assert worst.affordable_tokens(10**12) == 500

    @given(
        st.integers(0, 10**6), st.integers(0, 10**5), st.lists(PRICES | TIERED, min_size=1, max_size=3),
        st.integers(0, 10**12),
    )  # fmt: skip
    def test_what_is_affordable_costs_no_more_than_there_is(self, prompt, output, prices, left):
        tokens = WorstCase(prompt, output, prices).affordable_tokens(left)
        bare = max(cost_usd_nanos(price, Usage(prompt_tokens=prompt)) for price in prices)
        assert 0 <= tokens <= output
        if tokens:
            assert WorstCase(prompt, tokens, prices).usd_nanos <= left
        if tokens < output and bare <= left:
            assert WorstCase(prompt, tokens + 1, prices).usd_nanos >= left


class TestRefusals:
    ASKED = WorstCase(1_000, 500, [CHEAP])
    DAILY = AmountLimit("daily", 2_500_000_000)
    CREDITS = AmountLimit("total", None)

    @pytest.mark.parametrize(
        ("account", "limit", "status", "text"),
        [
            ("k", CREDITS, 402, "Insufficient credits. Add more: "),
            (INSTANCE, DAILY, 403, "The daily budget of $2.50 for this gateway is spent"),
            ("k", DAILY, 403, "Key limit exceeded (daily limit)"),
        ],
    )
    @pytest.mark.parametrize("left", [0, -1])
    def test_when_nothing_is_left(self, account, limit, status, text, left):
        error = refuse_spend(account, limit, left, self.ASKED)
        assert error.status == status
        assert error.message.startswith(text)

    @pytest.mark.parametrize(
        ("account", "limit", "what"),
        [
            (INSTANCE, CREDITS, "more credits"),
            (INSTANCE, DAILY, "more of the daily budget of this gateway"),
            ("k", DAILY, "more of the daily limit of this key"),
        ],
    )
    def test_says_what_would_be_affordable(self, account, limit, what):
        error = refuse_spend(account, limit, 1_000 * 1_000 + 30 * 2_000, self.ASKED)
        assert (error.status, error.param) == (402, "max_tokens")
        assert error.message == (
            f"This request requires {what}, or fewer max_tokens."
            " You requested up to 500 tokens, but can only afford 30."
        )
        assert error.metadata["affordable_tokens"] == 30
        assert error.metadata["requested_tokens"] == 500

    @pytest.mark.parametrize(
        ("account", "limit", "what"),
        [
            (INSTANCE, CREDITS, "credits are"),
            (INSTANCE, DAILY, "daily budget of this gateway is"),
            ("k", DAILY, "daily limit of this key is"),
        ],
    )
    def test_when_others_hold_it(self, account, limit, what):
        error = refuse_held(account, limit)
        assert (error.status, error.headers["retry-after"]) == (429, "1")
        assert error.message.startswith(f"What is left of the {what} held for requests under way.")

    def test_rate(self):
        error = refuse_rate("requests", 60, 1.2, NOON + 5)
        assert error.status == 429
        assert error.headers["retry-after"] == "2"
        assert error.headers["x-ratelimit-limit"] == "60"
        assert error.headers["x-ratelimit-reset"] == str(int(NOON + 5) * 1000)
        assert error.metadata["headers"]["X-RateLimit-Limit"] == "60"
        assert refuse_rate("requests", 60, 0.0, NOON).headers["retry-after"] == "1"

    def test_free_day(self):
        error = refuse_free_day(50, NOON, NOON + 43_200)
        assert error.status == 429
        assert "free-models-per-day (50)" in error.message
        assert error.headers["retry-after"] == "43200"

    def test_others(self):
        assert refuse_size(100, 200).status == 400
        assert refuse_concurrency(3).status == 429
        assert refuse_unchecked().status == 503


class TestAlert:
    def test_is_read_from_its_name(self):
        alert = SpendAlert.parse("k daily 0.8 2500000000", NOON)
        assert alert == SpendAlert("k", "daily", 0.8, "2.5", int(NOON) + 43_200)
        assert alert.text == "80% of the limit of key k (daily, 2.5 USD) is spent"

    def test_of_the_instance_for_ever(self):
        alert = SpendAlert.parse("* total 1 7", NOON)
        assert alert.resets_at is None
        assert alert.text.startswith("100% of the instance's budget (total, ")
