"""What a worker counts, written into its slots: of finished exchanges in batches, off the path of requests.

A figure is a few additions at a place that is looked up once for each set of labels: no objects, no locks.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence

from fairlead.telemetry import metrics
from fairlead.telemetry.metrics import MOST_MODELS, Metric
from fairlead.telemetry.record import CALLER_SLOW, AttemptRecord, ExchangeRecord
from fairlead.telemetry.slots import Slots

MOST_KEPT = 2_000
"""Records that wait to be counted; with more they are counted at once."""
NONE = "none"
OTHER = "other"

_DURATION, _OWN = metrics.DURATION.buckets, metrics.OVERHEAD.buckets
_FIRST_TOKEN, _SPEED = metrics.FIRST_TOKEN.buckets, metrics.SPEED.buckets
_NO_FAILURE = frozenset(("ok", "gone", "outrun"))
_Key = tuple[str, str, str, bool, int, str, str, str]


class _Exchange:
    """Where the figures of exchanges with the same labels are."""

    __slots__ = (
        "aborts", "cache", "cached", "completion", "cost", "duration", "first_token", "overhead", "prompt", "reasoning",
        "requests", "speed",
    )  # fmt: skip

    def __init__(self, at: Callable[..., int], key: _Key) -> None:
        api, model, provider, is_stream, status, end, error_type, cache = key
        stream = "true" if is_stream else "false"
        status_class = f"{status // 100}xx" if status else NONE
        self.requests = at(metrics.REQUESTS, api, model, provider, stream, status_class, end or NONE, error_type)
        self.duration = at(metrics.DURATION, model, provider, stream)
        self.overhead = at(metrics.OVERHEAD, stream)
        self.cache = at(metrics.CACHE, cache) if cache else 0
        side = {"gone": "caller", "cut": "provider", "drained": "gateway"}.get(end)
        self.aborts = at(metrics.STREAM_ABORTS, side) if side and is_stream and status == 200 else 0
        # Made when there is something to be told.
        self.first_token = self.speed = self.prompt = self.completion = self.cost = self.cached = self.reasoning = 0


class Meter:
    """Counts what happens in one worker. `is_model` says whether the catalogue has such a model."""

    def __init__(self, slots: Slots, is_model: Callable[[str], bool]) -> None:
        self._slots = slots
        self._values = slots.values
        self._is_model = is_model
        self._spare = slots.place((metrics.SERIES_DROPPED.name,))
        self._void = slots.place(("",), max(metric.size for metric in metrics.METRICS))
        """Takes what there is no room for, and is told to nobody."""
        self._models: set[str] = {NONE}
        self._exchanges: dict[_Key, _Exchange] = {}
        self._attempts: dict[tuple[str, str], int] = {}
        self._failovers: dict[tuple[str, str], int] = {}
        self._kept: list[ExchangeRecord] = []

    # -- anything ------------------------------------------------------------------------------------------------

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        """Add to a counter."""
        self._values[self._at(metric, *labels)] += by

    def set(self, metric: Metric, value: float) -> None:
        """Say what a gauge shows in this worker."""
        self._values[self._at(metric)] = value

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Add to a histogram."""
        self._observe(self._at(metric, *labels), metric.buckets, value)

    def _at(self, metric: Metric, *labels: str) -> int:
        """Return the place of a series. Where there is no room left, one that nobody reads; that is counted."""
        place = self._slots.place((metric.name, *labels), metric.size)
        if place < 0:
            self._values[self._spare] += 1.0
            return self._void
        return place

    def _observe(self, at: int, buckets: Sequence[float], value: float) -> None:
        values = self._values
        values[at + bisect_left(buckets, value)] += 1.0
        values[at + len(buckets) + 1] += value

    # -- exchanges -----------------------------------------------------------------------------------------------

    def keep(self, record: ExchangeRecord) -> None:
        """Take a finished exchange; counted at the next `digest`. (What it took to settle it is let go of.)"""
        record.tap = record.stay = None
        self._kept.append(record)
        if len(self._kept) >= MOST_KEPT:
            self.digest()

    def digest(self) -> None:
        """Count what has been kept."""
        kept, self._kept = self._kept, []
        for record in kept:
            self._count(record)

    def _count(self, record: ExchangeRecord) -> None:
        values, is_cached = self._values, record.cache == "hit"
        model = record.model if record.model in self._models else self._label(record.model)
        provider = "cache" if is_cached else record.provider or NONE
        is_stream = record.is_stream
        key = (
            record.api, model, provider, is_stream, record.status, record.end, record.error_type or NONE, record.cache
        )  # fmt: skip
        place = self._exchanges.get(key)
        if place is None:
            place = self._exchanges[key] = _Exchange(self._at, key)
        values[place.requests] += 1.0
        took_s = record.ended_at - record.started_at
        at = place.duration
        values[at + bisect_left(_DURATION, took_s)] += 1.0
        values[at + len(_DURATION) + 1] += took_s
        attempts = record.attempts
        upstream_s = attempts[0].duration_s if len(attempts) == 1 else _together_s(attempts)
        own_s = max(took_s - record.body_wait_s - upstream_s, 0.0)
        at = place.overhead
        values[at + bisect_left(_OWN, own_s)] += 1.0
        values[at + len(_OWN) + 1] += own_s
        if place.cache:
            values[place.cache] += 1.0
        if place.aborts:
            slow = record.end == "cut" and record.error == CALLER_SLOW
            values[place.aborts if not slow else self._at(metrics.STREAM_ABORTS, "caller")] += 1.0
        if attempts:
            self._count_attempts(attempts)
            self._count_reply(record, place, model, provider)

    def _count_attempts(self, attempts: Sequence[AttemptRecord]) -> None:
        values, last = self._values, len(attempts) - 1
        for n, attempt in enumerate(attempts):
            kind = attempt.provider, attempt.verdict
            at = self._attempts.get(kind)
            if at is None:
                at = self._attempts[kind] = self._at(metrics.ATTEMPTS, *kind)
            values[at] += 1.0
            if n < last and attempt.verdict not in _NO_FAILURE and attempts[n + 1].provider != attempt.provider:
                if kind not in self._failovers:
                    self._failovers[kind] = self._at(metrics.FAILOVERS, *kind)
                values[self._failovers[kind]] += 1.0

    def _count_reply(self, record: ExchangeRecord, place: _Exchange, model: str, provider: str) -> None:
        """Count what an exchange with an attempt has brought: speed, tokens, cost."""
        values, usage, first_at = self._values, record.usage, record.first_content_at
        if record.is_stream and first_at:
            if not place.first_token:
                place.first_token = self._at(metrics.FIRST_TOKEN, model, provider)
            waited_s = first_at - record.started_at
            at = place.first_token
            values[at + bisect_left(_FIRST_TOKEN, waited_s)] += 1.0
            values[at + len(_FIRST_TOKEN) + 1] += waited_s
        if usage is None:
            return
        if not place.prompt:
            place.prompt = self._at(metrics.TOKENS, model, provider, "prompt")
            place.completion = self._at(metrics.TOKENS, model, provider, "completion")
            place.cost = self._at(metrics.COST, model, provider)
            place.cached = self._at(metrics.CACHED_TOKENS, model, provider)
            place.reasoning = self._at(metrics.REASONING_TOKENS, model, provider)
        values[place.prompt] += usage.prompt_tokens
        values[place.completion] += usage.completion_tokens
        values[place.cost] += record.cost_usd_nanos or 0
        if usage.cached_tokens:
            values[place.cached] += usage.cached_tokens
        if usage.reasoning_tokens:
            values[place.reasoning] += usage.reasoning_tokens
        if record.is_estimated:
            self.count(metrics.ESTIMATED, provider)
        elif record.is_stream and record.end == "ok" and usage.completion_tokens > 1 and record.ended_at > first_at:
            if not place.speed:
                place.speed = self._at(metrics.SPEED, model, provider)
            self._observe(place.speed, _SPEED, (usage.completion_tokens - 1) / (record.ended_at - first_at))

    def _label(self, model: str) -> str:
        """Return what a model is called in labels: callers may write anything."""
        if not model:
            return NONE
        if len(self._models) > MOST_MODELS or not self._is_model(model):
            return OTHER
        self._models.add(model)
        return model


def _together_s(attempts: Sequence[AttemptRecord]) -> float:
    """Return how long at least one of the attempts was under way: of a race two are at once."""
    total_s, until = 0.0, 0.0
    for attempt in sorted(attempts, key=_begun_at):
        ended_at = attempt.begun_at + attempt.duration_s
        total_s += max(0.0, ended_at - max(until, attempt.begun_at))
        until = max(until, ended_at)
    return total_s


def _begun_at(attempt: AttemptRecord) -> float:
    return attempt.begun_at
