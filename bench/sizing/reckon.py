"""From constants to machines: the formulas of deploy/SIZING.md, and the line that fits what was measured. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """y = base + slope · x."""

    base: float
    slope: float

    def at(self, x: float) -> float:
        return self.base + self.slope * x


def fit(points: Sequence[tuple[float, float]]) -> Line:
    """The line with the least squares of differences; raises ValueError when all x are the same."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if spread == 0.0:
        raise ValueError("a line needs two different x")
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return Line(mean_y - slope * mean_x, slope)


@dataclass(frozen=True, slots=True)
class Constants:
    """What was measured, on one machine."""

    event_us: float
    """CPU of an event, all processes of the gateway."""
    request_us: float
    """CPU of a request beside its events."""
    stream_kb: float
    """Of a worker and of its kernel, for each open stream."""
    stream_descriptors: int
    worker_mb: float
    supervisor_mb: float
    """Of the gateway's processes that serve nobody."""
    money_hz: float
    """Scripts a second of a worker under load, for money and what does not depend on models."""
    model_hz: float
    """And for each model that it has news of."""
    script_us: float
    """CPU of the store for one script."""
    generation_bytes: float
    """Of the store's memory, for each request in the ledger."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A load. `stream_s` is how long a stream lasts."""

    streams: int
    events_per_s: float
    stream_s: float
    event_bytes: int
    models: int
    cores_per_host: int
    busy: float = 0.6
    """Share of its core that a worker may use: the rest is for peaks, and for a host that is away."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What that takes. `hosts` has one in reserve."""

    workers: int
    hosts: int
    host_gb: float
    worker_descriptors: int
    events_per_s: float
    begun_per_s: float
    gbit_per_s: float
    """In each direction: what comes from providers goes to callers."""
    scripts_per_s: float
    """At the most: every worker has news of every model, all the time."""
    stores: int
    """That share nothing, each with a part of the workers: a server uses one core, and no more of it than `busy`."""
    ledger_gb_per_day: float
    """Of all stores together, for each of FAIRLEAD_LEDGER_DAYS."""


def streams_of_core(constants: Constants, events_per_s: float, stream_s: float, busy: float) -> int:
    """How many streams a worker serves that may use such a share of its core."""
    return int(busy * 1e6 / (events_per_s * constants.event_us + constants.request_us / stream_s))


def needs(constants: Constants, wanted: Wanted) -> Needs:
    """Reckon the machines for a load."""
    events = wanted.streams * wanted.events_per_s
    begun = wanted.streams / wanted.stream_s
    cpu_s = (events * constants.event_us + begun * constants.request_us) / 1e6
    workers = math.ceil(cpu_s / wanted.busy)
    hosts = math.ceil(workers / wanted.cores_per_host)
    each = math.ceil(wanted.streams / workers)
    worker_mb = constants.worker_mb + each * constants.stream_kb / 1024
    scripts = workers * (constants.money_hz + constants.model_hz * wanted.models)
    return Needs(
        workers,
        hosts + 1,
        (min(workers, wanted.cores_per_host) * worker_mb + constants.supervisor_mb) / 1024,
        each * constants.stream_descriptors,
        events,
        begun,
        events * wanted.event_bytes * 8 / 1e9,
        scripts,
        math.ceil(scripts * constants.script_us / 1e6 / wanted.busy),
        begun * 86_400 * constants.generation_bytes / 1e9,
    )
