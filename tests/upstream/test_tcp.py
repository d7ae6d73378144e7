"""What the kernel says of a connection, on the machine that the tests run on."""

import socket
import sys

import pytest

from fairlead.upstream.tcp import look

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is Linux' own")


@pytest.fixture
def tcp_pair(tcp_pair):
    for _ in range(20):  # until the kernel takes them for talkers, whose acknowledgements wait for an answer
        tcp_pair.send(b"request")
        tcp_pair.answer(b"reply")
    return tcp_pair


def test_open_and_counted(tcp_pair):
    """The SYN counts as a byte."""
    assert look(tcp_pair.ours) == (True, 1 + 20 * len(b"request"))
    tcp_pair.send(b"request")
    tcp_pair.answer(b"reply, and with it the acknowledgement")
    assert look(tcp_pair.ours) == (True, 1 + 21 * len(b"request"))


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_close_is_seen_before_it_is_read(tcp_pair, how):
    before = look(tcp_pair.ours)[1]
    getattr(tcp_pair, how)()
    assert look(tcp_pair.ours) == (False, before)


def test_a_fin_tells_what_had_come(tcp_pair):
    before = look(tcp_pair.ours)[1]
    tcp_pair.send(b"request")
    tcp_pair.close()
    assert look(tcp_pair.ours) == (False, before + len(b"request"))


def test_a_reset_does_not(tcp_pair):
    """Hence a reset is never taken for a proof that the request was not read."""
    before = look(tcp_pair.ours)[1]
    tcp_pair.send(b"request")
    tcp_pair.reset()
    assert look(tcp_pair.ours) == (False, before)


def test_nothing_is_known_of_a_closed_socket(tcp_pair):
    tcp_pair.ours.close()
    assert look(tcp_pair.ours) == (True, 0)


def test_nothing_is_known_of_what_is_not_tcp():
    left, right = socket.socketpair()
    with left, right:
        assert look(left) == (True, 0)
