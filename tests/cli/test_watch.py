"""On a real terminal, with a gateway that a test plays."""

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fairlead.cli.watch import ENTER, LEAVE, Watch
from harness.command import COMMAND, clean_environ
from harness.process import PATIENCE_S

from .test_screen import EJECTED, row, view

KEY = "sk-0123456789abcdef"


class Played(ThreadingHTTPServer):
    """Answers with what a test has set; events are sent while `is_open`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.view = view(row(), EJECTED)
        self.status = 200
        self.events = b'event: ejected\ndata: {"at": 1, "endpoint": "bad:acme/large", "why": "w"}\n\n'
        self.keys = set()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.keys.add(self.headers["authorization"])
        if self.path.startswith("/admin/v1/endpoints"):
            body = json.dumps(self.server.view if self.server.status == 200 else {"error": {"message": "busy"}})
            self.send_response(self.server.status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.server.events)

    def log_message(self, *_):
        """Nothing to say."""


@pytest.fixture
def played():
    with Played() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Terminal:
    """`fairlead top` on a terminal of 30 lines and 120 columns."""

    def __init__(self, process, master):
        self.process = process
        self._master = master
        self.shown = ""

    def until(self, text, after=0):
        """Read until `text` has been shown (past the first `after` characters of everything)."""
        while text not in self.shown[after:]:
            ready, _, _ = select.select([self._master], [], [], PATIENCE_S)
            assert ready, self.shown
            try:
                data = os.read(self._master, 65_536)
            except OSError:  # the other side is closed
                data = b""
            assert data, self.shown
            self.shown += data.decode()
        return self.shown

    def end(self, number):
        self.process.send_signal(number)
        self.until(LEAVE)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def terminal(tmp_path, played):
    """Starts it."""
    with contextlib.ExitStack() as stack:

        def start(*arguments, **variables):
            master, slave = pty.openpty()
            stack.callback(os.close, master)
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
            env = clean_environ(tmp_path, FAIRLEAD_PORT=str(played.server_port), FAIRLEAD_ADMIN_KEY=KEY, **variables)
            process = subprocess.Popen(
                [*COMMAND, "top", "--interval", "0.1", *arguments], env=env, stdin=slave, stdout=slave, stderr=slave,
                cwd=tmp_path, start_new_session=True,
            )  # fmt: skip
            os.close(slave)
            stack.callback(process.wait, PATIENCE_S)
            stack.callback(process.kill)
            return Terminal(process, master)

        yield start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_drawn_again_until_told_to_end_and_leaves_the_terminal_as_it_was(terminal, played, number):
    top = terminal()
    shown = top.until("acme/large")
    assert shown.startswith(ENTER)
    top.until("  ejected    bad:acme/large  w")
    played.view = view(row(model="acme/other"))
    shown = top.until("acme/other")
    assert top.end(number) == 0
    assert top.shown.rstrip().endswith(LEAVE)
    assert "Traceback" not in shown
    assert played.keys == {f"Bearer {KEY}"}


class Deaf:
    """A gateway in whose answer an interrupt is lost, as in a finalizer that happens to run."""

    url = "http://deaf"

    def __init__(self, number):
        self._number = number
        self._looks = 0

    def get_json(self, _):
        self._looks += 1
        assert self._looks < 5, "it goes on"
        if self._looks == 2:
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(self._number)
        return view(row())

    def events(self, _):
        threading.Event().wait()  # nothing happens there


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_is_lost_on_the_way_ends_it_all_the_same(number, capsys):
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        Watch(Deaf(number), "/", "", 0.001, use_color=False).run()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert capsys.readouterr().out.endswith(LEAVE)


def test_what_is_ejected_is_red_unless_colour_is_not_wanted(terminal):
    top = terminal()
    top.until("\x1b[31macme/large  bad")
    assert top.end(signal.SIGINT) == 0
    top = terminal(NO_COLOR="1")
    top.until("acme/large  bad")
    assert top.end(signal.SIGINT) == 0
    assert "\x1b[31m" not in top.shown


def test_a_gateway_that_does_not_answer_for_a_while_is_waited_for(terminal, played):
    top = terminal()
    top.until("1 of 2 endpoints healthy")
    played.status = 503
    at = len(top.until("answered 503: busy"))
    played.status = 200
    top.until(f"fairlead http://127.0.0.1:{played.server_port}", after=at)
    assert top.end(signal.SIGINT) == 0


def test_what_is_wrong_at_first_ends_it_before_the_screen_is_taken(terminal, played):
    played.status = 503
    top = terminal()
    top.until("answered 503: busy")
    assert top.process.wait(PATIENCE_S) == 1
    assert ENTER not in top.shown


def test_once_leaves_the_terminal_alone(terminal):
    top = terminal("--once")
    top.until("acme/large  lab")
    assert top.process.wait(PATIENCE_S) == 0
    assert ENTER not in top.shown
