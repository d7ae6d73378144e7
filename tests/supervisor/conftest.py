"""A whole process tree under test, and what is needed to look at it. Nothing waits without a limit."""

import contextlib
import http.client
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.clock import monotonic
from harness.process import children, command_line

PROGRAM = Path(__file__).parent.parent / "programs" / "tiny_gateway.py"
LIMIT_S = 30.0


class Gateway:
    """`tiny_gateway.py` as a child, with a session of its own so that a test can be its Ctrl-C."""

    def __init__(self, directory, *arguments):
        self.directory = directory
        self.arguments = arguments
        self.settings_path = directory / "settings.json"
        self.process = None
        self.seen = set()
        self.events = []
        self.heard = b""
        self.url = ""

    def start(self, **settings):
        self.configure(**settings)
        with (self.directory / "stderr").open("wb") as stderr:
            self.process = subprocess.Popen(
                self.command(),
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        return self

    def command(self):
        return [sys.executable, str(PROGRAM), str(self.settings_path), *self.arguments]

    def configure(self, **settings):
        settings.setdefault("data_dir", str(self.directory.parent / "data"))
        self.settings_path.write_text(json.dumps(settings))

    def serve(self, **settings):
        """Start, and return what was announced once all workers serve."""
        self.start(**settings)
        running = self.expect("running")
        self.url = running["url"]
        self.note_processes()
        return running

    # What it says

    def expect(self, kind, text=""):
        """The next event of this kind that has `text`; those before it are dropped."""
        deadline = monotonic() + LIMIT_S
        while True:
            while self.events:
                event = self.events.pop(0)
                if event["log"] == kind and text in event["text"]:
                    return event
            left = max(0, deadline - monotonic())
            assert select.select([self.process.stdout], [], [], left)[0], f"no {kind} {text!r}: {self.stderr()}"
            part = os.read(self.process.stdout.fileno(), 65536)
            assert part, f"ended before {kind} {text!r}: {self.stderr()}"
            *lines, self.heard = (self.heard + part).split(b"\n")
            self.events += map(json.loads, lines)

    def stderr(self):
        return (self.directory / "stderr").read_text()

    def wait(self):
        return self.process.wait(LIMIT_S)

    # What it serves

    def connect(self):
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return contextlib.closing(http.client.HTTPConnection(host.strip("[]"), int(port), timeout=LIMIT_S))

    def get(self, path="/show"):
        with self.connect() as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    # Its processes

    def signal(self, number):
        self.note_processes()
        self.process.send_signal(number)

    def workers(self):
        return sorted(pid for pid in children(self.process.pid) if b"spawn_main" in command_line(pid))

    def child(self, word):
        [pid] = [pid for pid in children(self.process.pid) if word in command_line(pid)]
        return pid

    def note_processes(self):
        self.seen |= set(children(self.process.pid))

    def close(self):
        if self.process is None:
            return
        self.note_processes()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        for pid in self.seen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Stream:
    """An exchange with `/echo` that goes on for as long as the test wants."""

    def __init__(self, connection):
        self.connection = connection
        connection.putrequest("POST", "/echo")
        connection.putheader("transfer-encoding", "chunked")
        connection.endheaders()
        self.send(b"hello")
        self.response = connection.getresponse()
        assert self.response.read(5) == b"hello"

    def send(self, part):
        self.connection.send(b"%x\r\n%s\r\n" % (len(part), part))

    def finish(self):
        """The rest of the reply."""
        self.send(b"")
        return self.response.read()


def wait_until_gone(pids):
    """Return once each of these processes, children of ours or not, has ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            watched = os.pidfd_open(pid)
            try:
                assert select.select([watched], [], [], LIMIT_S)[0], f"process {pid} ({command_line(pid)}) lives on"
            finally:
                os.close(watched)


@pytest.fixture
def new_gateway(tmp_path):
    """Makes gateways that share a data directory; each is ended with all its processes."""
    with contextlib.ExitStack() as made:

        def make(name="first", *arguments):
            (tmp_path / name).mkdir()
            gateway = Gateway(tmp_path / name, *arguments)
            made.callback(gateway.close)
            return gateway

        yield make


@pytest.fixture
def gateway(new_gateway):
    return new_gateway()


@pytest.fixture
def open_stream(gateway):
    with contextlib.ExitStack() as opened:
        yield lambda: Stream(opened.enter_context(gateway.connect()))


@pytest.fixture(name="wait_until_gone")
def wait_until_gone_fixture():
    return wait_until_gone
