"""An API key as a terminal shows it."""

from fairlead.access.iso import iso_utc
from fairlead.access.keys import ApiKey
from fairlead.access.usd import usd_text
from fairlead.access.windows import Spent

_PER = {"daily": "a day", "weekly": "a week", "monthly": "a month"}


def state_of(key: ApiKey, now: float) -> str:
    """Return `active`, `disabled` or `expired`; `now` is Unix seconds."""
    if key.is_disabled:
        return "disabled"
    return "expired" if key.expires is not None and now >= key.expires else "active"


def key_line(key: ApiKey, spent: Spent, now: float) -> str:
    """Return a key on one line: what is needed to tell it from others, and what it has spent in the window of now."""
    used = usd_text(spent.in_window(key.limit_reset or "total"))
    shown = [
        key.hash[:12],
        f"{key.label:<16}",
        f"{state_of(key, now):<8}",
        iso_utc(key.created)[:10],
        f"{used + (' USD' if key.limit_usd_nanos is None else f' of {_limit(key)}'):<20}",
        f"{key.name} (management)".lstrip() if key.is_management else key.name,
    ]
    return "  ".join(shown).rstrip()


def key_lines(key: ApiKey, spent: Spent, now: float) -> list[str]:
    """Return everything about a key, a line for each thing."""
    shown = {
        "name": key.name or "none",
        "hash": key.hash,
        "label": key.label,
        "state": state_of(key, now),
        "for": "management" if key.is_management else "inference",
        "created": iso_utc(key.created) + (f" by {key.creator}" if key.creator else ""),
        "expires": "never" if key.expires is None else iso_utc(key.expires),
        "limit": "none" if key.limit_usd_nanos is None else _limit(key),
        "spent": (
            f"{usd_text(spent.total)} USD; today {usd_text(spent.daily)}, this week {usd_text(spent.weekly)}, "
            f"this month {usd_text(spent.monthly)}"
        ),
        "requests": f"{spent.requests}, {f'the last {iso_utc(spent.last)}' if spent.last else 'never used'}",
        "models": ", ".join(key.allowed_models) or "all",
        "providers": ", ".join(key.allowed_providers) or "all",
        "rates": ", ".join(_rates(key)) or "no limit",
    }
    if key.preferences:
        shown["preferences"] = key.preferences
    if key.is_auto_routing is not None:
        shown["auto routing"] = "on" if key.is_auto_routing else "off"
    if key.resume_tokens is not None:
        shown["resume"] = f"within {key.resume_tokens} tokens" if key.resume_tokens else "never"
    return [f"{what:<12}  {text}" for what, text in shown.items()]


def _limit(key: ApiKey) -> str:
    amount = f"{usd_text(key.limit_usd_nanos or 0)} USD"
    return f"{amount} {_PER[key.limit_reset]}" if key.limit_reset else amount


def _rates(key: ApiKey) -> list[str]:
    rates = (
        (key.requests_per_minute, "requests a minute"),
        (key.tokens_per_minute, "tokens a minute"),
        (key.max_concurrency, "requests at a time"),
    )
    return [f"{most} {what}" for most, what in rates if most is not None]
