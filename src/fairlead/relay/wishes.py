"""What a request wants of those who may answer it: its own preferences over its key's."""

import re
from collections.abc import Mapping
from dataclasses import replace

import msgspec

from fairlead.access.keys import ApiKey
from fairlead.access.preferences import MOST_BYTES
from fairlead.errors import ApiError
from fairlead.plan.variants import added
from fairlead.plan.wish import ANYTHING, Wish, wish_of, with_needs
from fairlead.wire.parameters import NEEDED
from fairlead.wire.request import ChatRequest


def request_wish(request: ChatRequest, key: ApiKey) -> Wish:
    """Return the wish of a request. Raises ApiError 400 for preferences that nobody can read."""
    wish, given = ANYTHING, None if request.is_plain else request.member("provider")
    if given is not None and len(given) > MOST_BYTES:
        raise ApiError(400, f"'provider' is wrong: it is longer than {MOST_BYTES} bytes", param="provider")
    if given is not None or key.preferences:
        try:
            wish = wish_of(key.preferences, given, [name for name in request.names if name in NEEDED])
        except ValueError as error:
            raise ApiError(400, f"'provider' is wrong: {error}", param="provider") from None
    if request.has("tools"):
        wish = with_needs(wish, TOOLS)
    if not request.is_plain and request.has("plugins"):
        wish = _with_plugins(wish, request.member("plugins") or b"")
    if _ANY_PART.search(request.raw) is not None:
        wish = replace(wish, inputs=frozenset(_INPUTS[found] for found in _PART.findall(request.raw)))
    return replace(wish, key=key) if key.allowed_models or key.allowed_providers else wish


TOOLS = frozenset(("tools",))
"""An answer without them would be another one, so they are never left out."""
_ANY_PART = re.compile(rb'"i(?:mage_url|nput_audio)"')
"""Looks for both at once: each search through a body of 100 kB takes 40 µs."""
_PART = re.compile(rb'"type"[ \t\r\n]*:[ \t\r\n]*"(image_url|input_audio)"')
"""A part of a message that a model must be able to take; one that is known not to is not asked."""
_INPUTS: Mapping[bytes, str] = {b"image_url": "image", b"input_audio": "audio"}


class _Plugin(msgspec.Struct):
    id: str = ""
    enabled: bool | None = None


_PLUGINS = msgspec.json.Decoder(list[_Plugin])


def _with_plugins(wish: Wish, text: bytes) -> Wish:
    """Act upon plugins that change who may answer, or what: `web` means the same as `:online`.

    Raises ApiError 400 for one whose absence would be a danger. The others of OpenRouter's are left out of account.
    """
    try:
        ids = {plugin.id for plugin in _PLUGINS.decode(text) if plugin.enabled is not False}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"'plugins' is wrong: {error}", param="plugins") from None
    if "moderation" in ids:
        raise ApiError(400, "The plugin 'moderation' is not served here: leave it out", param="plugins")
    return replace(wish, adds=added(["online"])) if "web" in ids else wish
