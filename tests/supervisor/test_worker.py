import multiprocessing
import os
import select
import signal
import socket

import pytest

from fairlead.errors import ConfigError
from fairlead.supervisor.worker import Control, State, Worker, WorkerStart, how_ended, in_one_line
from programs.tiny_worker import worker_main


@pytest.fixture
def launch():
    """Start a real worker process; it is ended with the test."""
    launched = []

    def start(settings, sockets=()):
        def worker_start(control):
            return WorkerStart(1, settings, tuple(sockets), control, "redis://here", {"demo": "http://there"})

        launched.append(Worker(worker_main, worker_start, 0.0))
        return launched[-1]

    yield start
    for worker in launched:
        worker.kill()
        worker.reap()


def observe_until(worker, state):
    while worker.state is not state:
        assert worker.control is None or select.select([worker.control], [], [], 30)[0]
        worker.observe()


def pid_of(worker):
    return worker._process.pid


def test_says_when_it_serves_and_ends_when_let_go(launch):
    worker = launch("serve")
    assert worker.state is State.STARTING
    observe_until(worker, State.READY)
    worker.let_go()
    assert worker.control is None
    observe_until(worker, State.ENDED)
    assert (worker.was_ready, worker.ending) == (True, "exit code 0")


def test_says_that_it_leaves(launch):
    worker = launch("drain")
    observe_until(worker, State.READY)
    worker.terminate()
    observe_until(worker, State.LEAVING)
    worker.let_go()
    observe_until(worker, State.ENDED)
    assert worker.ending == "exit code 0"


def test_gets_its_sockets_and_words(launch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        worker = launch("accept", [listener])
        pid = pid_of(worker)
        with socket.create_connection(listener.getsockname(), timeout=30) as client:
            assert client.recv(100) == b"from %d, with redis://here" % pid


@pytest.mark.parametrize(
    ("settings", "was_ready", "ending"),
    [
        ("refuse", False, "FAIRLEAD_X: no good"),
        ("crash", True, "signal 9"),
        ("give up", True, "exit code 7"),
        ("return", False, "exit code 0"),
    ],
)
def test_how_it_ended_is_known(launch, settings, was_ready, ending):
    worker = launch(settings)
    observe_until(worker, State.ENDED)
    assert (worker.was_ready, worker.ending) == (was_ready, ending)
    worker.terminate()  # nobody is hit
    worker.kill()
    worker.reap()


def test_ctrl_c_does_not_reach_it(launch):
    worker = launch("serve")
    os.kill(pid_of(worker), signal.SIGINT)  # before its first line, too
    os.kill(pid_of(worker), signal.SIGHUP)
    observe_until(worker, State.READY)
    os.kill(pid_of(worker), signal.SIGINT)
    worker.terminate()
    observe_until(worker, State.ENDED)
    assert worker.ending == "signal 15"


def test_a_system_that_starts_no_process_is_a_failed_start(launch, monkeypatch):
    def refuse(*args):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("multiprocessing.popen_spawn_posix.util.spawnv_passfds", refuse)
    worker = launch("serve")
    assert (worker.state, worker.was_ready) == (State.ENDED, False)
    assert "Resource temporarily unavailable" in worker.ending
    worker.observe()
    worker.reap()


def test_errors_are_told_in_one_line():
    assert how_ended(-11) == "signal 11"
    assert in_one_line(ConfigError("a\n b")) == "a b"
    with pytest.raises(KeyError) as caught:
        {}["x"]
    assert in_one_line(caught.value).startswith("KeyError: 'x' (test_worker.py:")


def test_it_says_that_it_lives_if_somebody_wants_to_hear_it_and_never_waits():
    ours, theirs = multiprocessing.Pipe()
    Control(theirs).alive()
    assert not ours.poll()
    control = Control(theirs, is_watched=True)
    for _ in range(100_000):  # far more than the pipe holds
        control.alive()
    assert ours.recv_bytes() == b"alive"
    ours.close()
    control.alive()
    theirs.close()
