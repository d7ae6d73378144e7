"""A real Valkey (or Redis), empty, without persistence, for as long as a test needs it."""

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

from redis import Redis
from redis.exceptions import RedisError

from fairlead.store.embedded import find_server
from harness.process import until


class Valkey:
    """`start`, `kill`, `start` again as often as a test likes (what was stored is gone then); `close` at the end.

    It listens on a unix socket, and on loopback as well if its `settings` (with _ for -) have a `port`.
    """

    def __init__(self, **settings):
        self.directory = Path(tempfile.mkdtemp(prefix="flt-"))  # a socket's path must be short
        """With all its files."""
        self._process = None
        self.settings = {"port": 0, "unixsocket": self.directory / "s", "save": "", **settings}
        self.port = self.settings["port"]
        self.url = f"unix://{quote(str(self.directory / 's'))}"

    def start(self):
        """Return once it answers."""
        settings = {"bind": "127.0.0.1", "dir": self.directory, **self.settings}
        self._run(*(word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))))
        return self

    def _run(self, *words, mark="accept connections"):
        """Start the process, and wait until it says so in its log."""
        said = self.directory / "log"
        with open(said, "wb") as log:
            self._process = subprocess.Popen([find_server().path, *words], stdin=subprocess.DEVNULL, stdout=log)
        until(lambda: mark in said.read_text() or self._process.poll() is not None)
        assert self._process.poll() is None, said.read_text()

    @property
    def is_running(self):
        return self._process is not None

    def ask(self, *words):
        """What it answers on its port; None if it does not, or does not like the question."""
        with Redis.from_url(f"redis://127.0.0.1:{self.port}", decode_responses=True) as client:
            try:
                return client.execute_command(*words)
            except RedisError:
                return None

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self):
        """It takes connections and bytes, as its kernel does that, and answers nothing until `thaw`."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def close(self):
        self.kill()
        shutil.rmtree(self.directory)


class SentinelProcess(Valkey):
    """It watches the server on `master_port` under the name `main`, and takes none for dead: it must be told."""

    def __init__(self, port, master_port):
        super().__init__(port=port)
        self._master_port = master_port

    def start(self):
        file = self.directory / "conf"  # which it writes to
        file.write_text(
            f"port {self.port}\n"
            "bind 127.0.0.1\n"
            f"dir {self.directory}\n"
            f"sentinel monitor main 127.0.0.1 {self._master_port} 1\n"
            "sentinel down-after-milliseconds main 60000\n"
        )
        self._run(str(file), "--sentinel", mark="+monitor")
        for period in ("info-period", "ping-period"):  # how soon it sees a replica, and that it has become master
            self.ask("SENTINEL", "DEBUG", period, "50")
        return self


def free_port(port=0):
    """A port of loopback (this one if it is free) for what cannot listen on port 0.

    A connection in TIME_WAIT holds it: the kernel gives it to nobody, and a server that asks for it by number has it.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # whoever comes after us does so as well
        listener.bind(("127.0.0.1", port))
        listener.listen()
        with socket.create_connection(listener.getsockname()) as caller:
            listener.accept()[0].close()  # who closes first is the one that waits
            caller.recv(1)
        return listener.getsockname()[1]


def free_cluster_port():
    """One for a node of a cluster, which talks with the others 10 000 further on (before Redis 7 always)."""
    while True:
        with contextlib.suppress(OSError, OverflowError):
            port = free_port()
            free_port(port + 10_000)
            return port
