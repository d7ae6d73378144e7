"""The one door to background tasks.

A task is named, held until it ends (asyncio itself holds it only weakly), and a crash is reported instead of being
swallowed until the interpreter happens to collect the task.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

AGAIN_S = 0.1
"""After so long a task is cancelled once more."""


def start(name: str, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Start a task that its owner awaits, or cancels and awaits, in every case."""
    return asyncio.get_running_loop().create_task(work, name=name)


class Tasks:
    """The background tasks of one owner, ended together.

    `report(name, error)` is called once for each task that ends by an error other than its cancellation.
    """

    def __init__(self, report: Callable[[str, BaseException], None]) -> None:
        self._report = report
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work` in the background until it ends or `close` is called."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._report(task.get_name(), error)

    async def close(self) -> None:
        """Cancel all of them and wait until each has ended, those included that they start meanwhile.

        A cancellation can be lost: `asyncio.wait_for` of Python 3.11 swallows one that comes when what it waits for has
        just been done, and redis-py sends by it. So whoever is still there a moment later is cancelled again.
        """
        while running := list(self._running):
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=AGAIN_S)
