"""After the last byte: exchanges are settled, charged, logged and counted, those of one moment together."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from fairlead.health.board import HealthBoard
from fairlead.relay.settle import charge_estimate, settle
from fairlead.store.till import Hold, Till
from fairlead.telemetry.generation import Generation, generation_of
from fairlead.telemetry.log import RequestLog
from fairlead.telemetry.meter import Meter
from fairlead.telemetry.record import ExchangeRecord
from fairlead.traces import Traces
from fairlead.upstream.dispatch import Dispatch
from fairlead.wire.tokens import TokenEstimates


class Settlement:
    """Takes the records of a worker's exchanges as they end, and brings each to its end exactly once."""

    def __init__(
        self,
        board: HealthBoard,
        estimates: TokenEstimates,
        till: Till,
        meter: Meter,
        requests: RequestLog,
        report: Callable[[str, BaseException], None],
        traces: Traces | None = None,
    ) -> None:
        self._board = board
        self._estimates = estimates
        self._till = till
        self._meter = meter
        self._requests = requests
        self._report = report
        self._traces = traces
        self._finished: list[ExchangeRecord] = []
        self._is_due = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def keep(self, record: ExchangeRecord) -> None:
        """Take what has ended."""
        self._finished.append(record)
        # What a request holds is given back when this turn of the loop ends: the next one of the same key may be
        # waiting for it. Not sooner: those that end in one turn are written to the disk together.
        if record.hold is not None and not self._is_due:
            self._is_due = True
            self._loop = self._loop or asyncio.get_running_loop()
            self._loop.call_soon(self.settle)

    def settle(self) -> None:
        """Settle and charge what has ended. The last byte of a reply waits for that: what was answered is charged."""
        finished, self._finished, self._is_due = self._finished, [], False
        charged = []
        for record in finished:
            try:
                settle(record, self._board, self._estimates)
                if record.attempts or record.response_cache_source_id:
                    charged.append(generation_of(record))
                elif record.is_noted:
                    self._till.forget(record.id)
            except Exception as error:  # noqa: BLE001 - a strange reply must not cost the others their settlement
                self._report(f"settling {record.id}", error)
            self._requests.keep(record)
        try:
            self._till.charge(*charged)
        finally:
            for record in finished:
                self._give_back(record)
                self._meter.keep(record)
                if self._traces is not None:
                    self._traces.keep(record)

    def flush(self) -> None:
        """Settle and write what has ended since the last time."""
        self.settle()
        self._requests.flush()
        self._meter.digest()

    def under_way(
        self, running: Iterable[ExchangeRecord], dispatches: Mapping[str, Dispatch], now: float, *, is_all: bool
    ) -> list[Generation]:
        """Return what would have to be charged if this worker died now: of `running`, the replies that have begun.

        Each is told once, or every time (`is_all`). `now` is `clock.monotonic` time.
        """
        found = []
        for record in running:
            dispatch = dispatches.get(record.endpoint_id)
            if dispatch is not None and record.first_content_at and (is_all or not record.is_noted):
                record.is_noted = True
                so_far = replace(record, end="crashed", ended_at=now)
                charge_estimate(so_far, dispatch.endpoint, self._estimates)
                found.append(generation_of(so_far))
        return found

    def _give_back(self, record: ExchangeRecord) -> None:
        """Let go of what a request has held; it has taken so much of it."""
        if isinstance(record.hold, Hold):
            usage = record.usage
            tokens = usage.prompt_tokens + usage.completion_tokens if usage is not None else 0
            self._till.leave(record.hold, record.cost_usd_nanos or 0, tokens)
