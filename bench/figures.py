"""What is measured, one function each. All take a running target and return named numbers of one round.

A window is two readings with a pause between them: of the load's counters and of the CPU time of the target's
processes. What comes before the window is warm-up.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from bench import procfs
from bench.load import ClosedLoop, Paced
from bench.request import HOLD_MODEL
from bench.streams import Streams
from bench.targets import Running
from bench.window import BadRun, Window, check, quantile, until, window

Numbers = dict[str, float]

CONNECTIONS = 64
WARMING_S = 3.0
"""Until a compiler that works at run time has done what it can: it learns by thousands of requests."""
PACED_HZ = 300
SLOWLY_HZ = 50
"""What every gateway can do."""
STREAMS = 200
FEW_STREAMS = 20
EVENTS_PER_S = 50


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how much."""

    seconds: float
    """Of each window."""
    warm_s: float
    held_streams: int
    ramp_s: float = 0.6
    """What it may take until all streams are open."""


async def throughput(target: Running, plan: Plan) -> Numbers:
    """Closed loop of 64 connections: what a request costs, and how many one core answers.

    A target that is not at its limit when the load's core is gets its rate from what it used: a second of CPU
    divided by CPU per request.
    """
    async with ClosedLoop(target.chat(), CONNECTIONS) as load:
        await asyncio.sleep(plan.warm_s)
        seen = await window(target.pids(), plan.seconds, lambda: load.replies)
        check(load, seen.count)
    return {
        "cpu_us_per_request": seen.cpu_s * 1e6 / seen.count,
        "requests_per_core_s": seen.count / seen.cpu_s,
        "requests_per_s": seen.count / seen.seconds,
        "busy_percent": 100 * seen.busy,
    }


async def latency(target: Running, plan: Plan) -> Numbers:
    """300 requests/s, open loop: how long a request takes, counted from when it was due.

    The window is twice as long as the others: the p99 of 600 requests would be the sixth worst.
    """
    measured = await _paced(target, plan, PACED_HZ)
    return {"p50_ms": 1e3 * quantile(measured, 0.5), "p99_ms": 1e3 * quantile(measured, 0.99)}


async def warming(target: Running, plan: Plan) -> Numbers:
    """A load of which nothing is told: what comes after meets a target that has warmed up."""
    async with ClosedLoop(target.chat(), CONNECTIONS):
        await asyncio.sleep(min(WARMING_S, 2 * plan.seconds))
    return {}


async def slowly(target: Running, plan: Plan) -> Numbers:
    """The same at a rate that the slowest can keep up with."""
    measured = await _paced(target, plan, SLOWLY_HZ)
    return {"slow_p50_ms": 1e3 * quantile(measured, 0.5), "slow_p99_ms": 1e3 * quantile(measured, 0.99)}


async def _paced(target: Running, plan: Plan, rate_hz: int) -> Sequence[float]:
    async with Paced(target.chat(), connections=32, rate_hz=rate_hz) as load:
        await asyncio.sleep(plan.warm_s)
        warm = len(load.latencies_s)
        await asyncio.sleep(2 * plan.seconds)
        measured = load.latencies_s[warm:]
        check(load, len(measured))
        if load.backlog > rate_hz // 10:
            raise BadRun(f"the target cannot keep up with {rate_hz} requests/s: {load.backlog} wait")
    return measured


async def streaming(target: Running, plan: Plan) -> Numbers:
    """200 streams of 50 events a second: what an event costs."""
    seen, load, gaps = await _streamed(target, plan, STREAMS)
    return {
        "cpu_us_per_event": seen.cpu_s * 1e6 / seen.count,
        "events_per_s": seen.count / seen.seconds,
        "first_event_p50_ms": 1e3 * quantile(load.first_event_s, 0.5),
        "gap_p99_ms": 1e3 * quantile(gaps, 0.99),
    }


async def trickling(target: Running, plan: Plan) -> Numbers:
    """The same with 20 streams, which leave the slowest time to spare."""
    seen, _, gaps = await _streamed(target, plan, FEW_STREAMS)
    return {"few_cpu_us_per_event": seen.cpu_s * 1e6 / seen.count, "few_gap_p99_ms": 1e3 * quantile(gaps, 0.99)}


async def _streamed(target: Running, plan: Plan, streams: int) -> tuple[Window, Streams, Sequence[float]]:
    """A window in which all streams are open, the load, and the gaps between events in that window."""
    events = round(EVENTS_PER_S * (plan.ramp_s + plan.warm_s + plan.seconds))
    async with Streams(target.chat(stream_events=events), streams) as load:
        await until(lambda: load.opened == streams, f"{streams} streams", load)
        await asyncio.sleep(plan.warm_s)
        before = len(load.gaps_s)
        seen = await window(target.pids(), plan.seconds, lambda: load.events)
        gaps = load.gaps_s[before:]
        if load.replies:
            raise BadRun(f"{load.replies} streams were over before the window was")
        await until(lambda: load.replies == streams, "the end of every stream", load)
    check(load, seen.count)
    return seen, load, gaps


async def holding(target: Running, plan: Plan) -> Numbers:
    """Streams that are open and silent: what each holds. Asked first, of processes that have just started."""
    async with ClosedLoop(target.chat(), connections=2) as load:
        await until(lambda: load.replies > 0, "a first reply", load)
        await asyncio.sleep(plan.warm_s)
        check(load, load.replies)
    await asyncio.sleep(0.1)
    before = procfs.memory(target.pids())
    worker = max(procfs.cpu_ns(list(before)).items(), key=lambda item: item[1])[0]
    async with Streams(target.chat(model=HOLD_MODEL, stream_events=1), plan.held_streams) as held:
        await until(lambda: held.opened == plan.held_streams, f"{plan.held_streams} streams", held)
        await asyncio.sleep(0.2)
        after = procfs.memory(list(before))
        check(held, held.opened)
    if after.keys() != before.keys():
        raise BadRun("a process of the target ended")
    grown_bytes = sum(after[pid].pss_bytes - memory.pss_bytes for pid, memory in before.items())
    return {
        "kb_per_stream": grown_bytes / 1024 / plan.held_streams,
        "worker_idle_mb": before[worker].rss_bytes / 1024**2,
        "all_processes_idle_mb": sum(memory.pss_bytes for memory in before.values()) / 1024**2,
    }


Measure = Callable[[Running, Plan], Coroutine[Any, Any, Numbers]]
ALL: dict[str, Measure] = {
    "holding": holding,
    "throughput": throughput,
    "latency": latency,
    "streaming": streaming,
}
"""In the order of a round."""
FOR_THE_SLOW: dict[str, Measure] = {"warming": warming, "slowly": slowly, "trickling": trickling}
"""What is done besides where targets take their time to get warm, or cannot do as much."""
