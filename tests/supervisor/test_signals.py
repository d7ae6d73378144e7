import os
import pty
import select
import signal
import subprocess
import sys

import pytest

from fairlead.supervisor.signals import Signals, Stopped, is_stop, terminal_signals_blocked

WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@pytest.fixture
def signals():
    with Signals() as entered:
        yield entered


def test_signals_become_readable_in_order(signals):
    assert signals.take() == []
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.raise_signal(number)
    assert select.select([signals], [], [], 10)[0]
    assert signals.take() == [signal.SIGHUP, signal.SIGTERM, signal.SIGINT]
    assert signals.take() == []


def test_a_child_that_ends_is_a_signal(signals):
    with subprocess.Popen([sys.executable, "-S", "-c", ""]):
        assert select.select([signals], [], [], 10)[0]
        assert signals.take() == [signal.SIGCHLD]


def test_pause_ends_early_for_a_stop_only_by_an_exception(signals):
    signal.raise_signal(signal.SIGHUP)
    signals.pause(60)
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Stopped):
        signals.pause(60)


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in WATCHED]
    with Signals():
        assert [signal.getsignal(number) for number in WATCHED] != before
    assert [signal.getsignal(number) for number in WATCHED] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_only_term_and_int_stop():
    assert is_stop([signal.SIGHUP, signal.SIGINT])
    assert is_stop([signal.SIGTERM])
    assert not is_stop([signal.SIGHUP, signal.SIGCHLD])


def test_a_child_started_inside_never_sees_ctrl_c_and_ours_is_not_lost(signals):
    program = "import signal, sys; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    with terminal_signals_blocked():
        signal.raise_signal(signal.SIGINT)
        assert signals.take() == []
        said = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True).stdout
    assert "SIGINT" in said
    assert "SIGHUP" in said
    assert "SIGTERM" not in said
    assert signal.SIGINT in signals.take()
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_closed_terminal_is_noticed():
    ours, theirs = pty.openpty()
    program = (
        "import os, signal, sys; from fairlead.supervisor.signals import has_terminal;"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP]); print(has_terminal());"
        "os.open(sys.argv[1], os.O_RDWR); print(has_terminal(), flush=True);"
        "signal.sigwait([signal.SIGHUP]); print(has_terminal())"
    )
    command = [sys.executable, "-c", program, os.ttyname(theirs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as child:
        os.close(theirs)
        assert child.stdout.readline() == "False\n"
        assert child.stdout.readline() == "True\n"
        os.close(ours)
        assert child.stdout.readline() == "False\n"
