"""OAuth's Proof Key for Code Exchange (RFC 7636): codes, challenges, and where a code may be sent.

An app sends whoever uses it to `/auth` with a challenge; a code comes back, and is a key for whoever also has the
verifier that the challenge was made of. A code is 256 random bits, of which only a hash is kept. It works once: asking
with a wrong verifier spends it too, so that there is nothing to try a second time.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, cast, get_args
from urllib.parse import parse_qsl, urlencode

from fairlead.errors import ApiError

Method = Literal["S256", "plain"]

_CODE = re.compile(r"fl-code-[A-Za-z0-9_-]{43}")

_CHALLENGES: Mapping[Method, tuple[re.Pattern[str], str]] = {
    "S256": (re.compile(r"[A-Za-z0-9_-]{43}"), "base64url(sha256(code_verifier)) without padding: 43 characters"),
    "plain": (
        re.compile(r"[A-Za-z0-9._~-]{43,128}"),
        "the code_verifier: 43 to 128 letters, digits, '-', '.', '_', '~'",
    ),
}
"""RFC 7636 §4.1 and §4.2."""

MAX_CALLBACK_CHARS = 2_048
CALLBACK_RULE = "callback_url must be https://, or http:// on localhost, 127.0.0.1 or [::1], with any port"
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_ALLOWED = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*")
"""RFC 3986 §2, and nothing of what browsers mend in different ways: a backslash, a tab, another script's letters."""
_CALLBACK = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?(?=[/?]|$)", re.IGNORECASE)
_DEFAULT_PORTS = {"https": "443", "http": "80"}


def new_code() -> str:
    """Return a new random code."""
    return f"fl-code-{secrets.token_urlsafe(32)}"


def is_code(text: str) -> bool:
    """Whether we could have made it; what we could not does not reach the store."""
    return _CODE.fullmatch(text) is not None


def code_hash(code: str) -> str:
    """Return what is kept of a code: SHA-256 in hex."""
    return hashlib.sha256(code.encode()).hexdigest()


def read_method(given: str | None) -> Method:
    """Return how a challenge is made of its verifier; plain if it is not said (RFC 7636 §4.3). Raises ApiError 400."""
    if given is not None and given not in get_args(Method):
        raise ApiError(400, "Invalid code_challenge_method", param="code_challenge_method")
    return cast(Method, given or "plain")


def check_challenge(challenge: str, method: Method) -> None:
    """Raise ApiError 400 for what cannot be a challenge."""
    form, description = _CHALLENGES[method]
    if not form.fullmatch(challenge):
        raise ApiError(400, f"code_challenge must be, for {method}, {description}", param="code_challenge")


def is_proven(challenge: str | None, method: Method, verifier: str | None) -> bool:
    """Whether `verifier` is what `challenge` was made of.

    A verifier where none was asked for is a fault too: somebody has taken the challenge away (RFC 9700 §4.8).
    """
    if challenge is None or verifier is None:
        return challenge is verifier
    made = verifier.encode()
    if method == "S256":
        made = base64.urlsafe_b64encode(hashlib.sha256(made).digest()).rstrip(b"=")
    return hmac.compare_digest(made, challenge.encode())


def origin_of(callback: str) -> str:
    """Return scheme, host and port of a callback, in lower case and without a port that goes without saying.

    Raises ApiError 400, which says what is wrong, for an URL that no code may be sent to.
    """
    if len(callback) > MAX_CALLBACK_CHARS:
        raise _refusal(f"callback_url is longer than {MAX_CALLBACK_CHARS} characters")
    if (strange := _ALLOWED.match(callback)) and strange.end() < len(callback):
        raise _refusal(f"callback_url holds {callback[strange.end()]!a}, which must be percent-encoded in a URL")
    if "#" in callback:
        raise _refusal("callback_url must not have a fragment (#)")
    authority = callback.partition("://")[2].partition("/")[0].partition("?")[0]
    if "@" in authority:
        raise _refusal("callback_url must not hold a user name or password")
    found = _CALLBACK.match(callback)
    if found is None:
        raise _refusal(CALLBACK_RULE)
    scheme, host, port = found[1].lower(), found[2].lower(), found[3]
    if port and int(port) > 65_535:
        raise _refusal(f"callback_url has port {port}, and there are 65535")
    if (scheme == "http" and host not in _LOOPBACK) or not _is_host(host):
        raise _refusal(CALLBACK_RULE)
    if {"code", "error"} & {name for name, _ in parse_qsl(callback.partition("?")[2], keep_blank_values=True)}:
        raise _refusal("callback_url must not have a `code` or an `error` of its own in its query")
    return f"{scheme}://{host}" + (f":{port}" if port and port != _DEFAULT_PORTS[scheme] else "")


def _is_host(host: str) -> bool:
    """Whether browsers agree on what it is: a last part of digits makes it an address to them, as in `0x7f.1`."""
    try:
        if host.startswith("["):
            return bool(IPv6Address(host[1:-1]).exploded)
        if host.rstrip(".").rpartition(".")[2][:1].isdecimal():
            return bool(IPv4Address(host).exploded)
    except ValueError:
        return False
    return len(host) <= 253 and all(0 < len(part) <= 63 for part in host.removesuffix(".").split("."))


def _refusal(text: str) -> ApiError:
    return ApiError(400, text, param="callback_url")


def answer_url(callback: str, **answer: str) -> str:
    """Return the callback with an answer in its query: `code` or `error`."""
    return f"{callback}{'&' if '?' in callback else '?'}{urlencode(answer)}"
