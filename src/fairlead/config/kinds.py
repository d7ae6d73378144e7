"""What the text of a setting may be, and how it becomes a value.

A kind's `read` raises an error for text that does not fit: `Unfit` with a reason of its own, or any `ValueError`, which
means "not what the kind expects". Reasons never repeat the text, which may be secret.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta

from fairlead.access.usd import usd_nanos
from fairlead.config.secret import Secret, SecretUrl, mask, mask_url
from fairlead.config.settings import Network
from fairlead.plan.auto_options import TIERS
from fairlead.wire.preset_config import SLUG

T = TypeVar("T")


class Unfit(ValueError):
    """The text does not fit; the message says why, in words that follow `VARIABLE=value: `."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One sort of value: how to say it, show one, and read it."""

    expects: str
    """Follows "not ": "a whole number from 0 to 65535"."""
    example: str
    read: Callable[[str], T]
    mask: Callable[[str], str] | None = None
    """How its text may be printed; None: as it is."""

    def convert(self, text: str) -> T:
        """Read `text`, or raise `Unfit`."""
        try:
            return self.read(text)
        except Unfit:
            raise
        except (ValueError, msgspec.ValidationError):
            raise Unfit(f"not {self.expects}") from None


def whole(low: int, high: int, example: str = "") -> Kind[int]:
    target = Annotated[int, Meta(ge=low, le=high)]
    return Kind(
        f"a whole number from {low} to {high}",
        example or str(low),
        lambda text: msgspec.convert(text.strip(), target, strict=False),
    )


def number(low: float, high: float, unit: str = "") -> Kind[float]:
    target = Annotated[float, Meta(ge=low, le=high)]
    return Kind(
        f"a number{unit} from {low:.10g} to {high:.10g}",
        f"{low:.10g}",
        lambda text: msgspec.convert(text.strip(), target, strict=False),
    )


def seconds(low: float, high: float) -> Kind[float]:
    return number(low, high, " of seconds")


def one_of(*words: str) -> Kind[str]:
    def read(text: str) -> str:
        if (word := text.strip().lower()) in words:
            return word
        raise ValueError

    return Kind(f"one of {', '.join(words)}", words[0], read)


def items(text: str) -> list[str]:
    """The parts of a comma-separated list; empty ones (a trailing comma) are dropped."""
    return [part for item in text.split(",") if (part := item.strip())]


_SWITCH = {"on": True, "true": True, "1": True, "yes": True, "off": False, "false": False, "0": False, "no": False}
_SIZE = re.compile(r"([0-9]{1,15}) ?(B|K|KB|KIB|M|MB|MIB|G|GB|GIB)?", re.IGNORECASE)
_FACTOR = {"": 1, "K": 1000, "KI": 1024, "M": 1000**2, "MI": 1024**2, "G": 1000**3, "GI": 1024**3}
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+)(:[0-9]{1,5})?")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VISIBLE_ASCII = re.compile(r"[!-~]+")
_REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster")


def _switch(text: str) -> bool:
    try:
        return _SWITCH[text.strip().lower()]
    except KeyError:
        raise ValueError from None


def size(low: int, high: int) -> Kind[int]:
    """A number of bytes; decimal (`KB`) and binary (`KiB`) units are told apart."""

    def read(text: str) -> int:
        found = _SIZE.fullmatch(text.strip())
        if found is None:
            raise ValueError
        size_bytes = int(found[1]) * _FACTOR[(found[2] or "").upper().removesuffix("B")]
        if not low <= size_bytes <= high:
            raise ValueError
        return size_bytes

    return Kind(f"a size from {low} to {high} bytes, as a number or with a unit (64KiB, 1MB)", "64KiB", read)


def _host(text: str) -> str:
    host = text.strip()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not _HOST_NAME.fullmatch(host):
        ipaddress.ip_address(host)  # an IPv6 address is the only other form
    return host


def _redis_url(text: str) -> SecretUrl:
    url = text.strip()
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _REDIS_SCHEMES or not _VISIBLE_ASCII.fullmatch(url):
        raise ValueError
    if scheme == "unix":
        parts = urlsplit(url)
        if not parts.path.startswith("/") or (parts.netloc and not parts.netloc.endswith("@")):
            raise Unfit("a unix:// address needs an absolute path, so three slashes")
        return SecretUrl(url)
    places = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    if not all(_HOST_AND_PORT.fullmatch(place) for place in places.split(",")):
        raise Unfit("no valid host[:port] after the scheme (percent-encode special characters in a password)")
    return SecretUrl(url)


def _proxy_url(text: str) -> SecretUrl:
    url = text.strip()
    if "://" not in url:
        url = f"http://{url}"  # as curl reads `proxy:3128`
    parts = urlsplit(url)
    if not _VISIBLE_ASCII.fullmatch(url) or not parts.hostname or parts.port == 0:
        raise ValueError
    return SecretUrl(url)


def is_http(url: SecretUrl) -> bool:
    return url.reveal().lower().startswith("http://")


def _http_proxy_url(text: str) -> SecretUrl:
    url = _proxy_url(text)
    if not is_http(url):
        raise Unfit("only proxies spoken to by plain HTTP (CONNECT) are supported")
    return url


def _secret(text: str) -> Secret:
    if not _VISIBLE_ASCII.fullmatch(text):
        raise Unfit("a key holds only visible ASCII characters: look for a blank, a line break or a typographic quote")
    return Secret(text)


def _secrets(text: str) -> tuple[Secret, ...]:
    return tuple(_secret(item) for item in dict.fromkeys(items(text)))


def _mask_items(text: str) -> str:
    return ",".join(mask(item) for item in items(text))


def _http_url(text: str) -> SecretUrl:
    url = text.strip()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not _VISIBLE_ASCII.fullmatch(url):
        raise ValueError
    return SecretUrl(url)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """The parts of a comma-separated list of name=value; values may be percent-encoded."""
    for item in items(text):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not _TOKEN.fullmatch(name):
            raise Unfit("each item must be name=value, the name without blanks; write a comma in a value as %2C")
        yield name, unquote(value, errors="strict")


def _attributes(text: str) -> tuple[tuple[str, str], ...]:
    return tuple(dict(_pairs(text)).items())


def _headers(text: str) -> tuple[tuple[str, Secret], ...]:
    headers = {name.lower(): value for name, value in _pairs(text)}
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise Unfit(f"the value of {name} has characters no header can carry")
    return tuple((name, Secret(value)) for name, value in headers.items())


def _mask_pairs(text: str) -> str:
    return ",".join(
        f"{name.strip()}=…" if equals else "…" for name, equals, _ in (i.partition("=") for i in items(text))
    )


def _usd(text: str) -> Decimal:
    amount = text.strip().removeprefix("$")
    usd_nanos(amount)  # which refuses what is no amount
    return Decimal(amount)


def _parts(text: str) -> tuple[float, ...]:
    found = sorted({float(item) for item in items(text)})
    if not all(0.0 < part <= 10.0 for part in found):
        raise ValueError
    return tuple(found)


def _triggers(text: str) -> tuple[tuple[str, str], ...]:
    found = []
    for item in items(text):
        keyword, _, tier = (part.strip() for part in item.rpartition("="))
        if not keyword or tier not in TIERS:
            raise Unfit(f"each item must be keyword=tier, the tier one of {', '.join(TIERS)}")
        found.append((keyword, tier))
    return tuple(found)


def _networks(text: str) -> tuple[Network, ...]:
    if text.strip().lower() == "none":
        return ()
    return tuple(ipaddress.ip_network(item, strict=False) for item in items(text))


def _slug(text: str) -> str:
    slug = text.strip()
    if SLUG.fullmatch(slug) is None:
        raise ValueError
    return slug


def _path(text: str) -> Path:
    if "\0" in text:
        raise ValueError
    return Path(text.strip())


SWITCH: Kind[bool] = Kind("on or off", "on", _switch)
HOST: Kind[str] = Kind("a host name or an IP address", "127.0.0.1", _host)
PATH: Kind[Path] = Kind("a path", "/etc/fairlead/fairlead.toml", _path)
SECRET: Kind[Secret] = Kind("a key", "sk-…", _secret, mask)
SECRETS: Kind[tuple[Secret, ...]] = Kind("a comma-separated list of keys", "sk-…,sk-…", _secrets, _mask_items)
NETWORKS: Kind[tuple[Network, ...]] = Kind(
    "a comma-separated list of networks, or none", "10.0.0.0/8,fd00::/8", _networks
)
REDIS_URL: Kind[SecretUrl] = Kind(
    f"an address that starts with one of {', '.join(f'{scheme}://' for scheme in _REDIS_SCHEMES)}",
    "redis://localhost:6379/0",
    _redis_url,
    mask_url,
)
PROXY_URL: Kind[SecretUrl] = Kind("the URL of a proxy", "http://proxy.example:3128", _http_proxy_url, mask_url)
FALLBACK_PROXY_URL: Kind[SecretUrl] = Kind("the URL of a proxy", "http://proxy.example:3128", _proxy_url, mask_url)
"""Of any scheme: whether it can be used matters only where no better variable is set."""
WEBHOOK_URL: Kind[SecretUrl] = Kind("an http:// or https:// URL", "https://hooks.example/fairlead", _http_url, mask_url)
OTLP_URL: Kind[SecretUrl] = Kind("an http:// or https:// URL", "http://localhost:4318", _http_url, mask_url)
ATTRIBUTES: Kind[tuple[tuple[str, str], ...]] = Kind(
    "a comma-separated list of name=value", "deployment.environment.name=production,team=search", _attributes
)
HEADERS: Kind[tuple[tuple[str, Secret], ...]] = Kind(
    "a comma-separated list of name=value", "authorization=Bearer%20…", _headers, _mask_pairs
)
TEXT: Kind[str] = Kind("a text", "fairlead", str.strip)
USD: Kind[Decimal] = Kind("an amount in USD, as 25 or 0.5", "25", _usd)
PARTS: Kind[tuple[float, ...]] = Kind("a comma-separated list of numbers above 0, as 0.8,1", "0.8,1", _parts)
WORDS: Kind[tuple[str, ...]] = Kind(
    "a comma-separated list", "localhost,.internal", lambda text: tuple(items(text.lower()))
)
PRESET: Kind[str] = Kind("the slug of a preset: lower-case letters, digits, - and _", "house-rules", _slug)
PATTERNS: Kind[tuple[str, ...]] = Kind(
    "a comma-separated list of patterns", "openai/*,!*-pro", lambda text: tuple(items(text.lower()))
)
TRIGGERS: Kind[tuple[tuple[str, str], ...]] = Kind(
    "a comma-separated list of keyword=tier", "prove=max,证明=max,translate=low", _triggers
)
PRESENCE: Kind[bool] = Kind("any text", "1", lambda _: True)
"""Set at all means yes, even to 0 (https://no-color.org)."""
FORCE: Kind[bool] = Kind("any text", "1", lambda text: text.strip() != "0")
"""Set means yes, but for 0 (https://force-color.org)."""

AnyKind = Kind[Any]
