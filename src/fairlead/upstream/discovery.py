"""Asking a provider what it serves: `GET {base}/models`, off the inference path.

By the client of that path all the same: aiohttp, for one request an hour, kept 9 MB of each worker.
"""

import asyncio
from dataclasses import replace

from fairlead import clock
from fairlead.catalog.model import Provider, Timeouts
from fairlead.errors import ConnectError, ProtocolError, UpstreamError
from fairlead.upstream.client import UpstreamClient
from fairlead.upstream.dispatch import ProxyRule, request_head
from fairlead.upstream.origin import Target
from fairlead.upstream.reply import Reply
from fairlead.wire.encoding import Unpacker, decoded, encoding_of

TIMEOUT_S = 15.0
MAX_LISTING_BYTES = 16 * 1024 * 1024
"""OpenRouter's list of some 400 models is about 1 MB."""


async def fetch_models(client: UpstreamClient, provider: Provider, rule: ProxyRule) -> bytes:
    """Return the provider's model list as it sent it.

    Raises ConnectError when it cannot be reached and ProtocolError when it refuses; neither text holds credentials.
    """
    url = f"{provider.base_url}/models"
    target = Target.parse(url)
    origin = replace(target.origin, proxy=rule.proxy_for(target.origin))
    # Closed after it: the next one comes when it has long been closed for want of use.
    headers = {"accept": "application/json", "accept-encoding": "gzip, deflate", "connection": "close"}
    head = request_head("GET", target.path, origin, headers, provider) + b"\r\n"
    limits = Timeouts(TIMEOUT_S, TIMEOUT_S, TIMEOUT_S, TIMEOUT_S)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reply = await client.send(origin, head, (), limits, clock.monotonic() + TIMEOUT_S)
            try:
                body = await _body(reply) if reply.status == 200 else b""
            finally:
                reply.abort()
    except TimeoutError:
        raise ConnectError(f"GET {url}: no answer within {TIMEOUT_S:g} s") from None
    except UpstreamError as error:
        raise ConnectError(f"GET {url}: {error}") from error
    if reply.status != 200:
        raise ProtocolError(f"GET {url} answered {reply.status}")
    if len(body) > MAX_LISTING_BYTES:
        raise ProtocolError(f"GET {url} is larger than {MAX_LISTING_BYTES} bytes")
    return body


async def _body(reply: Reply) -> bytes:
    """Read a body, and undo its encoding; when it is too large, only so much of it as to be."""
    body = bytearray()
    while len(body) <= MAX_LISTING_BYTES and (part := await reply.read()):
        body += part
    encoding = encoding_of(reply.header(b"content-encoding"))
    if Unpacker.of(encoding) is None or len(body) > MAX_LISTING_BYTES:
        return bytes(body)
    plain = decoded(bytes(body), encoding, MAX_LISTING_BYTES + 1)
    if plain is None:
        raise ProtocolError("the list is compressed, and broken")
    return plain
