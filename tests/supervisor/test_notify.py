import contextlib
import re
import socket
import sys

import pytest

from fairlead.supervisor.notify import READY, notify, reloading


@pytest.fixture
def listener():
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.settimeout(10)
        yield systemd


def test_sends_to_a_path(listener, tmp_path):
    listener.bind(str(tmp_path / "notify"))
    notify(str(tmp_path / "notify"), READY)
    assert listener.recv(64) == b"READY=1"


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_sends_to_an_abstract_address(listener):
    listener.bind("")  # the kernel picks one
    notify("@" + listener.getsockname()[1:].decode(), reloading())
    assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", listener.recv(64))


def test_nobody_needs_to_listen(tmp_path):
    notify(None, READY)
    notify("", READY)
    notify(str(tmp_path / "nothing"), READY)
