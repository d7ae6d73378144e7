"""A closed loop whose requests differ, and that knows what each connection has had answered."""

import time
from array import array
from collections import Counter
from collections.abc import Sequence

from bench.load import ClosedLoop, Connection
from bench.request import Request


class Turns(ClosedLoop):
    """Sends `requests` by turns, all to the same place: for ever, or `most` of them and then no more."""

    def __init__(self, requests: Sequence[Request], connections: int, most: int | None = None) -> None:
        super().__init__(requests[0], connections)
        self.by_port: Counter[int] = Counter()
        """Replies, by our port of the connection."""
        self.latencies_s = array("d")
        self._requests = requests
        self._asked = 0
        self._most = most

    def next_payload(self) -> bytes:
        payload = self._requests[self._asked % len(self._requests)].payload
        self._asked += 1
        return payload

    def on_ready(self, connection: Connection) -> None:
        if self._most is None or self._asked < self._most:
            super().on_ready(connection)

    def on_reply(self, connection: Connection, asked_at: float) -> None:
        self.latencies_s.append(time.perf_counter() - asked_at)
        self.by_port[connection.transport.get_extra_info("sockname")[1]] += 1
        super().on_reply(connection, asked_at)
