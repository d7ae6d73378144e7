"""Asking a provider whether it can be reached and takes our key: the cheapest call there is, by aiohttp.

That is `GET {base}/models`. Some show their list to anybody, which says nothing about a key; so where a key gets the
list it is asked for without one as well.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Literal

import aiohttp

from fairlead import clock
from fairlead.catalog.discovery import parse_discovery
from fairlead.catalog.model import Provider
from fairlead.upstream.discovery import MAX_LISTING_BYTES
from fairlead.upstream.dispatch import ProxyRule, provider_headers
from fairlead.upstream.origin import Target

Fault = Literal["name", "certificate", "proxy", "refused", "timeout", "broken"]
"""Why there was no answer: a host that nobody knows, TLS, the proxy, no connection, silence, or nonsense."""


@dataclass(frozen=True, slots=True)
class Pinged:
    """What came of it. A `status` of 0: no answer, and `fault` says why."""

    seconds: float
    """Until the head of the answer."""
    status: int = 0
    fault: Fault | None = None
    models: int | None = None
    """How many are listed; None: that is no list."""
    is_key_known: bool = False
    """Whether the answer says that the key is good; not where anybody gets it, with a key or without."""


async def ping(
    session: aiohttp.ClientSession, tls: ssl.SSLContext, provider: Provider, rule: ProxyRule, timeout_s: float
) -> Pinged:
    """Ask once, for not longer than that. Nothing that a provider says in its own words is kept: it may quote keys."""
    headers = provider_headers(provider)
    begun = clock.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            status, seconds, body = await _ask(session, tls, provider, rule, headers, is_read=True)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return Pinged(clock.monotonic() - begun, fault=fault_of(error))
    if status != 200:
        return Pinged(seconds, status)
    is_open = not headers or await _is_open(session, tls, provider, rule, timeout_s)
    return Pinged(seconds, status, models=_count(body, provider), is_key_known=not is_open)


async def _ask(
    session: aiohttp.ClientSession,
    tls: ssl.SSLContext,
    provider: Provider,
    rule: ProxyRule,
    headers: dict[str, str],
    *,
    is_read: bool,
) -> tuple[int, float, bytes]:
    """Return status, seconds to the head, and the body as far as it is wanted."""
    begun = clock.monotonic()
    url = f"{provider.base_url}/models"
    proxy = rule.proxy_for(Target.parse(url).origin)
    async with session.get(
        url,
        headers=headers,
        allow_redirects=False,
        ssl=tls,
        proxy=f"http://{proxy.host}:{proxy.port}" if proxy else None,
        proxy_headers={"Proxy-Authorization": proxy.authorization} if proxy and proxy.authorization else None,
    ) as reply:
        seconds = clock.monotonic() - begun
        body = bytearray()
        if reply.status == 200 and is_read:
            async for part in reply.content.iter_any():
                body += part
                if len(body) > MAX_LISTING_BYTES:
                    break
        return reply.status, seconds, bytes(body)


async def _is_open(
    session: aiohttp.ClientSession, tls: ssl.SSLContext, provider: Provider, rule: ProxyRule, timeout_s: float
) -> bool:
    """Whether anybody gets the list. One that does not answer a second time has answered once."""
    try:
        async with asyncio.timeout(timeout_s):
            status, _, _ = await _ask(session, tls, provider, rule, {}, is_read=False)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
    return status == 200


def _count(body: bytes, provider: Provider) -> int | None:
    try:
        return len(parse_discovery(body, provider))
    except ValueError:
        return None


def fault_of(error: Exception) -> Fault:
    """Return what an error of aiohttp's means."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "name"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "certificate"
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return "proxy"
    if isinstance(error, aiohttp.ClientConnectorError | ConnectionRefusedError):
        return "refused"
    return "broken"
