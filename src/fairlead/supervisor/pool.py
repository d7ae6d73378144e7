"""The workers: one per slot, replaced when they end, exchanged one by one for new settings.

    a slot's worker   STARTING ──▶ READY ──▶ it ends or leaves ──▶ (restart delay) ──▶ a new one, STARTING
    an exchange       the old one READY, its successor STARTING ──▶ both READY ──▶ the old one is let go

An exchange (`roll`) goes through the slots in order. If a successor cannot start, the slots done so far go back to the
old settings in the same way.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Final, Generic, Protocol

from fairlead.supervisor.restart import RestartDelay
from fairlead.supervisor.worker import S, State, Worker

_START_LIMIT_S: Final = 60.0
"""A worker starts in about a second; on a starved machine in many. Later than this it never will."""


class Log(Protocol):
    """What is used of a structlog logger."""

    def info(self, event: str, /) -> object: ...
    def warning(self, event: str, /) -> object: ...
    def error(self, event: str, /) -> object: ...


@dataclass(slots=True)
class _Slot(Generic[S]):
    index: int
    settings: S
    worker: Worker | None = None
    successor: Worker | None = None
    start_at: float = 0.0
    """When to start a worker if there is none."""
    delay: RestartDelay = field(default_factory=RestartDelay)


@dataclass(slots=True)
class _Roll(Generic[S]):
    """An exchange under way: the first of `pending` has the successor."""

    new: S
    old: S
    pending: deque[int]
    done: list[int] = field(default_factory=list)
    is_retreat: bool = False


class Pool(Generic[S]):
    """`start(slot, settings, now)` starts a process. Nothing here waits: `poll` looks, acts and returns."""

    def __init__(self, slots: int, start: Callable[[int, S, float], Worker], settings: S, log: Log) -> None:
        self._slots = [_Slot(index, settings) for index in range(slots)]
        self._start = start
        self._settings = settings
        self._log = log
        self._leaving: set[Worker] = set()
        self._roll: _Roll[S] | None = None
        self._has_served = False
        self._is_stopping = False
        self.failure: str | None = None
        """Why it makes no sense to go on, once it does not."""

    # What the loop asks

    def poll(self, now: float) -> None:
        """Look at every process and do what is due."""
        for worker in self._alive():
            worker.observe()
            if worker.state is State.STARTING and now >= worker.started_at + _START_LIMIT_S:
                worker.ending = f"not ready within {_START_LIMIT_S:g} s"
                worker.kill()
        self._leaving = {worker for worker in self._leaving if worker.state is not State.ENDED}
        for slot in self._slots:
            self._tend(slot, now)
        if self._roll is not None:
            self._advance(self._roll, now)
        self._has_served = self._has_served or self.is_complete

    def next_due(self) -> float | None:
        """When `poll` has something to do though nothing was heard."""
        starts = [slot.start_at for slot in self._slots if slot.worker is None and slot.successor is None]
        limits = [worker.started_at + _START_LIMIT_S for worker in self._alive() if worker.state is State.STARTING]
        return None if self._is_stopping else min(starts + limits, default=None)

    def controls(self) -> "list[Connection[bytes, bytes]]":
        """Readable when `poll` has something to hear."""
        return [worker.control for worker in self._alive() if worker.control is not None]

    @property
    def is_complete(self) -> bool:
        """Whether every slot is served."""
        return all(slot.worker is not None and slot.worker.state is State.READY for slot in self._slots)

    def take_pulse(self) -> bool:
        """Whether each worker that serves has given a sign of life since the last call."""
        serving = [slot.worker for slot in self._slots if slot.worker and slot.worker.state is State.READY]
        pulses = [worker.take_pulse() for worker in serving]  # of all of them: each begins anew
        return all(pulses)

    @property
    def is_rolling(self) -> bool:
        return self._roll is not None

    @property
    def is_empty(self) -> bool:
        """Whether no process is left."""
        return not any(True for _ in self._alive())

    # What the loop orders

    def roll(self, settings: S) -> None:
        """Exchange all workers for ones with other settings, one by one, without closing a socket."""
        self._roll = _Roll(settings, self._settings, deque(range(len(self._slots))))

    def stop(self) -> None:
        """Make all of them drain, and start no more."""
        self._start_no_more()
        for worker in self._alive():
            worker.terminate()

    def kill(self) -> None:
        """End all of them now, and start no more."""
        self._start_no_more()
        for worker in self._alive():
            worker.kill()

    def close(self) -> None:
        """Kill what is left and wait for its end."""
        self.kill()
        for worker in self._alive():
            worker.reap()

    # How it is done

    def _start_no_more(self) -> None:
        self._is_stopping = True
        self._roll = None
        for slot in self._slots:
            if slot.successor is not None:
                self._leaving.add(slot.successor)
                slot.successor = None

    def _alive(self) -> Iterator[Worker]:
        for slot in self._slots:
            if slot.worker is not None:
                yield slot.worker
            if slot.successor is not None:
                yield slot.successor
        yield from self._leaving

    def _tend(self, slot: _Slot[S], now: float) -> None:
        worker = slot.worker
        if worker is None:
            if not self._is_stopping and slot.successor is None and now >= slot.start_at:
                slot.worker = self._start(slot.index, slot.settings, now)
        elif worker.state is State.ENDED:
            slot.worker = None
            if not self._is_stopping:
                slot.start_at = now + slot.delay.after(now - worker.started_at)
                self._tell_end(slot.index, worker)
        elif worker.state is State.LEAVING and not self._is_stopping:
            slot.worker = None
            slot.start_at = now
            self._leaving.add(worker)
            self._log.warning(f"worker {slot.index} is leaving, starting another")

    def _tell_end(self, index: int, worker: Worker) -> None:
        if worker.was_ready:
            self._log.warning(f"worker {index} died ({worker.ending}), starting another")
        elif self._has_served and any(slot.worker and slot.worker.state is State.READY for slot in self._slots):
            self._log.error(f"worker {index} could not start ({worker.ending}), trying again")
        else:
            self.failure = f"worker {index} could not start: {worker.ending}"

    def _advance(self, roll: _Roll[S], now: float) -> None:
        slot = self._slots[roll.pending[0]]
        successor = slot.successor
        if successor is not None and successor.state is State.STARTING:
            return
        if successor is not None and successor.state is not State.READY:
            slot.successor = None
            self._give_up(roll, slot.index, successor)
        elif successor is not None:
            self._promote(slot, successor, roll)
        if self._roll is not None:
            slot = self._slots[self._roll.pending[0]]
            slot.successor = self._start(slot.index, self._roll.new, now)

    def _promote(self, slot: _Slot[S], successor: Worker, roll: _Roll[S]) -> None:
        if slot.worker is not None:
            slot.worker.let_go()
            self._leaving.add(slot.worker)
        slot.worker, slot.successor, slot.settings = successor, None, roll.new
        roll.done.append(roll.pending.popleft())
        if not roll.pending:
            self._roll = None
            self._settings = roll.new
            if not roll.is_retreat:
                self._log.info(f"reloaded, {len(self._slots)} workers exchanged")

    def _give_up(self, roll: _Roll[S], index: int, successor: Worker) -> None:
        self._log.error(f"reload given up, worker {index} could not start: {successor.ending}")
        if successor.state is not State.ENDED:
            self._leaving.add(successor)
        if roll.done and not roll.is_retreat:
            self._roll = _Roll(roll.old, roll.old, deque(roll.done), is_retreat=True)
        else:
            self._roll = None
