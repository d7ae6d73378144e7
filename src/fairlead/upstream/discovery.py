"""Asking a provider what it serves: `GET {base}/models`, by aiohttp, off the inference path."""

import ssl

import aiohttp

from fairlead.catalog.model import Provider
from fairlead.errors import ConnectError, ProtocolError
from fairlead.upstream.dispatch import ProxyRule, provider_headers
from fairlead.upstream.origin import Target

TIMEOUT_S = 15.0
MAX_LISTING_BYTES = 16 * 1024 * 1024
"""OpenRouter's list of some 400 models is about 1 MB."""


async def fetch_models(
    session: aiohttp.ClientSession, tls: ssl.SSLContext, provider: Provider, rule: ProxyRule
) -> bytes:
    """Return the provider's model list as it sent it.

    Raises ConnectError when it cannot be reached and ProtocolError when it refuses; neither text holds credentials.
    """
    proxy = rule.proxy_for(Target.parse(f"{provider.base_url}/models").origin)
    try:
        async with session.get(
            f"{provider.base_url}/models",
            headers=provider_headers(provider),
            allow_redirects=False,
            ssl=tls,
            proxy=f"http://{proxy.host}:{proxy.port}" if proxy else None,
            proxy_headers={"Proxy-Authorization": proxy.authorization} if proxy and proxy.authorization else None,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        ) as reply:
            if reply.status != 200:
                raise ProtocolError(f"GET {provider.base_url}/models answered {reply.status}")
            body = bytearray()
            async for part in reply.content.iter_any():
                body += part
                if len(body) > MAX_LISTING_BYTES:
                    raise ProtocolError(f"GET {provider.base_url}/models is larger than {MAX_LISTING_BYTES} bytes")
            return bytes(body)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ConnectError(f"GET {provider.base_url}/models: {type(error).__name__}") from error
