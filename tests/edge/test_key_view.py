import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.keys import ApiKey
from fairlead.access.usd import MOST_USD
from fairlead.access.windows import Spent
from fairlead.edge.key_view import current_key_object, key_object, remaining_usd_nanos

NOW = 1_795_273_445.5  # 2026-11-21T15:04:05.5Z, a Saturday
KEY = ApiKey("9f" * 32, "web", "sk-fl-v1-1a2…9f0", created=1_700_000_000)
FULL = replace(
    KEY,
    updated=1_700_000_001,
    expires=1_900_000_000,
    limit_usd_nanos=5_000_000_000,
    limit_reset="weekly",
    allowed_models=("openai/*",),
    allowed_providers=("groq",),
    requests_per_minute=60,
    tokens_per_minute=1000,
    max_concurrency=4,
    preferences='{"sort":"price"}',
    is_auto_routing=True,
    resume_tokens=0,
    creator="oauth:https://app.example",
)
SPENT = Spent(7_000_000_001, 1_000_000_000, 2_500_000_000, 3_000_000_000, 12, 1_700_000_002)

amounts = st.integers(0, MOST_USD * 10**9)


def test_a_key_without_conditions_that_was_never_used():
    assert key_object(KEY, Spent()) == {
        "hash": KEY.hash,
        "name": "web",
        "label": "sk-fl-v1-1a2…9f0",
        "disabled": False,
        "limit": None,
        "limit_remaining": None,
        "limit_reset": None,
        "include_byok_in_limit": False,
        "usage": 0.0,
        "usage_daily": 0.0,
        "usage_weekly": 0.0,
        "usage_monthly": 0.0,
        "byok_usage": 0.0,
        "byok_usage_daily": 0.0,
        "byok_usage_weekly": 0.0,
        "byok_usage_monthly": 0.0,
        "created_at": "2023-11-14T22:13:20Z",
        "updated_at": None,
        "last_used_at": None,
        "expires_at": None,
        "creator_user_id": None,
        "workspace_id": None,
        "external_user": None,
        "is_management": False,
        "allowed_models": None,
        "allowed_providers": None,
        "requests_per_minute": None,
        "tokens_per_minute": None,
        "max_concurrency": None,
        "preferences": None,
        "auto_routing": None,
        "resume_tokens": None,
    }


def test_one_with_everything():
    shown = key_object(FULL, SPENT)
    assert shown == key_object(KEY, Spent()) | {
        "limit": 5.0,
        "limit_remaining": 2.5,
        "limit_reset": "weekly",
        "usage": 7.000000001,
        "usage_daily": 1.0,
        "usage_weekly": 2.5,
        "usage_monthly": 3.0,
        "updated_at": "2023-11-14T22:13:21Z",
        "last_used_at": "2023-11-14T22:13:22Z",
        "expires_at": "2030-03-17T17:46:40Z",
        "creator_user_id": "oauth:https://app.example",
        "allowed_models": ("openai/*",),
        "allowed_providers": ("groq",),
        "requests_per_minute": 60,
        "tokens_per_minute": 1000,
        "max_concurrency": 4,
        "preferences": {"sort": "price"},
        "auto_routing": True,
        "resume_tokens": 0,
    }
    assert key_object(replace(KEY, is_disabled=True), Spent())["disabled"] is True


def test_as_its_holder_sees_it():
    budget = {
        "scope": "key_limit",
        "limit_usd": 5.0,
        "spend_usd": 2.5,
        "remaining_usd": 2.5,
        "reset_interval": "weekly",
        "resets_at": "2026-11-23T00:00:00Z",
        "include_byok": False,
        "guardrail_id": None,
        "budget_id": None,
    }
    assert current_key_object(FULL, SPENT, NOW) == {
        "label": "sk-fl-v1-1a2…9f0",
        "limit": 5.0,
        "limit_remaining": 2.5,
        "limit_reset": "weekly",
        "include_byok_in_limit": False,
        "usage": 7.000000001,
        "usage_daily": 1.0,
        "usage_weekly": 2.5,
        "usage_monthly": 3.0,
        "byok_usage": 0.0,
        "byok_usage_daily": 0.0,
        "byok_usage_weekly": 0.0,
        "byok_usage_monthly": 0.0,
        "is_free_tier": False,
        "is_management_key": False,
        "is_provisioning_key": False,
        "rate_limit": {"requests": 60, "interval": "1m", "note": "Deprecated: see requests_per_minute"},
        "expires_at": "2030-03-17T17:46:40Z",
        "creator_user_id": "oauth:https://app.example",
        "workspace_id": None,
        "organization_id": None,
        "budgets": [budget],
        "effective_budget": budget,
        "free_model_daily_requests": None,
        "allowed_data_regions": ["global"],
        "allowed_models": ("openai/*",),
        "allowed_providers": ("groq",),
        "requests_per_minute": 60,
        "tokens_per_minute": 1000,
        "max_concurrency": 4,
        "preferences": {"sort": "price"},
        "auto_routing": True,
        "resume_tokens": 0,
    }


def test_its_holder_without_a_limit_has_no_budget():
    shown = current_key_object(replace(KEY, is_management=True), SPENT, NOW)
    assert (shown["budgets"], shown["effective_budget"]) == ([], None)
    assert shown["rate_limit"]["requests"] == -1
    assert shown["is_management_key"] is shown["is_provisioning_key"] is True


@pytest.mark.parametrize(
    ("reset", "spent", "resets_at"),
    [
        (None, 7_000_000_001, None),
        ("daily", 1_000_000_000, "2026-11-22T00:00:00Z"),
        ("weekly", 2_500_000_000, "2026-11-23T00:00:00Z"),
        ("monthly", 3_000_000_000, "2026-12-01T00:00:00Z"),
    ],
)
def test_each_window_has_its_own_spending_and_end(reset, spent, resets_at):
    key = replace(KEY, limit_usd_nanos=4_000_000_000, limit_reset=reset)
    remaining = max(0, 4_000_000_000 - spent)
    assert remaining_usd_nanos(key, SPENT) == remaining
    budget = current_key_object(key, SPENT, NOW)["effective_budget"]
    assert (budget["spend_usd"], budget["remaining_usd"]) == (spent / 10**9, remaining / 10**9)
    assert (budget["reset_interval"], budget["resets_at"]) == (reset, resets_at)


@given(st.none() | amounts, amounts)
def test_what_remains_is_never_less_than_nothing_nor_more_than_the_limit(limit, spent):
    remaining = remaining_usd_nanos(replace(KEY, limit_usd_nanos=limit), Spent(total=spent))
    if limit is None:
        assert remaining is None
    else:
        assert 0 <= remaining <= limit
        assert remaining + spent == limit or (remaining == 0 and spent > limit)


@given(amounts)
def test_json_tells_every_amount_exactly(nanos):
    shown = json.dumps(key_object(replace(KEY, limit_usd_nanos=nanos), Spent(total=nanos)))
    read = json.loads(shown, parse_float=Decimal)
    assert read["limit"] * 10**9 == read["usage"] * 10**9 == nanos


def test_the_key_is_not_in_it():
    """Of the key itself only the label is known, from which it cannot be told."""
    assert len(json.dumps(key_object(FULL, SPENT)).partition("sk-fl-v1-")[2].partition('"')[0]) < 20
