"""What was measured, in Markdown, as deploy/SIZING.md has it."""

from collections.abc import Sequence

from bench.report import rows
from bench.sizing.commands import Measured
from bench.sizing.memory import GENERATIONS_EACH, KEYS, Stored
from bench.sizing.reckon import Constants, Line, Needs, Wanted, fit, streams_of_core
from bench.sizing.streams import Held, Paced


def commands(found: Sequence[Measured]) -> str:
    """Scripts and commands a second, and what they cost the store."""
    head = (
        "workers", "models", "endpoints", "at rest: scripts/s", "commands/s", "server CPU ms/s", "gateway CPU ms/s",
        "under load: requests/s", "scripts/s", "commands/s", "server CPU ms/s", "KB/s in", "KB/s out",
    )  # fmt: skip
    return rows(head, [
        (
            one.workers, one.models, one.endpoints, one.rest.scripts, one.rest.commands, one.rest.server_cpu_ms,
            one.rest.gateway_cpu_ms, one.requests_per_s, one.load.scripts, one.load.commands, one.load.server_cpu_ms,
            one.load.in_kb, one.load.out_kb,
        )
        for one in found
    ])  # fmt: skip


def at_rest(found: Sequence[Measured]) -> Line:
    """Scripts a second of one worker at rest, by models."""
    return fit([(one.models, one.rest.scripts / one.workers) for one in found])


def under_load(found: Sequence[Measured]) -> Line:
    """The same under load."""
    return fit([(one.models, one.load.scripts / one.workers) for one in found])


def script_us(found: Sequence[Measured]) -> float:
    """CPU of the store for each script more, with what its requests have to be charged."""
    return 1e3 * fit([(one.load.scripts, one.load.server_cpu_ms) for one in found]).slope


def stored(found: Stored, measured: Sequence[Measured]) -> str:
    """What Redis holds."""
    generations = KEYS * GENERATIONS_EACH
    one_provider = [one.bytes_per_model for one in measured if one.endpoints == one.models]
    several = [(one.endpoints / one.models, one.bytes_per_model) for one in measured]
    lines: list[tuple[object, ...]] = [
        ("API key with a limit", KEYS, found.each(r"key:\{[0-9a-f]{64}\}", KEYS) + found.each("keys", KEYS)),
        ("account: what a key has spent", KEYS, found.each(r"\{money\}:spent:(\*|[0-9a-f]{64})", KEYS)),
        ("key that was used on a day, and model: sums of the day", generations,
         found.each(r"\{money\}:day:\d{8}", generations)),
        ("generation: its entry in the ledger", generations, found.each(r"\{money\}:ledger", generations)),
        ("generation: its ids, until the ledger forgets it", generations,
         found.each(r"\{money\}:ids:\d{8}", generations)),
        ("generation as the gateway writes it, both", len(measured),
         max(one.bytes_per_generation for one in measured)),
        ("model with one endpoint", len(one_provider), sum(one_provider) / len(one_provider)),
        ("endpoint more of a model", len(several), fit(several).slope),
    ]  # fmt: skip
    whole = rows(("of each", "made up or seen", "bytes"), lines)
    named = sum(size.bytes for size in found.sizes.values())
    return f"{whole}\n\nThe server grew by {found.grown_bytes / named:.2f} times what MEMORY USAGE adds up to."


def held(found: Sequence[Held]) -> str:
    head = (
        "silent streams of a worker", "KB each", "KB each in the kernel", "descriptors each", "worker before, MB",
        "other processes, MB",
    )  # fmt: skip
    return rows(head, [
        (
            one.streams, one.kb_per_stream, one.kernel_kb_per_stream, one.descriptors_per_stream, one.worker_mb,
            one.others_mb,
        )
        for one in found
    ])  # fmt: skip


def listened(found: Sequence[Paced], request_us: float) -> str:
    lines: list[tuple[object, ...]] = [
        (
            f"event, {one.streams} streams",
            round(one.events_per_s),
            one.cpu_us_per_event,
            round(1e6 / one.cpu_us_per_event),
        )
        for one in found
    ]
    lines.append(("request of 1 KB and reply of 600 bytes", "as many as it can", request_us, round(1e6 / request_us)))
    return rows(("", "in a second", "CPU µs", "one core's worth of it in a second"), lines)


def constants(one: Constants) -> str:
    return rows(
        ("constant", "value"),
        [(name, getattr(one, name)) for name in Constants.__dataclass_fields__],
    )


def per_core(one: Constants) -> str:
    """Streams of fifteen seconds that a worker serves with six tenths of its core, and what they hold."""
    counts = [(pace, streams_of_core(one, pace, 15.0, 0.6)) for pace in (5, 10, 20, 50, 100)]
    return rows(
        ("events/s of a stream", "streams", "MB of the worker"),
        [(pace, count, one.worker_mb + count * one.stream_kb / 1024) for pace, count in counts],
    )


def needed(wanted: Sequence[tuple[Wanted, Needs]]) -> str:
    """One line for each load."""
    head = (
        "streams", "events/s each", "cores of a host", "workers", "hosts, one in reserve", "GB of a host",
        "descriptors of a worker", "streams begun/s", "Gbit/s each way", "scripts/s at the most",
        "stores", "ledger GB a day",
    )  # fmt: skip
    return rows(head, [
        (
            load.streams, load.events_per_s, load.cores_per_host, it.workers, it.hosts, it.host_gb,
            it.worker_descriptors, it.begun_per_s, it.gbit_per_s, round(it.scripts_per_s), it.stores,
            it.ledger_gb_per_day,
        )
        for load, it in wanted
    ])  # fmt: skip
