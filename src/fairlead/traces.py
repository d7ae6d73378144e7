"""Traces of a worker's requests, where they are wanted: who decides, where they go, what is told if they do not arrive.

Off the path of requests: there a trace is a few numbers (`telemetry/trace.py`). When an exchange has been settled its
record is kept in a list, and the list is handed to a thread now and then.
"""

import asyncio
import functools
import importlib.util
import random
import sys
from collections.abc import Callable, Sequence

from fairlead.config import Settings
from fairlead.errors import ConfigError
from fairlead.telemetry import metrics
from fairlead.telemetry.log import Logger
from fairlead.telemetry.meter import Meter
from fairlead.telemetry.outbox import AT_ONCE, Outbox
from fairlead.telemetry.record import ExchangeRecord
from fairlead.telemetry.sampling import Sampler
from fairlead.telemetry.spans import Span
from fairlead.telemetry.trace import Trace, begin

TURN_S = 1.0
"""How long what is kept waits to be handed on, if it is little."""
CLOSE_S = 2.0
"""How long the end of a worker is held up for what has not been sent."""
QUIET_S = 5.0
"""So long none may be dropped before the log says that they are delivered again."""
SWITCH_S = 0.0001
"""After so long a thread gives way to the loop. With Python's 0.005 a loop beside a busy thread answered 6 ms late in
the median, with this 0.3 ms (two cores, uvloop, a timer of 1 ms)."""
MODULE = "opentelemetry.exporter.otlp.proto.http"


class Traces:
    """`begin` a request's trace, `keep` its record when it has ended, and call `turn` now and then."""

    def __init__(
        self, sampler: Sampler, send: Callable[[Sequence[Span]], str], meter: Meter, log: Logger, rng: random.Random
    ) -> None:
        self.begin: Callable[[list[tuple[bytes, bytes]]], Trace] = functools.partial(begin, sampler=sampler, rng=rng)
        self._meter = meter
        self._log = log
        self._kept: list[ExchangeRecord] = []
        self._handed_at = 0.0
        self._sent = self._dropped = 0
        self._is_troubled, self._troubled_at, self._lost = False, 0.0, 0
        """Whether traces are being dropped, when the last was, and how many since it began."""
        sys.setswitchinterval(SWITCH_S)
        self._outbox = Outbox(send)

    def keep(self, record: ExchangeRecord) -> None:
        """Take a finished exchange, which does not change any more."""
        if record.trace is not None and record.trace.is_sampled:
            self._kept.append(record)

    def turn(self, now: float) -> None:
        """Hand on what has been kept, and tell what became of what was. `now` is monotonic seconds."""
        if self._kept and (len(self._kept) >= AT_ONCE or now >= self._handed_at + TURN_S):
            self._hand_on()
            self._handed_at = now
        dropped = self._count()
        self._lost += dropped
        if dropped or self._outbox.fault:
            self._troubled_at = now
            if not self._is_troubled:
                self._is_troubled = True
                self._log.warning("traces are dropped; requests are served all the same", why=self._why())
        elif self._is_troubled and now >= self._troubled_at + QUIET_S:
            self._log.info("traces are delivered again", dropped=self._lost)
            self._is_troubled, self._lost = False, 0

    async def close(self) -> None:
        """Send what there is, within CLOSE_S."""
        self._hand_on()
        await asyncio.to_thread(self._outbox.close, CLOSE_S)
        self._count()

    def _hand_on(self) -> None:
        kept, self._kept = self._kept, []
        self._outbox.put(kept)

    def _count(self) -> int:
        """Count what has been sent and dropped since the last time; return the second."""
        sent, dropped = self._outbox.sent - self._sent, self._outbox.dropped - self._dropped
        self._sent, self._dropped = self._sent + sent, self._dropped + dropped
        if sent or dropped:
            self._meter.count(metrics.TRACES_SENT, by=sent)
            self._meter.count(metrics.TRACES_DROPPED, by=dropped)
        return dropped

    def _why(self) -> str:
        return self._outbox.fault or "more requests are traced than can be sent; OTEL_TRACES_SAMPLER takes fewer"


def traces_of(settings: Settings, meter: Meter, log: Logger, rng: random.Random) -> Traces | None:
    """Return what traces a worker's requests; None if they are not wanted, in which case nothing is imported."""
    endpoint = endpoint_of(settings)
    if endpoint is None:
        return None
    from fairlead.telemetry.otlp import Collector

    headers = settings.otel_exporter_otlp_traces_headers or settings.otel_exporter_otlp_headers
    attributes = {"service.name": "fairlead", **dict(settings.otel_resource_attributes)}
    if settings.otel_service_name is not None:
        attributes["service.name"] = settings.otel_service_name
    collector = Collector(endpoint, {name: value.reveal() for name, value in headers}, attributes)
    sampler = Sampler(settings.otel_traces_sampler, settings.otel_traces_sampler_arg)
    return Traces(sampler, collector.send, meter, log, rng)


def endpoint_of(settings: Settings) -> str | None:
    """Return the URL that traces are sent to; None: they are off."""
    if settings.otel_sdk_disabled:
        return None
    if settings.otel_exporter_otlp_traces_endpoint is not None:
        return settings.otel_exporter_otlp_traces_endpoint.reveal()
    if settings.otel_exporter_otlp_endpoint is not None:
        return f"{settings.otel_exporter_otlp_endpoint.reveal().removesuffix('/')}/v1/traces"
    return None


def check_traces(settings: Settings) -> None:
    """Raise ConfigError if traces are wanted and cannot be sent as is wanted, or with what is installed."""
    if endpoint_of(settings) is None:
        return
    if settings.otel_exporter_otlp_protocol != "http/protobuf":
        raise ConfigError(
            f'OTEL_EXPORTER_OTLP_PROTOCOL="{settings.otel_exporter_otlp_protocol}": traces are sent by http/protobuf '
            "only; set it so, and give the collector's port for that (commonly 4318), or set OTEL_SDK_DISABLED=true"
        )
    if not _is_installed():
        variable = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
        if settings.otel_exporter_otlp_traces_endpoint is None:
            variable = "OTEL_EXPORTER_OTLP_ENDPOINT"
        raise ConfigError(
            f"{variable} is set, and what sends traces is not installed: pip install 'fairlead[otel]', or unset it, or "
            "set OTEL_SDK_DISABLED=true"
        )


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec(MODULE) is not None
    except ModuleNotFoundError:  # of a package that it is in
        return False
