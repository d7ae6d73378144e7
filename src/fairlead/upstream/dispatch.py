"""An endpoint made ready to be asked: everything of a request that does not depend on the request.

Built once per catalogue snapshot, so that the hot path only joins bytes. Provider credentials live here, in the head.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote

import orjson

from fairlead import __version__
from fairlead.catalog.model import Catalog, Endpoint, Provider
from fairlead.errors import ConfigError
from fairlead.upstream.origin import Origin, Proxy, Target, is_proxied
from fairlead.wire.parameters import dropped
from fairlead.wire.request import ROUTING_MEMBERS

Headers = list[tuple[bytes, bytes]]

_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_WRITTEN_HERE = frozenset(("connection", "content-length", "host", "transfer-encoding"))
"""A second one would change where a request goes or where it ends."""


@dataclass(frozen=True, slots=True)
class ProxyRule:
    """Which tunnels are used: `proxy` for TLS origins, except those that `no_proxy` names."""

    proxy: Proxy | None = None
    no_proxy: tuple[str, ...] = ()

    def proxy_for(self, origin: Origin) -> Proxy | None:
        """Return the tunnel to `origin`, None if it is reached directly."""
        if self.proxy is None or not origin.is_tls or not is_proxied(origin.host, origin.port, self.no_proxy):
            return None
        return self.proxy


@dataclass(frozen=True, slots=True)
class Dispatch:
    """How to reach one endpoint."""

    endpoint: Endpoint
    origin: Origin
    head: bytes
    """Request line and fixed headers, without the closing empty line."""
    model_json: bytes
    """The provider's name of the model, as a JSON string."""
    reply_headers: Headers
    """What every reply from here tells the caller."""
    dropped: frozenset[str] = ROUTING_MEMBERS
    """Names of the members of a request that it does not understand."""

    def request_head(self, extra: bytes, body_bytes: int) -> bytes:
        """Return the whole head; `extra` is further header lines, each ended by CR LF."""
        return b"%b%bcontent-length: %d\r\n\r\n" % (self.head, extra, body_bytes)


def dispatches(catalog: Catalog, rule: ProxyRule) -> Mapping[str, Dispatch]:
    """Make every endpoint of `catalog` ready, by endpoint id. Raises ConfigError for what cannot be sent."""
    heads: dict[str, tuple[Origin, bytes]] = {}
    ready: dict[str, Dispatch] = {}
    for endpoints in catalog.endpoints.values():
        for endpoint in endpoints:
            provider = endpoint.provider
            if provider.slug not in heads:
                heads[provider.slug] = _provider_head(provider, rule)
            origin, head = heads[provider.slug]
            model_json = orjson.dumps(endpoint.upstream_id)
            ready[endpoint.id] = Dispatch(
                endpoint, origin, head, model_json, _reply_headers(endpoint), dropped(endpoint)
            )
    return ready


def _provider_head(provider: Provider, rule: ProxyRule) -> tuple[Origin, bytes]:
    target = Target.parse(f"{provider.base_url}/chat/completions")
    origin = replace(target.origin, proxy=rule.proxy_for(target.origin))
    return origin, request_head("POST", target.path, origin, {"content-type": "application/json"}, provider)


def request_head(method: str, path: str, origin: Origin, headers: Mapping[str, str], provider: Provider) -> bytes:
    """Return request line and headers, without the closing empty line: `headers`, then what the settings say.

    Raises ConfigError as `provider_headers` does.
    """
    lines = [f"{method} {quote(path, safe='/?&=%:@+,;~!$()*-._')} HTTP/1.1", f"host: {origin.authority}"]
    headers = {**headers, "user-agent": f"fairlead/{__version__}", **provider_headers(provider)}
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n").encode("ascii")


def provider_headers(provider: Provider) -> dict[str, str]:
    """Return what the provider's settings add to every request to it: its key, if it has one, and its headers.

    Names are lower case. Raises ConfigError, without the value, for what no header can carry.
    """
    headers = {} if provider.api_key is None else {provider.auth_header.lower(): provider.api_key}
    if "authorization" in headers:
        headers["authorization"] = f"Bearer {provider.api_key}"
    headers |= {name.lower(): value for name, value in provider.headers.items()}
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name in _WRITTEN_HERE:
            raise ConfigError(f"provider {provider.slug}: {name!r} cannot be set as a header")
        if not (value.isascii() and value.isprintable()):
            raise ConfigError(f"provider {provider.slug}: the value of {name} has characters no header can carry")
    return headers


MIN_CREDENTIAL_CHARS = 8
"""Shorter words of a configured header (`Bearer`, `v1`, a date) are no secrets, and may be part of any text."""


def redacted(text: str, provider: Provider) -> str:
    """Return `text` without the words that only the operator may know: some providers quote what was sent to them."""
    for value in (provider.api_key or "", *provider.headers.values()):
        for word in value.split():
            if len(word) >= MIN_CREDENTIAL_CHARS:
                text = text.replace(word, "[redacted]")
    return text


def _reply_headers(endpoint: Endpoint) -> Headers:
    headers = [
        (b"x-fairlead-provider", _header_text(endpoint.provider.slug)),
        (b"x-fairlead-model", _header_text(endpoint.model.id)),
    ]
    if endpoint.provider.is_demo:
        headers.append((b"x-fairlead-demo", b"simulated reply, no model was asked"))
    return headers


def _header_text(value: str) -> bytes:
    return quote(value, safe="/:@+,;~!$()*-._ ").encode()
