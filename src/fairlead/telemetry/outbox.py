"""Finished exchanges on their way to a tracing backend: turned into spans and sent by a thread of its own.

Nothing waits for it. What does not fit, since whoever takes it is away, slow or hangs, is dropped and counted.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from fairlead import clock
from fairlead.telemetry.record import ExchangeRecord
from fairlead.telemetry.spans import Span, spans_of

MOST_WAITING = 4_096
"""Exchanges that wait to be sent: some 10 MB."""
AT_ONCE = 64
"""Exchanges that are sent together. With more, the loop would have to wait for its turn longer."""

REST = 3.0
"""The thread rests so many times as long as it has worked. What it takes of a core the loop does not get: beyond a
quarter of it, some 1000 exchanges a second, requests go before traces."""


class Outbox:
    """`put` from one thread; `send(spans)` is called in another, and returns what went wrong, "" if nothing did.

    `sent` and `dropped` count exchanges; `fault` is what went wrong with the latest.
    """

    def __init__(self, send: Callable[[Sequence[Span]], str]) -> None:
        self._send = send
        self._waiting: deque[ExchangeRecord] = deque()
        self._changed = threading.Condition()
        self._is_closing = False
        self.sent = 0
        self.dropped = 0
        self.fault = ""
        # A daemon, since it may be waiting for somebody who never answers when the process is to end.
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def put(self, records: Iterable[ExchangeRecord]) -> None:
        """Send these, some time soon. They must not change any more."""
        with self._changed:
            for record in records:
                if len(self._waiting) < MOST_WAITING and not self._is_closing:
                    self._waiting.append(record)
                else:
                    self.dropped += 1
            self._changed.notify()

    def close(self, patience_s: float) -> None:
        """Send what waits; what has not left after `patience_s` is dropped."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(patience_s)
        with self._changed:
            self.dropped += len(self._waiting)
            self._waiting.clear()

    def _run(self) -> None:
        while records := self._next():
            began_cpu_s = clock.thread_cpu()
            fault = self._try(records)
            with self._changed:
                self.fault = fault
                if fault:
                    self.dropped += len(records)
                else:
                    self.sent += len(records)
                self._changed.wait_for(lambda: self._is_closing, REST * (clock.thread_cpu() - began_cpu_s))

    def _next(self) -> list[ExchangeRecord]:
        """Wait for something to send, and take it; nothing when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            return [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]

    def _try(self, records: Sequence[ExchangeRecord]) -> str:
        try:
            return self._send([span for record in records for span in spans_of(record)])
        except Exception as error:  # noqa: BLE001 - what is sent next may be better
            return type(error).__name__
