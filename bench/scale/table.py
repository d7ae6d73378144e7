"""What was measured, in Markdown. A number with a range is the median of the windows."""

from collections.abc import Mapping, Sequence
from statistics import median

from bench.report import rows
from bench.scale.choice import Choice
from bench.scale.cost import Cost
from bench.scale.keys import Pass, Stored
from bench.scale.plan import Places
from bench.scale.workers import Served

_SOME = 50
_MANY = 1_000
"""Keys from which on what the store takes for itself does not show."""


def spread(values: Sequence[float]) -> str:
    """`212 (205–220)`."""
    return f"{median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})".replace(",", " ")


def _times(values: Sequence[float], base: Sequence[float]) -> str:
    return f"{median(values) / median(base):.2f} ×"


def workers(found: Mapping[str, Sequence[Cost]], where: Places) -> str:
    """Of each gateway all windows of all rounds, beside the first."""
    names = list(found)
    cpu = {name: [value for one in found[name] for value in one.cpu_us] for name in names}
    rate = {name: [value for one in found[name] for value in one.requests_per_s] for name in names}
    head = ("gateway", "requests/s", f"÷ {names[0]}", "CPU µs per request", f"÷ {names[0]}", "memory of workers, MB")
    first = names[0]
    table = rows(head, [
        (
            name, spread(rate[name]), _times(rate[name], rate[first]), spread(cpu[name]), _times(cpu[name], cpu[first]),
            median(one.worker_mb for one in found[name]),
        )
        for name in names
    ])  # fmt: skip
    return f"{table}\n\n{_verdict(median(cpu[first]), median(cpu[names[1]]), where)}"


def _verdict(one_us: float, two_us: float, where: Places) -> str:
    """What two workers would do on two cores, if the machine does not let them try."""
    times = 2 * one_us / two_us
    if where.is_apart:
        return (
            f"Two workers had two cores of their own; by CPU per request they could do {times:.2f} × of what one does."
        )
    return (
        "This machine has no two cores for the workers alone: load and upstream share the second. By CPU per request,"
        f" two workers with a core each could do {times:.2f} × of what one does."
    )


def balance(found: Sequence[Served]) -> str:
    """Most and least of the workers."""
    head = ("workers", "connections", "of each worker", "most ÷ least", "requests of each worker", "most ÷ least")
    return rows(head, [
        (
            one.workers, sum(one.connections), _each(one.connections), _unevenness(one.connections),
            _each(one.replies), _unevenness(one.replies),
        )
        for one in found
    ])  # fmt: skip


def _each(counts: Sequence[int]) -> str:
    return " / ".join(f"{count:,}".replace(",", " ") for count in sorted(counts, reverse=True))


def _unevenness(counts: Sequence[int]) -> str:
    return f"{max(counts) / min(counts):.2f}" if min(counts) else "one has none"


def choices(found: Sequence[Choice]) -> str:
    """By endpoints or models, beside the first."""
    head = (
        "models", "endpoints", "CPU µs per request", "÷ first", "of that workers", "all models by turns: CPU µs",
        "÷ first", "at rest: workers, CPU ms/s", "supervisor and store", "worker, MB", "ready after, s",
    )  # fmt: skip
    base = found[0].one.cpu_us
    return rows(head, [
        (
            one.models, one.endpoints, spread(one.one.cpu_us), _times(one.one.cpu_us, base), spread(one.one.worker_us),
            spread(one.all.cpu_us) if one.all else "–", _times(one.all.cpu_us, base) if one.all else "–",
            one.rest.worker_ms, one.rest.others_ms, (one.all or one.one).worker_mb, one.start_s,
        )
        for one in found
    ])  # fmt: skip


def keys(found: Sequence[Stored]) -> str:
    """What a request costs, by keys in the store."""
    head = (
        "keys in the store", "one key: CPU µs per request", "÷ first", "of that workers", "many keys by turns: CPU µs",
        "÷ first", "of that workers", "keys never seen before: CPU µs", "p50 ms", "p99 ms",
        "the same once more: CPU µs", "p50 ms", "p99 ms",
    )  # fmt: skip
    base = found[0].known.cpu_us
    return rows(head, [
        (
            one.filled.keys, spread(one.known.cpu_us), _times(one.known.cpu_us, base), spread(one.known.worker_us),
            *_turns(one.turns, base), *_pass(one.first),
            *_pass(one.again),
        )
        for one in found
    ])  # fmt: skip


def _turns(one: Cost | None, base: Sequence[float]) -> tuple[str, str, str]:
    return (spread(one.cpu_us), _times(one.cpu_us, base), spread(one.worker_us)) if one else ("–", "–", "–")


def _pass(one: Pass) -> tuple[object, object, object]:
    """Of a few requests only how long they took: what else the gateway has done meanwhile is more."""
    return (one.cpu_us if one.keys >= _SOME else "–", one.p50_ms, one.p99_ms)


def filled(found: Sequence[Stored]) -> str:
    """What it takes to have them."""
    head = (
        "keys", "written in, s", "bytes of memory each", "store, MB", "on disk, MB", "gateway ready after, s",
        "its worker, MB",
    )  # fmt: skip
    return rows(head, [
        (
            one.filled.keys, one.filled.write_s, one.filled.bytes_per_key if one.filled.keys >= _MANY else "–",
            one.filled.store_mb, one.filled.disk_mb, one.start_s, one.known.worker_mb,
        )
        for one in found
    ])  # fmt: skip
