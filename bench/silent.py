"""Streams that sent one event and are then silent: more and more of them, until they are let go."""

from types import TracebackType
from typing import Self

from bench.request import Request
from bench.streams import Streams
from bench.window import check, until

_AT_ONCE = 500
"""So many streams are opened before the next are."""
_OPEN_S = 60.0


class SilentStreams:
    """Use `async with`; `request` asks for `bench/hold`."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._loads: list[Streams] = []
        self.opened = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for load in self._loads:
            await load.__aexit__(kind, error, trace)

    async def open_to(self, streams: int) -> None:
        """Open more until there are so many. Raises BadRun."""
        while self.opened < streams:
            await self._open(min(_AT_ONCE, streams - self.opened))

    async def _open(self, streams: int) -> None:
        load = Streams(self._request, streams)
        self._loads.append(load)
        await load.__aenter__()
        await until(lambda: load.opened == streams, f"{streams} streams more", load, _OPEN_S)
        self.opened += streams

    def check(self) -> None:
        """Raise BadRun if any of them has ended or gone wrong."""
        for load in self._loads:
            check(load, load.opened)
