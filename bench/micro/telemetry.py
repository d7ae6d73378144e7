"""What it takes to count a finished exchange. The target is 5 µs for all that is told of one."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.micro.timing import Case
from fairlead.catalog.pricing import Usage
from fairlead.telemetry import metrics
from fairlead.telemetry.exposition import render
from fairlead.telemetry.meter import Meter
from fairlead.telemetry.record import AttemptRecord, ExchangeRecord
from fairlead.telemetry.slots import Slots

_BATCH = 100
_MODELS, _PROVIDERS, _WORKERS = 50, 4, 4
_PLACE = tempfile.TemporaryDirectory(prefix="fairlead-bench-")
_OPEN: list[Slots] = []
"""A file that is closed counts as a dead worker's."""


def _record(model: str = "acme/large", provider: str = "first", *, has_failed_over: bool = False) -> ExchangeRecord:
    record = ExchangeRecord("gen-1", "r-1", 1.8e9, 10.0, model=model, provider=provider, is_stream=True, status=200)
    record.end, record.first_content_at, record.ended_at, record.body_wait_s = "ok", 10.4, 12.0, 0.0001
    record.attempts = [AttemptRecord(provider, "ok", 200, 1.999, begun_at=10.0005)]
    if has_failed_over:
        record.attempts.insert(0, AttemptRecord("second", "transient", 502, 0.0002, begun_at=10.0002))
    record.usage, record.cost_usd_nanos = Usage(1200, 300, cached_tokens=600, reasoning_tokens=100), 1_234_000
    return record


def _counting(meter: Meter, record: ExchangeRecord) -> Callable[[], object]:
    def run() -> None:
        for _ in range(_BATCH):
            meter.keep(record)
        meter.digest()

    return run


def _fleet() -> Slots:
    """One of several busy workers."""
    directory = Path(_PLACE.name, "fleet")
    directory.mkdir()
    workers = [Slots(directory) for _ in range(_WORKERS)]
    for slots in workers:
        meter = Meter(slots, lambda _: True)
        for n in range(_MODELS):
            for provider in range(_PROVIDERS):
                meter.keep(_record(f"acme/m{n}", f"p{provider}", has_failed_over=True))
        meter.digest()
        meter.set(metrics.WORKERS, 1.0)
    _OPEN.extend(workers)
    return workers[0]


def cases() -> Sequence[Case]:
    """What to time."""
    slots = Slots(Path(_PLACE.name))
    _OPEN.append(slots)
    meter, reader = Meter(slots, lambda _: True), _fleet()
    once, twice, kept = _record(), _record(has_failed_over=True), _record()
    return [
        Case("on the way of a request", lambda: meter.keep(kept)),
        Case("a stream, everything that is told of it", _counting(meter, once), _BATCH),
        Case("the same with a failover", _counting(meter, twice), _BATCH),
        Case(f"a scrape: {_WORKERS} workers, {_MODELS * _PROVIDERS} endpoints", lambda: render(reader.read(), [])),
    ]
