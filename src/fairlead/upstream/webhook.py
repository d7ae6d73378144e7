"""Events to the operator's own address: posted as JSON, signed, tried again, by aiohttp.

    X-Fairlead-Event      what happened: spend.alert
    X-Fairlead-Delivery   one per event, the same for each try: by it a receiver knows what it has had
    X-Fairlead-Timestamp  Unix seconds of this try
    X-Fairlead-Signature  v1=<hex HMAC-SHA256, under the secret, of "<timestamp>." and the body>; only with a secret

An event that cannot be delivered is given up after RETRIES_S, and logged by whoever made it in any case.
"""

import asyncio
import hashlib
import hmac
import secrets
import ssl
from collections.abc import Callable, Mapping, Sequence

import aiohttp
import orjson

from fairlead import clock

TIMEOUT_S = 10.0
RETRIES_S = (1.0, 5.0, 30.0, 180.0)
MAX_WAITING = 1_000


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Return what a receiver has to find in X-Fairlead-Signature."""
    return "v1=" + hmac.new(secret.encode(), b"%d.%b" % (timestamp, body), hashlib.sha256).hexdigest()


class Webhook:
    """Delivers events one after another. `tell(text)` is told of what was given up, without the address."""

    def __init__(
        self,
        url: str,
        secret: str | None,
        tls: ssl.SSLContext,
        tell: Callable[[str], None],
        retries_s: Sequence[float] = RETRIES_S,
    ) -> None:
        self._url = url
        self._secret = secret
        self._tls = tls
        self._tell = tell
        self._retries_s = retries_s
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_WAITING)

    def send(self, event: str, data: Mapping[str, object]) -> None:
        """Deliver `data`, some time soon."""
        try:
            self._waiting.put_nowait((event, orjson.dumps({"event": event, **data})))
        except asyncio.QueueFull:
            self._tell(f"webhook: {MAX_WAITING} events wait already; a {event} is given up")

    async def run(self) -> None:
        """Deliver for ever. Run as a background task."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
            while True:
                event, body = await self._waiting.get()
                await self._deliver(session, event, body)

    async def _deliver(self, session: aiohttp.ClientSession, event: str, body: bytes) -> None:
        delivery = secrets.token_hex(16)
        fault = ""
        for pause_s in (*self._retries_s, None):
            fault = await self._post(session, event, delivery, body)
            if not fault:
                return
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        self._tell(f"webhook: a {event} is given up after {len(self._retries_s) + 1} tries: {fault}")

    async def _post(self, session: aiohttp.ClientSession, event: str, delivery: str, body: bytes) -> str:
        """Return what went wrong; empty when it was taken."""
        timestamp = int(clock.wall())
        headers = {
            "content-type": "application/json",
            "x-fairlead-event": event,
            "x-fairlead-delivery": delivery,
            "x-fairlead-timestamp": str(timestamp),
        }
        if self._secret is not None:
            headers["x-fairlead-signature"] = signature(self._secret, timestamp, body)
        try:
            async with session.post(
                self._url, data=body, headers=headers, ssl=self._tls, allow_redirects=False
            ) as reply:
                return "" if reply.status < 300 else f"the receiver answered {reply.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__
