"""An API key as JSON shows it: to the caller who has it, and to those who manage it. Amounts are USD.

Members are OpenRouter's, with some of ours after them. What there is none of here (workspaces, users, providers' keys
of the caller's own) is null, 0 or false, as OpenRouter's types have it.
"""

import orjson

from fairlead.access.iso import iso_utc
from fairlead.access.keys import ApiKey
from fairlead.access.usd import usd_of
from fairlead.access.windows import Spent, Window, resets_at


def key_object(key: ApiKey, spent: Spent) -> dict[str, object]:
    """Return the key as `/keys` shows it."""
    return {
        "hash": key.hash,
        "name": key.name,
        "label": key.label,
        "disabled": key.is_disabled,
        **_spending(key, spent),
        "created_at": iso_utc(key.created),
        "updated_at": _time(key.updated or None),
        "last_used_at": _time(spent.last or None),
        "expires_at": _time(key.expires),
        "creator_user_id": key.creator or None,
        "workspace_id": None,
        "external_user": None,
        "is_management": key.is_management,
        **_own(key),
    }


def current_key_object(key: ApiKey, spent: Spent, now: float) -> dict[str, object]:
    """Return the key as `/key` shows it to its holder. `now` is Unix seconds."""
    budget = _budget(key, spent, now)
    return {
        "label": key.label,
        **_spending(key, spent),
        "is_free_tier": False,
        "is_management_key": key.is_management,
        "is_provisioning_key": key.is_management,
        "rate_limit": {
            "requests": key.requests_per_minute or -1,
            "interval": "1m",
            "note": "Deprecated: see requests_per_minute",
        },
        "expires_at": _time(key.expires),
        "creator_user_id": key.creator or None,
        "workspace_id": None,
        "organization_id": None,
        "budgets": [] if budget is None else [budget],
        "effective_budget": budget,
        "free_model_daily_requests": None,
        "allowed_data_regions": ["global"],
        **_own(key),
    }


def remaining_usd_nanos(key: ApiKey, spent: Spent) -> int | None:
    """Return what may still be spent in the window of now; None without a limit. Not less than 0."""
    if key.limit_usd_nanos is None:
        return None
    return max(0, key.limit_usd_nanos - spent.in_window(_window(key)))


def _window(key: ApiKey) -> Window:
    return key.limit_reset or "total"


def _spending(key: ApiKey, spent: Spent) -> dict[str, object]:
    return {
        "limit": _usd(key.limit_usd_nanos),
        "limit_remaining": _usd(remaining_usd_nanos(key, spent)),
        "limit_reset": key.limit_reset,
        "include_byok_in_limit": False,
        "usage": _usd(spent.total),
        "usage_daily": _usd(spent.daily),
        "usage_weekly": _usd(spent.weekly),
        "usage_monthly": _usd(spent.monthly),
        "byok_usage": 0.0,
        "byok_usage_daily": 0.0,
        "byok_usage_weekly": 0.0,
        "byok_usage_monthly": 0.0,
    }


def _own(key: ApiKey) -> dict[str, object]:
    return {
        "allowed_models": key.allowed_models or None,
        "allowed_providers": key.allowed_providers or None,
        "requests_per_minute": key.requests_per_minute,
        "tokens_per_minute": key.tokens_per_minute,
        "max_concurrency": key.max_concurrency,
        "preferences": orjson.loads(key.preferences) if key.preferences else None,
        "auto_routing": key.is_auto_routing,
        "resume_tokens": key.resume_tokens,
    }


def _budget(key: ApiKey, spent: Spent, now: float) -> dict[str, object] | None:
    if key.limit_usd_nanos is None:
        return None
    return {
        "scope": "key_limit",
        "limit_usd": _usd(key.limit_usd_nanos),
        "spend_usd": _usd(spent.in_window(_window(key))),
        "remaining_usd": _usd(remaining_usd_nanos(key, spent)),
        "reset_interval": key.limit_reset,
        "resets_at": _time(resets_at(_window(key), now)),
        "include_byok": False,
        "guardrail_id": None,
        "budget_id": None,
    }


def _usd(nanos: int | None) -> float | None:
    return None if nanos is None else usd_of(nanos)


def _time(unix: int | None) -> str | None:
    return None if unix is None else iso_utc(unix)
