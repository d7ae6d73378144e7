"""The supervisor's life: open in order, watch, end in the opposite order."""

import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from fairlead.clock import monotonic
from fairlead.store.embedded import EmbeddedStore
from fairlead.supervisor import notify
from fairlead.supervisor.demo import Demo
from fairlead.supervisor.figures import FiguresDir
from fairlead.supervisor.files import raise_open_files
from fairlead.supervisor.listeners import listen
from fairlead.supervisor.pool import Log, Pool
from fairlead.supervisor.restart import RestartDelay
from fairlead.supervisor.signals import Signals, Stopped, has_terminal, is_stop
from fairlead.supervisor.worker import START_FAILED, Control, Worker, WorkerMain, WorkerStart, in_one_line

_OVERTIME_S: Final = 10.0
"""What a worker is given beyond its own drain limits (ending streams, closing pools) before it is killed."""


class RevealedUrl(Protocol):
    """A URL that may hold a password."""

    def reveal(self) -> str: ...
    def masked(self) -> str: ...


class ProcessSettings(Protocol):
    """The settings that matter to the process tree; the rest only passes through to the workers."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def workers(self) -> int: ...
    @property
    def redis_url(self) -> RevealedUrl | None: ...
    @property
    def data_dir(self) -> Path: ...
    @property
    def drain_delay_s(self) -> float: ...
    @property
    def drain_timeout_s(self) -> float: ...


P = TypeVar("P", bound=ProcessSettings)


@dataclass(frozen=True, slots=True)
class Running:
    """What the start-up summary needs, once every worker serves."""

    pid: int
    url: str
    """With the host as it was set and the port in use."""
    workers: int
    store: str
    """For people: no password."""
    demo: Mapping[str, str]
    """Base URL of each simulated provider, by name."""
    redis_url: str = field(repr=False)
    """Of the store in use; may hold a password."""


class Sidecar(Protocol):
    """A child that is not a worker."""

    name: str

    def how_it_ended(self) -> str | None: ...
    def restart(self) -> None: ...
    def stop(self) -> None: ...


@dataclass(slots=True)
class _Watched:
    sidecar: Sidecar
    started_at: float
    restart_at: float | None = None
    delay: RestartDelay = field(default_factory=RestartDelay)


class Supervisor(Generic[P]):
    """`announce` is called once, when all workers serve; `reload` reads the settings anew and raises ConfigError.

    `check` is given the URL of the store, before anything serves, and may raise ConfigError.
    `demo` names the personalities to simulate, `notify_socket` is systemd's NOTIFY_SOCKET.
    `watchdog_s` is within how many seconds it wants a sign of life; it gets three, as long as all workers give theirs.
    """

    def __init__(
        self,
        settings: P,
        worker_main: WorkerMain[P],
        announce: Callable[[Running], None],
        *,
        reload: Callable[[], P],
        log: Log,
        demo: Sequence[str] = (),
        check: Callable[[str], None] = lambda redis_url: None,
        notify_socket: str | None = None,
        watchdog_s: float | None = None,
    ) -> None:
        self._settings = settings
        self._bound_settings = settings  # those that sockets and children were made from
        self._worker_main = worker_main
        self._announce = announce
        self._reload = reload
        self._log = log
        self._personalities = demo
        self._check = check
        self._notify_socket = notify_socket
        self._watchdog_s = watchdog_s
        self._pulse_at: float | None = None
        """When systemd gets the next sign of life; None: it wants none, or not yet."""

        self._signals = Signals()
        self._watched: list[_Watched] = []
        # Under nohup SIGHUP comes ignored: then the end of the terminal is not to be ours.
        self._had_terminal = has_terminal() and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
        self._is_announced = False
        self._is_reload_wanted = False
        self._is_reloading = False
        self._kill_at: float | None = None
        """When patience with draining workers ends; None: not stopping."""
        self._exit_code = 0

    def run(self) -> int:
        """Serve until told to stop. The exit code: 0 after a stop, 3 when workers cannot start.

        Raises ConfigError when sockets, store or demo cannot be had; all that was started has been ended then.
        """
        with contextlib.ExitStack() as closing:
            closing.enter_context(self._signals)
            raise_open_files()
            try:
                self._open(closing)
            except Stopped:
                return 0
            while not (self._kill_at is not None and self._pool.is_empty):
                self._turn()
        return self._exit_code

    def _open(self, closing: contextlib.ExitStack) -> None:
        settings = self._settings
        self._listeners = listen(settings.host, settings.port, settings.workers)
        closing.callback(self._listeners.close)
        demo = None
        if self._personalities:
            demo = Demo(self._personalities, pause=self._signals.pause)
            closing.callback(demo.stop)
            demo.begin()  # it needs a tenth of a second, and the store half of that
        if settings.redis_url is None:
            store = EmbeddedStore(settings.data_dir, pause=self._signals.pause)
            closing.callback(store.stop)
            store.start()
            self._watched.append(_Watched(store, monotonic()))
            self._redis_url, self._store_words = store.url, store.description
        else:
            self._redis_url, self._store_words = settings.redis_url.reveal(), settings.redis_url.masked()
        self._check(self._redis_url)
        self._demo_urls: Mapping[str, str] = {}
        if demo is not None:
            demo.start()
            self._watched.append(_Watched(demo, monotonic()))
            self._demo_urls = demo.base_urls
        self._metrics = self._figures_dir(closing)
        self._pool: Pool[P] = Pool(settings.workers, self._start_worker, settings, self._log)
        closing.callback(self._pool.close)
        self._pool.poll(monotonic())

    def _figures_dir(self, closing: contextlib.ExitStack) -> Path | None:
        """Make a place for what workers count: of this process tree alone, gone with it."""
        try:
            figures = FiguresDir()
        except OSError as error:
            self._log.warning(
                f"no directory for temporary files ({error}): /metrics of a worker tells of that one only"
            )
            return None
        closing.callback(figures.close)
        return figures.path

    def _start_worker(self, slot: int, settings: P, now: float) -> Worker:
        def start(control: Control) -> WorkerStart[P]:
            sockets = self._listeners.slots[slot]
            return WorkerStart(slot, settings, sockets, control, self._redis_url, self._demo_urls, self._metrics)

        return Worker(self._worker_main, start, now, is_watched=self._watchdog_s is not None)

    # One turn of the loop

    def _turn(self) -> None:
        wait([self._signals.fileno(), *self._pool.controls()], self._idle_time())
        arrived = self._signals.take()
        now = monotonic()
        # Orders first: a worker that got the same signal as we is not to be replaced.
        if is_stop(arrived) or (signal.SIGHUP in arrived and self._has_lost_terminal()):
            self._stop(now)
        elif signal.SIGHUP in arrived:
            self._is_reload_wanted = True
        self._pool.poll(now)
        for watched in self._watched:  # during a drain too: open exchanges are still to be settled
            self._watch(watched, now)
        self._give_pulse(now)
        if self._kill_at is None:
            self._serve(now)
        elif now >= self._kill_at:
            self._log.warning("workers did not end in time, killing them")
            self._kill_at = float("inf")
            self._pool.kill()

    def _idle_time(self) -> float | None:
        due = [self._pool.next_due(), self._kill_at, self._pulse_at, *(watched.restart_at for watched in self._watched)]
        known = [at for at in due if at is not None and at != float("inf")]
        return max(0.0, min(known) - monotonic()) if known else None

    def _serve(self, now: float) -> None:
        """What is to be done while nobody has asked us to stop."""
        if self._pool.failure is not None:
            self._log.error(self._pool.failure)
            self._exit_code = START_FAILED
            self._stop(now)
            if not self._is_announced:
                self._stop(now)  # nobody was served: at once
            return
        if not self._is_announced and self._pool.is_complete:
            self._is_announced = True
            self._announce(
                Running(
                    os.getpid(),
                    self._listeners.url,
                    self._settings.workers,
                    self._store_words,
                    self._demo_urls,
                    self._redis_url,
                )
            )
            notify.notify(self._notify_socket, notify.READY)
            self._pulse_at = None if self._watchdog_s is None else now
        if self._is_announced and not self._pool.is_rolling:
            self._begin_or_end_reload(now)

    def _give_pulse(self, now: float) -> None:
        """A worker that says nothing keeps it back until systemd ends us all: nothing less frees its connections."""
        if self._watchdog_s is not None and self._pulse_at is not None and now >= self._pulse_at:
            self._pulse_at = now + self._watchdog_s / 3.0
            if self._pool.take_pulse():
                notify.notify(self._notify_socket, notify.WATCHDOG)

    def _watch(self, watched: _Watched, now: float) -> None:
        if watched.restart_at is None and (how := watched.sidecar.how_it_ended()) is not None:
            self._log.warning(f"{watched.sidecar.name} died ({how}), starting it again")
            watched.restart_at = now + watched.delay.after(now - watched.started_at)
        if watched.restart_at is not None and now >= watched.restart_at:
            watched.restart_at = None
            watched.started_at = now
            try:
                watched.sidecar.restart()
            except OSError as error:  # no memory, no room on the disk
                self._log.error(f"{watched.sidecar.name} could not be started ({error}), trying again")
                watched.restart_at = now + watched.delay.after(0.0)

    # Orders

    def _stop(self, now: float) -> None:
        """The first time drain, the second time end at once."""
        if self._kill_at is None:
            self._log.info("stopping")
            notify.notify(self._notify_socket, notify.STOPPING)
            self._kill_at = now + self._settings.drain_delay_s + self._settings.drain_timeout_s + _OVERTIME_S
            self._pool.stop()
            self._listeners.close()  # ours only: when the workers have closed theirs, new connections are refused
        else:
            self._pool.kill()

    def _has_lost_terminal(self) -> bool:
        """Whether SIGHUP has its first meaning: the window we were started in was closed."""
        return self._had_terminal and not has_terminal()

    def _begin_or_end_reload(self, now: float) -> None:
        if self._is_reloading:
            self._is_reloading = False
            notify.notify(self._notify_socket, notify.READY)
        if not self._is_reload_wanted:
            return
        self._is_reload_wanted = False
        try:
            settings = self._reload()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the new settings, the old ones go on
            self._log.error(f"reload refused, the old configuration stays: {in_one_line(error)}")
            return
        if fixed := _fixed_changes(self._bound_settings, settings):
            self._log.warning(f"reload leaves out {', '.join(fixed)}: restart to change that")
        notify.notify(self._notify_socket, notify.reloading())
        self._is_reloading = True
        self._settings = settings
        self._pool.roll(settings)
        self._pool.poll(now)


def _fixed_changes(bound: ProcessSettings, new: ProcessSettings) -> list[str]:
    """The variables whose change needs a restart."""
    changes = {
        "FAIRLEAD_HOST": bound.host != new.host,
        "FAIRLEAD_PORT": bound.port != new.port,
        "FAIRLEAD_WORKERS": bound.workers != new.workers,
        "FAIRLEAD_REDIS_URL": bound.redis_url != new.redis_url,
        "FAIRLEAD_DATA_DIR": bound.data_dir != new.data_dir,
    }
    return [name for name, has_changed in changes.items() if has_changed]
