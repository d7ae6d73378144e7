"""Content to the caller as it arrives."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from fairlead import clock
from fairlead.errors import Truncated
from fairlead.relay.downstream import Downstream
from fairlead.relay.tap import Tap
from fairlead.wire.cost import CostSplicer
from fairlead.wire.openrouter_chunks import ChunkAdapter


class Source(Protocol):
    """What is pumped: a `Reply`, or what is left of one."""

    @property
    def is_drained(self) -> bool: ...

    def forward(self, sink: Callable[[bytes], bool]) -> Awaitable[bytes]: ...


async def pump(
    reply: Source,
    content: bytes,
    downstream: Downstream,
    tap: Tap,
    deadline: float,
    splicer: CostSplicer | None = None,
    adapter: ChunkAdapter | None = None,
    *,
    has_end: bool = False,
) -> bool:
    """Pass on `content`, which has been read already, and then the rest of `reply`; return whether the caller was slow.

    `splicer` puts into a stream's usage what it costs; or `adapter` gives it another shape, and the tap reads what the
    provider has sent. `take` is the per-chunk path, all of it: the event loop's reading of the provider's socket ends
    in the writing to the caller's, without a task between them. While the caller is slow nothing is read, so the
    provider is slowed down too.

    A stream that an `adapter` has ended for a fault is not read on.
    Raises UpstreamError when the reply breaks off, or `has_end` to tell and does not say that all of it is whole; and
    TimeoutError when the caller is still slow at `deadline` (`clock.monotonic` time): the provider's connection has its
    own limit, which tells nobody who waits here.
    """

    write, read_along = downstream.write, tap.feed

    def take(data: bytes) -> bool:
        if splicer is not None:
            data = splicer.feed(data)
        read_along(data)
        write(data, is_last=False)
        return not downstream.is_slow

    def adapt(data: bytes) -> bool:
        tap.feed(data)
        assert adapter is not None
        downstream.write(adapter.feed(data), is_last=False)
        return not downstream.is_slow and adapter.fault is None

    sink = take if adapter is None else adapt
    was_slow = False
    while not reply.is_drained:
        if content:
            sink(content)
        if _has_failed(adapter):  # the caller has been told the end: what may follow is for nobody
            downstream.write(b"", is_last=True)
            return was_slow
        if downstream.is_slow:
            was_slow = True
            await caught_up(downstream, deadline)
        content = await reply.forward(sink)
    if splicer is not None:
        content = splicer.feed(content) + splicer.finish()
    tap.feed(content)
    _end(content, downstream, tap, adapter, has_end=has_end)
    return was_slow


def _end(content: bytes, downstream: Downstream, tap: Tap, adapter: ChunkAdapter | None, *, has_end: bool) -> None:
    if adapter is not None:
        content = adapter.feed(content)
    if has_end and not tap.is_whole:
        downstream.write(content, is_last=False)
        # Not by its name: clients have been seen that look for `[DONE]` anywhere in a line.
        raise Truncated("the stream ended without a finish reason or an end mark")
    downstream.write(content if adapter is None else content + adapter.finish(), is_last=True)


def _has_failed(adapter: ChunkAdapter | None) -> bool:
    return adapter is not None and adapter.fault is not None


async def caught_up(downstream: Downstream, deadline: float) -> None:
    """Wait until the caller has caught up. Raises TimeoutError at `deadline` (`clock.monotonic` time)."""
    async with asyncio.timeout(deadline - clock.monotonic()):
        await downstream.drained()
