"""Many workers' news of a group's endpoints, joined.

What the store does in `store/health.lua`, in Python: for a worker that has lost the store and goes on by itself, for
the simulator, and as the measure of the script.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from fairlead.health import breaker
from fairlead.health.breaker import BreakerLimits
from fairlead.health.record import Change, Flush, Increment, Record, Snapshot, State, Why, move
from fairlead.health.sums import added, decayed

WORKER_S = 10.0
"""A worker that has not flushed a group for so long does not count as one of the fleet."""


class Probe(IntEnum):
    """How a probe ended. VOID: by nothing that tells of the endpoint (the caller left, the request was refused)."""

    FAILED = 0
    OK = 1
    VOID = 2


@dataclass(slots=True)
class Group:
    """One model's endpoints, as the fleet knows them."""

    name: str
    records: dict[str, Record] = field(default_factory=dict)
    flushes: dict[str, tuple[int, float]] = field(default_factory=dict)
    """The last number of each worker, and when it came."""

    def follow_clock(self, now: float) -> None:
        """Move along with a clock that has gone back: its machine's time was set, or another machine's has taken over.

        Or an ejection would last so much longer. What has happened since the last news of an endpoint is not known.
        """
        for record in self.records.values():
            if record.at > now:
                move(record, now - record.at)
        for worker, (number, at) in self.flushes.items():
            self.flushes[worker] = (number, min(at, now))


def merge(group: Group, flush: Flush, now: float, limits: BreakerLimits) -> tuple[Snapshot, list[Change]]:
    """Apply a flush unless it has been applied before; return what the fleet knows then, and what has changed."""
    changes: list[Change] = []
    group.follow_clock(now)
    last, _ = group.flushes.get(flush.worker, (0, 0.0))
    if flush.number:
        group.flushes[flush.worker] = (max(flush.number, last), now)
    if flush.number > last:
        for endpoint, news in flush.increments.items():
            record = group.records.get(endpoint)
            if record is None:
                record = group.records[endpoint] = Record(born=now, at=now, good_at=now)
            others = [other for name, other in group.records.items() if name != endpoint]
            changes += [
                Change(group.name, endpoint, kind, seconds, why, int(record.epoch))
                for kind, seconds, why in _take(record, others, news, now, flush.jitter, limits)
            ]
    granted: dict[str, int] = {}
    if flush.can_probe:
        for endpoint, record in group.records.items():
            if breaker.is_probe_due(record, now):
                breaker.grant(record, now, limits)
                granted[endpoint] = int(record.epoch)
                changes.append(Change(group.name, endpoint, "probing", 0.0, int(record.why), int(record.epoch)))
    workers = sum(now - at <= WORKER_S for _, at in group.flushes.values())
    return Snapshot(now, workers, group.records, granted), changes


def _take(
    record: Record, others: list[Record], news: Increment, now: float, jitter: float, limits: BreakerLimits
) -> list[tuple[str, float, int]]:
    """Add one endpoint's news, and draw the conclusions. Returns kind, seconds and reason of each change."""
    changes: list[tuple[str, float, int]] = []
    record.sums = added(decayed(record.sums, now - record.at), news.sums)
    record.at = now
    record.failures_in_row = float(news.tail) if news.has_success else record.failures_in_row + news.tail
    if news.has_success and now >= record.cool_until:
        record.cool_level = 0.0
    if news.epoch > record.epoch and news.ejected_s > 0.0 and record.state == State.HEALTHY:
        record.state, record.why = float(State.EJECTED), float(Why.PROBE)
        record.until, record.epoch = now + news.ejected_s, float(news.epoch)
    if news.limited:
        breaker.learn_cap(record, now)
    if news.cool_s > 0.0 and breaker.cool(
        record, now, news.cool_s, news.cool_why, limits, does_grow=news.does_cool_grow
    ):
        changes.append(("cooling", record.cool_until - now, news.cool_why))
    if record.state == State.PROBING and news.used_epoch == record.epoch:
        record.lease_until = now + limits.probe_s
    if record.state == State.HEALTHY:
        breaker.forgive(record, now, limits)
        why = breaker.why_eject(record, others, limits, is_suspect=news.is_suspect)
        if why != Why.NOTHING:
            breaker.eject(record, why, now, jitter, limits)
            changes.append(("ejected", record.until - now, int(why)))
    return changes


def report_probe(
    group: Group, endpoint: str, epoch: int, result: Probe, now: float, jitter: float, limits: BreakerLimits
) -> list[Change]:
    """End the probe that was granted under `epoch`; of an older one nothing is heard any more."""
    group.follow_clock(now)
    record = group.records.get(endpoint)
    if record is None or record.state != State.PROBING or record.epoch != epoch:
        return []
    record.sums = decayed(record.sums, now - record.at)
    record.at = now
    if result == Probe.OK:
        breaker.recover(record, now, limits)
        return [Change(group.name, endpoint, "recovered", 0.0, 0, int(record.epoch))]
    why = int(record.why)
    if result == Probe.FAILED:
        why = Why.PROBE
        breaker.eject(record, Why.PROBE, now, jitter, limits)
    else:
        record.state, record.until = float(State.EJECTED), now
        record.epoch += 1.0
    return [Change(group.name, endpoint, "ejected", record.until - now, int(why), int(record.epoch))]
