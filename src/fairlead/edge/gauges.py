"""What a worker is like at the moment, put where a scrape of any worker finds it: ten times a second."""

import os
import resource
from pathlib import Path

from fairlead.edge.drain import Drain
from fairlead.health.board import HealthBoard
from fairlead.health.retry_budget import RetryBudget
from fairlead.relay.admission import Admission
from fairlead.store.keys import KeyRing
from fairlead.store.till import Till
from fairlead.telemetry import metrics
from fairlead.telemetry.log import RequestLog
from fairlead.telemetry.meter import Meter
from fairlead.upstream.client import UpstreamClient

MEMORY_S = 1.0
"""Between two looks at the memory: it takes a file to be read."""
_STATM = Path("/proc/self/statm")


class Gauges:
    """`measure` it; it asks each of these what it holds."""

    def __init__(
        self,
        meter: Meter,
        drain: Drain,
        admission: Admission,
        client: UpstreamClient,
        budget: RetryBudget,
        board: HealthBoard,
        keys: KeyRing,
        till: Till,
        requests: RequestLog,
    ) -> None:
        self._meter = meter
        self._drain = drain
        self._admission = admission
        self._client = client
        self._budget = budget
        self._board = board
        self._keys = keys
        self._till = till
        self._requests = requests
        self._dropped = 0
        self._looked_at = 0.0
        for metric in metrics.METRICS:
            if metric.kind == "gauge" and not metric.from_fleet:
                meter.set(metric, 0.0)  # what another worker has left there
        meter.count(metrics.WORKER_STARTS)

    def measure(self, now: float, lag_s: float | None = None) -> None:
        """Note everything as of `now`, monotonic seconds; `lag_s` is how late this was."""
        show, admission, till = self._meter.set, self._admission, self._till
        show(metrics.DRAINING, float(self._drain.is_draining))
        show(metrics.IN_FLIGHT, self._drain.in_flight)
        show(metrics.ADMITTED, admission.in_flight)
        show(metrics.ADMITTED_BYTES, admission.bytes)
        show(metrics.WAITING, admission.waiting)
        show(metrics.CONNECTIONS, self._client.connection_count)
        show(metrics.RETRY_BUDGET, self._budget.left(now, self._board.fleet) / self._budget.burst)
        show(metrics.HEALTH_AWAY, float(self._board.is_alone))
        show(metrics.KEYS_AWAY, float(self._keys.is_store_away))
        show(metrics.MONEY_AWAY, float(till.is_away))
        show(metrics.LEASE_WAITS, till.waiting)
        show(metrics.UNSETTLED, till.unsettled)
        if now - self._looked_at >= MEMORY_S:
            self._looked_at = now
            size = resident_bytes()
            show(metrics.MEMORY, size)
            show(metrics.MEMORY_MOST, size)
        self._meter.count(metrics.LOG_DROPPED, by=self._requests.dropped - self._dropped)
        self._dropped = self._requests.dropped
        show(metrics.WORKERS, 1.0)
        if lag_s is not None:
            self._meter.observe(metrics.LOOP_LAG, max(lag_s, 0.0))


def resident_bytes() -> int:
    """Return the memory of this process; where there is no /proc, the most that it has had."""
    try:
        return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
