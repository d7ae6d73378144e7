"""Tickets: what a page has shown, signed, so that what comes back with its form is what was shown, in that browser.

    <base64url of what was shown>.<Unix seconds until which it may be used>.<HMAC-SHA-256 in hex>

The signature also covers a nonce, which stays in the browser's cookie and is not in the page. Nothing is stored:
whoever opens pages without end fills nobody's memory.
"""

import base64
import hashlib
import hmac
import re
import secrets

from fairlead.errors import ApiError

LIFE_S = 600
_TICKET = re.compile(r"([A-Za-z0-9_-]+=*)\.([0-9]{1,12})\.([0-9a-f]{64})")
_NONCE = re.compile(r"[A-Za-z0-9_-]{22}")


def new_nonce() -> str:
    return secrets.token_urlsafe(16)


def is_nonce(text: str) -> bool:
    return _NONCE.fullmatch(text) is not None


def seal(secret: bytes, shown: bytes, nonce: str, now: float) -> str:
    """Return the ticket of what is shown at `now` (Unix seconds)."""
    head = f"{base64.urlsafe_b64encode(shown).decode()}.{int(now) + LIFE_S}"
    return f"{head}.{_signature(secret, head, nonce)}"


def unseal(secret: bytes, ticket: str, nonce: str, now: float) -> bytes:
    """Return what was shown. Raises ApiError 403 for a ticket that is not ours, another browser's, or too old."""
    parts = _TICKET.fullmatch(ticket)
    head, _, signature = ticket.rpartition(".")
    if parts is None or not hmac.compare_digest(_signature(secret, head, nonce), signature):
        raise _refusal("This form was not made for this browser, or cookies are off")
    if int(parts[2]) <= now:
        raise _refusal(f"This page is older than {LIFE_S // 60} minutes")
    return base64.urlsafe_b64decode(parts[1])


def _signature(secret: bytes, head: str, nonce: str) -> str:
    return hmac.digest(secret, f"consent {nonce} {head}".encode(), hashlib.sha256).hex()


def _refusal(text: str) -> ApiError:
    return ApiError(403, f"{text}. Go back to the app and begin again there", error_type="permission_denied")
