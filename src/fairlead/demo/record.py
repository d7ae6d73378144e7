"""What a simulator has seen: counters, the requests themselves, and whoever waits for one of them to change."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from fairlead.demo.intake import ReceivedRequest

MAX_KEPT_BYTES = 256 * 1024 * 1024


@dataclass(slots=True)
class Record:
    """Counters of one simulator. Requests about the simulator are in none but connections and bytes."""

    keep: int = 1000
    """How many requests are kept; the oldest go first, earlier still when they pass `MAX_KEPT_BYTES` together."""
    requests: deque[ReceivedRequest] = field(default_factory=deque)
    seen: int = 0
    """Requests that arrived whole."""
    in_flight: int = 0
    """Of those, the ones whose reply is not complete."""
    connections: int = 0
    """Opened since the start."""
    open_connections: int = 0
    paused: int = 0
    """Connections on which writing waits for the peer to read."""
    aborted: int = 0
    """Connections that the peer left before the reply was complete."""
    bytes_sent: int = 0
    """Handed to the transport."""
    _kept_bytes: int = 0
    _waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = field(default_factory=list)

    def arrived(self, request: ReceivedRequest) -> None:
        """Count and keep a whole request."""
        self.seen += 1
        self.in_flight += 1
        self.requests.append(request)
        self._kept_bytes += len(request.head) + len(request.body)
        while len(self.requests) > self.keep or (self._kept_bytes > MAX_KEPT_BYTES and self.requests):
            oldest = self.requests.popleft()
            self._kept_bytes -= len(oldest.head) + len(oldest.body)
        self.changed()

    def forget(self) -> None:
        """Drop the kept requests; the counters stay."""
        self.requests.clear()
        self._kept_bytes = 0
        self.changed()

    def counters(self) -> dict[str, int]:
        """All counters by name."""
        return {
            "requests": self.seen,
            "in_flight": self.in_flight,
            "connections": self.connections,
            "open_connections": self.open_connections,
            "paused": self.paused,
            "aborted": self.aborted,
            "bytes_sent": self.bytes_sent,
        }

    def changed(self) -> None:
        """Something above has changed: wake whoever waited for that."""
        if not self._waiters:
            return
        for condition, future in self._waiters:
            if future.done():
                continue
            try:
                if condition():
                    future.set_result(None)
            except Exception as error:  # noqa: BLE001 - it is the waiter's condition, so it is the waiter's error
                future.set_exception(error)

    async def wait_for(self, condition: Callable[[], bool], timeout_s: float) -> None:
        """Return once `condition()` is true; it is asked now and after each change. `TimeoutError` after a while."""
        if condition():
            return
        waiter = (condition, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter[1]
        except TimeoutError:
            raise TimeoutError(f"still waiting after {timeout_s:g} s: {self.counters()}") from None
        finally:
            self._waiters.remove(waiter)
