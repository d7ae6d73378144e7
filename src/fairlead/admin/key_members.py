"""What the members of a key may be, as they are sent to `/keys`, and what they become in ApiKey.

Strict: a limit that is misspelt would be accepted, and never enforced. Each refusal names the member, its value, and
what it has to be.
"""

import json
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, cast, get_args

from fairlead.access.iso import unix_of
from fairlead.access.keys import MOST_RESUMED, Reset
from fairlead.access.preferences import pack_preferences
from fairlead.access.usd import MOST_USD, usd_nanos
from fairlead.errors import ApiError

MOST_NAME_CHARS = 200
MOST_PATTERNS = 100
MOST_PER_MINUTE = 10**9
"""Of requests and tokens: no machine serves more, and their intervals are still told apart."""
_SHOWN_CHARS = 100


class _Member(NamedTuple):
    field: str
    """Attribute of ApiKey; empty where there is none."""
    expects: str
    """Follows "it must be"."""
    read: Callable[[Any, float], object]
    """Turns a value, at a time in Unix seconds, into that of the attribute. Raises ValueError; a text says more."""


def _name(value: Any, _: float) -> str:
    if isinstance(value, str) and value.strip() and len(value) <= MOST_NAME_CHARS and value.isprintable():
        return value.strip()
    raise ValueError


def _limit(value: Any, _: float) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError
    try:
        return usd_nanos(value)
    except ArithmeticError:
        raise ValueError("nobody can reckon with that") from None


def _reset(value: Any, _: float) -> Reset | None:
    if value is None:
        return None
    if value not in get_args(Reset):
        raise ValueError
    return cast(Reset, value)


def _expires(value: Any, now: float) -> int | None:
    if value is None:
        return None
    try:
        unix = unix_of(str(value))
    except ValueError:
        raise ValueError from None  # what is expected says as much
    if unix <= now:
        raise ValueError("that has passed: to end a key at once, disable or delete it")
    return unix


def _patterns(value: Any, _: float) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not 0 < len(value) <= MOST_PATTERNS or not all(map(_is_pattern, value)):
        raise ValueError
    return tuple(dict.fromkeys(value))


def _is_pattern(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MOST_NAME_CHARS and value.isprintable() and " " not in value


def _count(most: int, least: int = 1) -> Callable[[Any, float], int | None]:
    def read(value: Any, _: float) -> int | None:
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and least <= value <= most):
            return value
        raise ValueError

    return read


def _preferences(value: Any, _: float) -> str:
    return "" if value is None else pack_preferences(value)


def _one_of(*values: bool | None) -> Callable[[Any, float], bool | None]:
    def read(value: Any, _: float) -> bool | None:
        if any(value is one for one in values):
            return cast(bool | None, value)
        raise ValueError

    return read


def _per_minute(what: str) -> str:
    return f"a whole number of {what} from 1 to {MOST_PER_MINUTE}, or null for no limit"


def _absent(what: str) -> _Member:
    return _Member("", f"null or left out: {what}", _one_of(None))


_PATTERNS = f"a list of 1 to {MOST_PATTERNS} patterns such as {{}}, or null for all"
_MEMBERS: Mapping[str, _Member] = {
    "name": _Member("name", f"a text of 1 to {MOST_NAME_CHARS} printable characters", _name),
    "disabled": _Member("is_disabled", "true or false", _one_of(True, False)),
    "limit": _Member(
        "limit_usd_nanos", f"an amount in USD, a number from 0 to {MOST_USD}, or null for no limit", _limit
    ),
    "limit_reset": _Member("limit_reset", f"{', '.join(get_args(Reset))}, or null for never", _reset),
    "expires_at": _Member(
        "expires", "a time to come in UTC with seconds, such as 2099-12-31T23:59:59Z, or null for never", _expires
    ),
    "allowed_models": _Member("allowed_models", _PATTERNS.format("openai/*"), _patterns),
    "allowed_providers": _Member("allowed_providers", _PATTERNS.format("groq"), _patterns),
    "requests_per_minute": _Member("requests_per_minute", _per_minute("requests"), _count(MOST_PER_MINUTE)),
    "tokens_per_minute": _Member("tokens_per_minute", _per_minute("tokens"), _count(MOST_PER_MINUTE)),
    "max_concurrency": _Member(
        "max_concurrency", "a whole number from 1 to 1000000 of requests at a time, or null for no limit", _count(10**6)
    ),
    "preferences": _Member(
        "preferences", 'an object such as a request\'s "provider", for example {"sort": "price"}, or null', _preferences
    ),
    "auto_routing": _Member(
        "is_auto_routing", "true, false, or null for what the gateway does", _one_of(True, False, None)
    ),
    "resume_tokens": _Member(
        "resume_tokens",
        f"a whole number of tokens from 0, which is never, to {MOST_RESUMED}, or null for what the provider and the "
        "gateway are set to",
        _count(MOST_RESUMED, 0),
    ),
    "is_management": _Member("is_management", "true or false", _one_of(True, False)),
    "include_byok_in_limit": _Member(
        "", "false or left out: all spending counts, whoever's the provider's key", _one_of(False, None)
    ),
    "workspace_id": _absent("there are no workspaces here"),
    "creator_user_id": _absent("there are no users here"),
    "external": _absent("there are no external users here"),
}
FOR_NEW = _MEMBERS.keys() - {"disabled"}
FOR_CHANGES = _MEMBERS.keys() - {"is_management", "creator_user_id", "external"}


def read_new(members: Mapping[str, object], now: float) -> dict[str, object]:
    """Return the attributes of a key to be made, but for those that are left out. Raises ApiError 400."""
    return _read(members, FOR_NEW, now)


def read_changes(members: Mapping[str, object], now: float) -> dict[str, object]:
    """Return the attributes to be changed. Raises ApiError 400, also where there are none."""
    if not members:
        raise ApiError(400, "No update fields provided")
    return _read(members, FOR_CHANGES, now)


def _read(members: Mapping[str, object], allowed: Collection[str], now: float) -> dict[str, object]:
    attributes = {}
    for name, value in members.items():
        if name not in allowed:
            raise _refuse_unknown(name, allowed)
        member = _MEMBERS[name]
        try:
            read = member.read(value, now)
        except ValueError as error:
            more = f" ({error})" if str(error) else ""
            raise ApiError(400, f"'{name}' is {_shown(value)}: it must be {member.expects}{more}", param=name) from None
        if member.field:
            attributes[member.field] = read
    return attributes


def _refuse_unknown(name: str, allowed: Collection[str]) -> ApiError:
    if name in _MEMBERS:
        text = f"'{name}' cannot be set here"
    else:
        text = f"'{name[:_SHOWN_CHARS]}' is no member of a key"
    return ApiError(400, f"{text}; those that can be set: {', '.join(sorted(allowed))}", param=name[:_SHOWN_CHARS])


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
