"""Where a request goes: origin, proxy, request target. Pure."""

import base64
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from fairlead.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that opens tunnels by CONNECT. `authorization` is the whole header value."""

    host: str
    port: int
    authorization: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What connections are pooled by: scheme, host, port, and the tunnel they go through.

    The TLS server name is the host. IPv6 hosts come without brackets.
    """

    is_tls: bool
    host: str
    port: int
    proxy: Proxy | None = None

    @property
    def authority(self) -> str:
        """Value of the `host` header: the port is left out when it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart: the origin, and the path with query as sent in the request line."""

    origin: Origin
    path: str

    @classmethod
    def parse(cls, url: str, proxy: Proxy | None = None) -> "Target":
        """Take `url` (http or https, no user info) apart.

        Raises ConfigError for anything else: URLs come from the operator, never from a caller.
        """
        try:
            parts = urlsplit(url)
            is_tls = parts.scheme == "https"
            port = parts.port or (443 if is_tls else 80)
            host = parts.hostname or ""
            if not _is_ip(host):
                host = host.encode("idna").decode()
        except ValueError as error:
            raise ConfigError(f"{_without_secrets(url)!r} is not an upstream URL: {error}") from None
        if parts.scheme not in ("http", "https") or not host or parts.username is not None:
            raise ConfigError(
                f"{_without_secrets(url)!r} is not an upstream URL: give http:// or https://, a host, and no user name"
            )
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(Origin(is_tls, host, port, proxy if is_tls else None), path)


def _without_secrets(url: str) -> str:
    """Return `url` without what stands before an `@` or behind a `?`."""
    scheme, separator, rest = url.rpartition("://")
    return scheme + separator + rest.rpartition("@")[2].partition("?")[0]


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def parse_proxy(url: str) -> Proxy:
    """Read the value of `HTTPS_PROXY`: `http://[user:password@]host[:port]`, or `host:port`.

    Raises ConfigError for other schemes: TLS to the proxy itself is not supported.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or 80
    except ValueError as error:
        raise ConfigError(f"HTTPS_PROXY: {error}") from error
    if parts.scheme != "http" or not parts.hostname:
        raise ConfigError("HTTPS_PROXY must be http://host:port (a proxy that is itself behind TLS is not supported)")
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(parts.hostname, port, authorization)


def is_proxied(host: str, port: int, no_proxy: Sequence[str]) -> bool:
    """Whether a request to `host:port` goes through the proxy, given the entries of `NO_PROXY`.

    As curl and Go read it: `*` exempts all; an entry is an address, a CIDR block, or a domain that also covers its
    subdomains (with or without a leading dot), each with an optional `:port`. Loopback is always exempt.
    """
    address = ipaddress.ip_address(host) if _is_ip(host) else None
    if host == "localhost" or (address is not None and address.is_loopback):
        return False
    return not any(_exempts(entry.strip().lower(), host.lower(), port, address) for entry in no_proxy)


def _exempts(entry: str, host: str, port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    if entry in ("", "*"):
        return entry == "*"
    name, colon, entry_port = entry.rpartition(":")
    if colon and entry_port.isdigit() and (":" not in name or name.startswith("[")):
        if int(entry_port) != port:
            return False
        entry = name
    entry = entry.strip("[]")
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    entry = entry.removeprefix("*").removeprefix(".")
    return host == entry or host.endswith("." + entry)
