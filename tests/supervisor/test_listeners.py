import contextlib
import errno
import socket

import pytest

from fairlead.errors import ConfigError
from fairlead.supervisor.listeners import SPREADS, listen


@pytest.fixture
def bind():
    """`listen`, with everything closed after the test."""
    with contextlib.ExitStack() as opened:

        def bound(*args, **options):
            listeners = listen(*args, **options)
            opened.callback(listeners.close)
            return listeners

        yield bound


def port_of(listeners):
    return int(listeners.url.rpartition(":")[2])


def has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
needs_spread = pytest.mark.skipif(not SPREADS, reason="the kernel does not balance over sockets")


@needs_spread
def test_each_slot_has_a_socket_of_its_own_on_one_port(bind):
    listeners = bind("127.0.0.1", 0, 4)
    sockets = [listener for slot in listeners.slots for listener in slot]
    assert len(set(map(id, sockets))) == 4
    assert {listener.getsockname() for listener in sockets} == {("127.0.0.1", port_of(listeners))}


@needs_spread
def test_connections_spread_over_the_slots(bind):
    listeners = bind("127.0.0.1", 0, 2)
    with contextlib.ExitStack() as opened:
        for _ in range(64):
            opened.enter_context(socket.create_connection(("127.0.0.1", port_of(listeners))))
        counts = [accept_all(opened, slot[0]) for slot in listeners.slots]
    assert sum(counts) == 64
    assert min(counts) > 0  # all on one side: 2 in 2 to the 64th


def accept_all(opened, listener):
    listener.setblocking(False)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            opened.enter_context(listener.accept()[0])
            count += 1
    return count


def test_one_socket_is_shared_where_the_kernel_does_not_balance(bind):
    listeners = bind("127.0.0.1", 0, 3, spread=False)
    assert len({id(listener) for slot in listeners.slots for listener in slot}) == 1
    with socket.create_connection(("127.0.0.1", port_of(listeners))):
        pass


@pytest.mark.parametrize("spread", [pytest.param(True, marks=needs_spread), False])
def test_a_port_in_use_is_refused_though_it_could_be_shared(bind, spread):
    taken = port_of(bind("127.0.0.1", 0, 2))
    with pytest.raises(
        ConfigError, match=rf"^FAIRLEAD_PORT={taken}: another program listens on 127.0.0.1 port {taken};"
    ):
        listen("127.0.0.1", taken, 2, spread=spread)
    with pytest.raises(ConfigError, match="another program"):
        listen("0.0.0.0", taken, 2, spread=spread)


def test_a_port_can_be_bound_again_at_once(bind):
    first = bind("127.0.0.1", 0, 2)
    with socket.create_connection(("127.0.0.1", port_of(first))):
        server, _ = first.slots[0][0].accept() if not SPREADS else accept_any(first)
        server.close()  # first: its side keeps the port in TIME_WAIT
    first.close()
    assert bind("127.0.0.1", port_of(first), 2).url == first.url


def accept_any(listeners):
    for slot in listeners.slots:
        slot[0].setblocking(False)
        with contextlib.suppress(BlockingIOError):
            return slot[0].accept()
    raise AssertionError("nothing was queued")


@needs_ipv6
def test_an_ipv6_address_is_written_in_brackets(bind):
    listeners = bind("::1", 0, 2)
    assert listeners.url == f"http://[::1]:{port_of(listeners)}"
    with socket.create_connection(("::1", port_of(listeners))):
        pass


@needs_ipv6
def test_the_ipv6_wildcard_takes_ipv4_too(bind):
    listeners = bind("::", 0, 2)
    with socket.create_connection(("127.0.0.1", port_of(listeners))):
        pass


def test_a_name_is_bound_at_each_of_its_addresses(bind, monkeypatch):
    answers(monkeypatch, (socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_INET, ("127.0.0.2", 0)))
    listeners = bind("some.name", 0, 2)
    assert listeners.url == f"http://some.name:{port_of(listeners)}"
    for slot in listeners.slots:
        assert [listener.getsockname() for listener in slot] == [
            ("127.0.0.1", port_of(listeners)),
            ("127.0.0.2", port_of(listeners)),
        ]


def test_an_address_that_the_machine_lacks_is_left_out(bind, monkeypatch):
    answers(monkeypatch, (socket.AF_INET, ("192.0.2.1", 0)), (socket.AF_INET, ("127.0.0.1", 0)))
    assert [len(slot) for slot in bind("some.name", 0, 2).slots] == [1, 1]


def answers(monkeypatch, *addresses):
    """The resolver, which a test must not depend on."""
    found = [(family, socket.SOCK_STREAM, 6, "", address) for family, address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)


def test_wrong_hosts_are_named_with_a_remedy():
    with pytest.raises(ConfigError, match=r"^FAIRLEAD_HOST=192.0.2.1: this machine has no such address; use 127"):
        listen("192.0.2.1", 0, 1)
    with pytest.raises(ConfigError, match=r"^FAIRLEAD_HOST=not a name: this name has no address"):
        listen("not a name", 0, 1)


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.EACCES, "FAIRLEAD_PORT=80: a port below 1024"),
        (errno.ENOBUFS, "FAIRLEAD_HOST=127.0.0.1, FAIRLEAD_PORT=80"),
    ],
)
def test_other_refusals_of_the_system(monkeypatch, number, why):
    def refuse(*args):
        raise OSError(number, "no")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(ConfigError, match=why):
        listen("127.0.0.1", 80, 1)
