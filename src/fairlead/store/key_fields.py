"""What is kept of an API key, as the fields of a Redis hash.

A field that is missing stands for the default: keys that older versions have written are read as they were meant, and
what newer ones have added is left alone.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args

import msgspec
import orjson

from fairlead.access.keys import ApiKey, Reset
from fairlead.errors import Unreadable
from fairlead.store import PREFIX


class _Form(NamedTuple):
    """How a field is written and read."""

    write: Callable[[Any], str]
    read: Callable[[str], Any]


def _reset(text: str) -> str | None:
    """A window that this version does not know never ends here: the limit errs on the safe side."""
    return text if text in get_args(Reset) else None


_TEXT = _Form(str, str)
_NUMBER = _Form(str, int)
_SWITCH = _Form(lambda value: "1" if value else "0", lambda text: text == "1")
_WORDS = _Form(lambda words: orjson.dumps(words).decode(), lambda text: msgspec.json.decode(text, type=tuple[str, ...]))

_FIELDS: Mapping[str, tuple[str, _Form]] = {
    "name": ("name", _TEXT),
    "label": ("label", _TEXT),
    "created": ("created", _NUMBER),
    "is_disabled": ("disabled", _SWITCH),
    "updated": ("updated", _NUMBER),
    "expires": ("expires", _NUMBER),
    "is_management": ("management", _SWITCH),
    "limit_usd_nanos": ("limit_usd_nanos", _NUMBER),
    "limit_reset": ("limit_reset", _Form(str, _reset)),
    "allowed_models": ("models", _WORDS),
    "allowed_providers": ("providers", _WORDS),
    "requests_per_minute": ("requests_per_minute", _NUMBER),
    "tokens_per_minute": ("tokens_per_minute", _NUMBER),
    "max_concurrency": ("max_concurrency", _NUMBER),
    "preferences": ("preferences", _TEXT),
    "is_auto_routing": ("auto_routing", _SWITCH),
    "resume_tokens": ("resume_tokens", _NUMBER),
    "creator": ("creator", _TEXT),
}
"""Attributes of ApiKey, but for the hash, which is in the name of the Redis key."""


def fields_of(key: ApiKey) -> dict[str, str]:
    """Return the whole of a key."""
    return set_and_gone({name: getattr(key, name) for name in _FIELDS})[0]


def set_and_gone(changes: Mapping[str, object]) -> tuple[dict[str, str], list[str]]:
    """Return the fields to set and those to remove; `changes` are attributes of ApiKey with their new values.

    Raises KeyError for what is no attribute, or cannot be changed.
    """
    forms = {name: _FIELDS[name] for name in changes}
    values = {field: form.write(changes[name]) for name, (field, form) in forms.items() if changes[name] is not None}
    return values, [field for field, _ in forms.values() if field not in values]


def key_of(digest: str, found: Mapping[bytes, bytes]) -> ApiKey:
    """Return the key with these fields. Raises Unreadable."""
    values: dict[str, Any] = {"name": "", "label": ""}
    for name, (field, form) in _FIELDS.items():
        if (told := found.get(field.encode())) is not None:
            try:
                values[name] = form.read(told.decode())
            except (ValueError, msgspec.DecodeError, RecursionError) as error:
                place = f"{PREFIX}key:{{{digest}}}"
                text = f"the field {field!r} of {place} cannot be read ({error}): HSET it anew, or DEL the whole key"
                raise Unreadable(text) from error
    return ApiKey(**values, hash=digest)
