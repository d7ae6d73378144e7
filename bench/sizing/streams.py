"""What open streams cost a worker: memory and descriptors while they are silent, CPU time for each event."""

import asyncio
import gc
import tempfile
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench import procfs
from bench.load import ClosedLoop
from bench.request import HOLD_MODEL
from bench.silent import SilentStreams
from bench.stage import Stage
from bench.streams import Streams
from bench.window import check, until, window

HELD = (1_000, 5_000)
RATES = ((200, 10), (200, 50), (1_000, 10))
"""Streams, and events of each in a second."""
WINDOW_S = 6.0
WARM_S = 1.0
_OPEN_S = 60.0


@dataclass(frozen=True, slots=True)
class Held:
    """Silent streams of one worker."""

    streams: int
    kb_per_stream: float
    descriptors_per_stream: float
    worker_mb: float
    """Of the worker before the first of them, resident."""
    others_mb: float
    """Of the gateway's other processes, shared pages divided among those who share them."""
    kernel_kb_per_stream: float
    """Of the machine's slabs, for the two of its four sockets that are the gateway's."""


@dataclass(frozen=True, slots=True)
class Paced:
    """Streams that say something."""

    streams: int
    events_per_s: float
    """Of all of them together, as delivered."""
    cpu_us_per_event: float


async def _hold(stage: Stage, streams: int) -> Held:
    async with ClosedLoop(stage.request(stage.models[0]), connections=2) as warming:
        await asyncio.sleep(WARM_S)
        check(warming, warming.replies)
    [worker] = stage.worker_pids()
    before, descriptors, slabs_kb = procfs.memory(stage.pids()), _descriptors(worker), -_slabs_kb()
    async with SilentStreams(stage.request(HOLD_MODEL, stream_events=1)) as silent:
        await silent.open_to(streams)
        await asyncio.sleep(WARM_S)
        after = procfs.memory(stage.pids())
        opened = _descriptors(worker) - descriptors
        slabs_kb += _slabs_kb()
        silent.check()
    return Held(
        streams,
        (after[worker].pss_bytes - before[worker].pss_bytes) / 1024 / streams,
        opened / streams,
        before[worker].rss_bytes / 1024**2,
        sum(memory.pss_bytes for pid, memory in before.items() if pid != worker) / 1024**2,
        slabs_kb / streams / 2,
    )


def _slabs_kb() -> int:
    """What the kernel's own objects take, of the whole machine."""
    return int(Path("/proc/meminfo").read_text().partition("\nSlab:")[2].split()[0])


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


async def _listen(stage: Stage, streams: int, events_per_s: int) -> Paced:
    events = round(events_per_s * (_OPEN_S + WARM_S + WINDOW_S))
    async with Streams(stage.request(stage.models[0], stream_events=events), streams) as load:
        await until(lambda: load.opened == streams, f"{streams} streams", load, _OPEN_S)
        await asyncio.sleep(WARM_S)
        seen = await window(stage.pids(), WINDOW_S, lambda: load.events)
        check(load, seen.count)
    return Paced(streams, seen.count / seen.seconds, seen.cpu_s * 1e6 / seen.count)


def held() -> list[Held]:
    """Measure with a fresh gateway of one worker each time: what has been freed is not given back."""
    found = []
    for streams in HELD:
        gc.collect()
        with tempfile.TemporaryDirectory(prefix="sizing-") as folder, Stage(Path(folder)) as stage:
            found.append(uvloop.run(_hold(stage, streams)))
    return found


def listened() -> list[Paced]:
    """Measure one worker under streams of several paces."""
    found = []
    for streams, events_per_s in RATES:
        with (
            tempfile.TemporaryDirectory(prefix="sizing-") as folder,
            Stage(Path(folder), events_per_s=events_per_s) as stage,
        ):
            found.append(uvloop.run(_listen(stage, streams, events_per_s)))
    return found


async def _ask(stage: Stage) -> float:
    async with ClosedLoop(stage.request(stage.models[0]), connections=64) as load:
        await asyncio.sleep(WARM_S)
        seen = await window(stage.pids(), WINDOW_S, lambda: load.replies)
        check(load, seen.count)
    return seen.cpu_s * 1e6 / seen.count


def cpu_us_per_request() -> float:
    """What beginning and ending one costs, with a reply of 600 bytes."""
    with tempfile.TemporaryDirectory(prefix="sizing-") as folder, Stage(Path(folder)) as stage:
        return uvloop.run(_ask(stage))
