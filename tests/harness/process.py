"""`fairlead serve` as its users start it: processes with a directory, an environment and a port of their own."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import fairlead
from fairlead import clock
from fairlead.store.embedded import url_of_running
from harness import shown

PROGRAM = (sys.executable, "-m", "fairlead")
SERVE = (*PROGRAM, "serve")
SOURCE = str(Path(fairlead.__file__).parents[1])
"""The children's PYTHONPATH: they run what the tests import, whatever is installed."""
PATIENCE_S = 30.0
"""Bound of every wait here: what takes longer never comes. Nothing is asserted about anything below it."""
LOOK_S = 0.005

HASTE = {"FAIRLEAD_DRAIN_DELAY_S": "0", "FAIRLEAD_DRAIN_TIMEOUT_S": "2"}
"""Tests that are not about draining need not wait for it."""

_URL = re.compile(r"base URLs +(http://\S+?)/v1 ")
_NEW_KEY = re.compile(r"key +(\S+) +\(new; shown only this once\)")
_NEW_ADMIN_KEY = re.compile(r"admin key +(\S+) +\(shown only this once\)")
_LAST_OF_SUMMARY = "    -d "


class GatewayProcess:
    """One start of the gateway. `with` starts it, waits until it serves, and ends it with all its processes.

    `env` is its whole environment but for what any program needs; `directory` its working directory, home and, unless
    `env` says otherwise, the place of its data. Two starts in the same directory are one installation. `secrets` must
    never be printed: the end of the `with` block fails if one was. `command` is another way to start it.
    """

    def __init__(self, directory, env=None, *, secrets=(), command=SERVE):
        self.directory = Path(directory)
        self._command = command
        self.env = {"FAIRLEAD_PORT": "0", "FAIRLEAD_DATA_DIR": str(self.directory / "data"), **HASTE, **(env or {})}
        self.secrets = set(secrets)
        for name, value in self.env.items():
            if name.endswith(("API_KEY", "API_KEYS", "ADMIN_KEY")):
                self.secrets.update(value.split(","))
        self.lines = []
        """All that was printed so far, both outputs, without line ends."""
        self.url = ""
        """Without a path; `base_url` is what a client of OpenAI's is given."""
        self.new_key = None
        """The first key of the installation, if this start created it."""
        self.new_admin_key = None
        """The admin key, if this start made it."""
        self._printed = threading.Condition()
        self._is_silent = False
        self._process = None
        self._reader = None

    # Start and end

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.close()
        if kind is None:
            self.check_secrets()

    def start(self):
        """Return once it serves. Raises AssertionError with what it printed if it ends before."""
        self.launch()
        try:
            self.expect(_LAST_OF_SUMMARY)
        except BaseException:
            self.close()
            raise
        self.url = _URL.search(self.output)[1]
        if (created := _NEW_KEY.search(self.output)) is not None:
            self.new_key = created[1]
            self.secrets.add(self.new_key)
        if (made := _NEW_ADMIN_KEY.search(self.output)) is not None:
            self.new_admin_key = made[1]
        self.secrets.update(filter(None, [self.admin_key]))
        for pid in (self.pid, *children(self.pid)):
            shown.look_through(f"arguments of process {pid}", command_line(pid), self._credentials)
        return self

    def launch(self):
        """Start it without waiting for anything."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            self._command,
            cwd=self.directory,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="output of the gateway")
        self._reader.start()

    def _environment(self):
        path = os.environ.get("PATH", os.defpath)  # noqa: TID251 - for the child: where a store's binary may be
        return {"PATH": path, "HOME": str(self.directory), "PYTHONPATH": SOURCE, **self.env}

    def _read(self):
        for line in self._process.stdout:
            with self._printed:
                self.lines.append(line.rstrip("\n"))
                self._printed.notify_all()
        with self._printed:
            self._is_silent = True  # every process of the tree has ended
            self._printed.notify_all()

    def close(self):
        """End it at once, if it still runs; returns when none of its processes is left."""
        if self._process is None:
            return
        self._look_through_pages()
        self._end()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            kill([self.pid, *children(self.pid)])
            raise
        finally:
            self._reader.join(PATIENCE_S)
            self._process.stdout.close()
            shown.look_through_output(f"output of the gateway in {self.directory}", self.output, self._credentials)
            shown.look_through_files(self.env["FAIRLEAD_DATA_DIR"], self._credentials)

    def _end(self):
        """Tell it to end, and not to wait: by a second signal, which is none while the first has not been seen."""
        for pause_s in (0.02, *[0.5] * int(PATIENCE_S)):
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(pause_s)
                return

    def _look_through_pages(self):
        """What anybody may read, while there is somebody to ask."""
        if not self.url or self._process.poll() is not None:
            return
        for path in ("/metrics", "/readyz?verbose"):
            connection = http.client.HTTPConnection(self.host, self.port, timeout=1.0)
            with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", path)
                shown.look_through(f"{self.url}{path}", connection.getresponse().read(), self._credentials)

    @property
    def _credentials(self):
        return shown.credentials(self.env)

    def wait(self):
        """Return the exit code once it has ended by itself."""
        return self._process.wait(PATIENCE_S)

    def check_secrets(self):
        """Fail if a secret was printed. Only a key just created may be, and that in the summary alone."""
        for number, line in enumerate(self.lines):
            shown = {self.new_key, self.new_admin_key} if number < self.summary_ends else set()
            for secret in self.secrets - shown:
                assert secret not in line, f"a secret was printed: {line.replace(secret, '…')}"

    # What it says

    @property
    def output(self):
        return "\n".join(self.lines)

    def expect(self, text, after=0):
        """Return the first line (not counting the first `after` of them) that has `text`, now or when it comes."""
        deadline = clock.monotonic() + PATIENCE_S
        with self._printed:
            while True:
                for line in self.lines[after:]:
                    if text in line:
                        return line
                left_s = deadline - clock.monotonic()
                assert not self._is_silent, f"ended without {text!r}:\n{self.output}"
                assert left_s > 0, f"no {text!r} in:\n{self.output}"
                self._printed.wait(left_s)

    @property
    def summary_ends(self):
        """The number of lines up to the end of the start-up summary; what follows is the log."""
        return next((n for n, line in enumerate(self.lines, 1) if line.startswith(_LAST_OF_SUMMARY)), 0)

    def request(self, request_id):
        """Return the log line of one request (a generation id will do), decoded, now or when it comes."""
        return json.loads(self.expect(f'"request_id":"{request_id}"'))

    # Where it is

    @property
    def admin_key(self):
        """The one in use, as somebody else on this machine finds it; None if there is none."""
        with contextlib.suppress(OSError):
            return (
                self.env.get("FAIRLEAD_ADMIN_KEY")
                or Path(self.env["FAIRLEAD_DATA_DIR"], "admin.key").read_text().strip()
            )

    @property
    def base_url(self):
        return f"{self.url}/v1"

    @property
    def host(self):
        return self.url.removeprefix("http://").rpartition(":")[0]

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])

    # Its processes

    @property
    def pid(self):
        return self._process.pid

    def signal(self, number):
        self._process.send_signal(number)

    def workers(self):
        """The pids of the worker processes, draining ones included."""
        return sorted(pid for pid in children(self.pid) if b"spawn_main" in command_line(pid))

    def store_pid(self):
        [pid] = [pid for pid in children(self.pid) if b"state.sock" in command_line(pid)]
        return pid

    def store_url(self):
        """Of the embedded store; None while it does not answer."""
        return url_of_running(Path(self.env["FAIRLEAD_DATA_DIR"]))

    # Its command line

    def run(self, *arguments):
        """Run another `fairlead` command with the same environment; return what it printed."""
        done = subprocess.run(
            [*PROGRAM, *arguments],
            cwd=self.directory,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if arguments[:2] != ("keys", "create"):  # which is there to tell one
            shown.look_through(f"fairlead {' '.join(arguments)}", done.stdout + done.stderr, self._credentials)
        assert done.returncode == 0, f"fairlead {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def create_key(self, name):
        """Return a new inference key; it is among the secrets from now on."""
        key = self.run("keys", "create", "--name", name).strip()
        self.secrets.add(key)
        return key


def children(pid):
    """The pids of the processes that `pid` started, as long as they live."""
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def command_line(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def resident_bytes(pid):
    """Memory of a process that is its own: what it shares (code, the kernel's buffers) is not counted."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


def kill(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def until(condition):
    """Return what `condition()` does once that is true. For what cannot be waited for otherwise."""
    deadline = clock.monotonic() + PATIENCE_S
    while not (met := condition()):
        assert clock.monotonic() < deadline, "it never came true"
        time.sleep(LOOK_S)
    return met
