"""What is measured, one function each, as in `bench.figures`; `sizes` says how much of everything."""

import asyncio
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bench import procfs
from bench.figures import Measure, Numbers, Plan
from bench.load import ClosedLoop
from bench.request import BRISK_MODEL, DRIP_MODEL, ECHO_MODEL, FLOOD_MODEL, HOLD_MODEL, LARGE_MODEL, Request
from bench.silent import SilentStreams
from bench.streaming.loads import Flood, PacedStreams
from bench.streams import Streams
from bench.targets import Running
from bench.upstream import EVENT_BYTES, LARGE_BYTES
from bench.window import BadRun, Reading, check, quantile, until, until_quiet, window

EVENTS_PER_S = 50
DRIP_PER_S = 5
FIRST_HZ = 100
BESIDE_HZ = 50
BRISK_EVENTS = 3
SLOW_BYTES_S = 16e6
LARGE_CONNECTIONS = 8
_MB = 1e6
_SPARE_DESCRIPTORS = 300
"""Of a process, for what is not a stream."""
_FLOOD_S = 60.0
_OPEN_S = 30.0
_SETTLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    held: Sequence[int] = (1_000, 5_000, 10_000)
    """Silent streams, all in the same processes: each more than those before."""
    paced: Sequence[int] = (200, 2_000)
    many: int = 1_000
    """From so many streams on each has a tenth of the events, so that all together have no more than the few."""
    flood_bytes: int = 64_000_000


QUICK = Sizes(held=(50, 100), paced=(10, 100), many=100, flood_bytes=2_000_000)


def permitted() -> int:
    """How many streams one process can hold: two descriptors each, within `ulimit -n`."""
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _SPARE_DESCRIPTORS) // 2


async def held(sizes: Sizes, target: Running, plan: Plan) -> Numbers:
    """Memory of streams that are open and silent; asked first, of processes that have just started."""
    await _warm(target, plan)
    before = procfs.memory(target.pids())
    numbers: Numbers = {}
    async with SilentStreams(target.chat(model=HOLD_MODEL, stream_events=1)) as silent:
        for wanted in sizes.held:
            await silent.open_to(min(wanted, permitted()))
            await asyncio.sleep(_SETTLE_S)
            after = procfs.memory(list(before))
            silent.check()
            if after.keys() != before.keys():
                raise BadRun("a process of the target ended")
            grown = sum(after[pid].pss_bytes - memory.pss_bytes for pid, memory in before.items())
            numbers[f"kb_per_stream_{wanted}"] = grown / 1024 / silent.opened
            numbers[f"held_{wanted}"] = silent.opened
    await _at_rest(target)
    return numbers


async def _warm(target: Running, plan: Plan) -> None:
    async with ClosedLoop(target.chat(), connections=2) as load:
        await until(lambda: load.replies > 0, "a first reply", load)
        await asyncio.sleep(plan.warm_s)
        check(load, load.replies)
    await _at_rest(target)


async def _at_rest(target: Running) -> None:
    """Until the target is done with what the load has left behind."""
    await until_quiet(target.pids(), _OPEN_S)


async def paced(sizes: Sizes, streams: int, target: Running, plan: Plan) -> Numbers:
    """So many streams, all together with the same number of events a second: what an event costs."""
    model, pace = (DRIP_MODEL, DRIP_PER_S) if streams >= sizes.many else (ECHO_MODEL, EVENTS_PER_S)
    events = round(pace * (_OPEN_S + plan.warm_s + plan.seconds))
    async with Streams(target.chat(model=model, stream_events=events), streams) as load:
        await until(lambda: load.opened == streams, f"{streams} streams", load, _OPEN_S)
        await asyncio.sleep(plan.warm_s)
        before = len(load.gaps_s)
        seen = await window(target.pids(), plan.seconds, lambda: load.events)
        gaps = load.gaps_s[before:]
        check(load, seen.count)
        if load.replies:
            raise BadRun(f"{load.replies} streams were over before the window was")
    await _at_rest(target)
    return {
        f"cpu_us_per_event_{streams}": seen.cpu_s * 1e6 / seen.count,
        f"events_per_s_{streams}": seen.count / seen.seconds,
        f"busy_percent_{streams}": 100 * seen.busy,
        f"gap_p99_ms_{streams}": 1e3 * quantile(gaps, 0.99),
    }


async def first(sizes: Sizes, target: Running, plan: Plan) -> Numbers:
    """100 streams begun a second: how long it takes to the first event."""
    measured = await _first(target, plan.warm_s, 2 * plan.seconds, FIRST_HZ)
    return {"first_p50_ms": 1e3 * quantile(measured, 0.5), "first_p99_ms": 1e3 * quantile(measured, 0.99)}


async def beside(sizes: Sizes, reader: str, rate_bytes_s: float | None, target: Running, plan: Plan) -> Numbers:
    """The same at half the rate, while one stream after the other floods the target."""
    endless = Flood(_flood(sizes, target), _least_bytes(sizes), floods=1_000_000, rate_bytes_s=rate_bytes_s)
    async with endless as load:
        await until(lambda: load.taken_bytes > 0, "the first byte of a flood", load)
        measured = await _first(target, plan.warm_s, 2 * plan.seconds, BESIDE_HZ)
        check(load, load.taken_bytes)
        begun = load.first_s[0]
    await _at_rest(target)
    return {
        f"beside_{reader}_p50_ms": 1e3 * quantile(measured, 0.5),
        f"beside_{reader}_p99_ms": 1e3 * quantile(measured, 0.99),
        f"flood_first_{reader}_ms": 1e3 * begun,
    }


async def _first(target: Running, warm_s: float, seconds: float, rate_hz: float) -> Sequence[float]:
    request = target.chat(model=BRISK_MODEL, stream_events=BRISK_EVENTS)
    async with PacedStreams(request, connections=32, rate_hz=rate_hz) as load:
        await asyncio.sleep(warm_s)
        warm = len(load.first_s)
        await asyncio.sleep(seconds)
        measured = load.first_s[warm:]
        check(load, min(len(measured), load.verified))
    return measured


def _flood(sizes: Sizes, target: Running) -> Request:
    return target.chat(model=FLOOD_MODEL, stream_events=max(2, sizes.flood_bytes // EVENT_BYTES))


def _least_bytes(sizes: Sizes) -> int:
    return max(2, sizes.flood_bytes // EVENT_BYTES) * EVENT_BYTES


async def flood(sizes: Sizes, reader: str, rate_bytes_s: float | None, target: Running, plan: Plan) -> Numbers:
    """One stream as fast as the upstream can: CPU time, and what the target holds of it at the most."""
    await _warm(target, plan)
    pids = target.pids()
    before = procfs.reset_peak(pids)
    async with Flood(_flood(sizes, target), _least_bytes(sizes), rate_bytes_s=rate_bytes_s) as load:
        reading = Reading(pids, lambda: load.taken_bytes)
        await until(lambda: load.replies == 1, "the end of the flood", load, _FLOOD_S)
        seen = reading.window()
        check(load, seen.count)
    peak = procfs.peak_rss(pids)
    if not before.keys() <= peak.keys():
        raise BadRun("a process of the target ended")
    grown = sum(max(0, peak[pid] - rss) for pid, rss in before.items())
    return {
        f"cpu_us_per_mb_{reader}": seen.cpu_s * 1e6 / (seen.count / _MB),
        f"mb_per_s_{reader}": seen.count / _MB / seen.seconds,
        f"grown_mb_{reader}": grown / 1024**2,
    }


async def large(sizes: Sizes, what: str, target: Running, plan: Plan) -> Numbers:
    """Requests or replies of a megabyte, eight at a time: what a megabyte costs."""
    chat = target.chat(size_bytes=LARGE_BYTES) if what == "request" else target.chat(model=LARGE_MODEL)
    async with ClosedLoop(chat, LARGE_CONNECTIONS) as load:
        await asyncio.sleep(plan.warm_s)
        seen = await window(target.pids(), plan.seconds, lambda: load.replies)
        check(load, min(seen.count, load.verified))
    megabytes = seen.count * LARGE_BYTES / _MB
    return {f"cpu_us_per_mb_{what}": seen.cpu_s * 1e6 / megabytes, f"mb_per_s_{what}": megabytes / seen.seconds}


def measures(sizes: Sizes) -> dict[str, Measure]:
    """All of it, in the order of a round."""
    found: dict[str, Measure] = {"held": partial(held, sizes)}
    found |= {f"flood-{name}": partial(flood, sizes, name, rate) for name, rate in READERS.items()}
    found |= {f"paced-{word}": partial(paced, sizes, n) for word, n in zip(("few", "many"), sizes.paced, strict=True)}
    found["first"] = partial(first, sizes)
    found |= {f"beside-{name}": partial(beside, sizes, name, rate) for name, rate in READERS.items()}
    return found | {f"large-{what}": partial(large, sizes, what) for what in ("request", "reply")}


READERS = {"fast": None, "slow": SLOW_BYTES_S}
ANEW = ("flood-fast", "flood-slow")
"""What ten thousand streams have left free would hide how much a flood needs, and so would another flood."""
OF_THE_DIRECT_WAY = ("first",)
