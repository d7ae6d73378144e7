"""A real Valkey (or Redis) on a unix socket, empty, without persistence, for as long as a test needs it."""

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

from fairlead.store.embedded import find_server


class Valkey:
    """`start`, `kill`, `start` again as often as a test likes (what was stored is gone then); `close` at the end."""

    def __init__(self):
        self._dir = Path(tempfile.mkdtemp(prefix="flt-"))  # a socket's path must be short
        self._process = None
        self.url = f"unix://{quote(str(self._dir / 's'))}"

    def start(self):
        """Return once it answers: it says so in its log, the end of which is the end of the process."""
        settings = {"port": "0", "unixsocket": str(self._dir / "s"), "dir": str(self._dir), "save": ""}
        self._process = subprocess.Popen(
            [find_server().path, *(word for name, value in settings.items() for word in (f"--{name}", value))],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        said = []
        for line in self._process.stdout:
            said.append(line)
            if "accept connections" in line:
                return self
        raise AssertionError("".join(said))

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    def freeze(self):
        """It takes connections and bytes, as its kernel does that, and answers nothing until `thaw`."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def close(self):
        self.kill()
        shutil.rmtree(self._dir)
