"""The listening sockets: bound once, kept open for the supervisor's whole life.

Each worker slot has a socket of its own (SO_REUSEPORT), so that the kernel spreads connections by hash. 200
connections over 4 workers gave 1.2 to 1.8 between most and least in ten runs; one shared socket 3.7 at best, and
199/1/0/0 at worst. The usual price of SO_REUSEPORT, that the connections queued on a socket are reset when its worker
dies, is not paid: our copy of the socket stays open, and the next worker of the slot accepts what is queued there.
"""

import contextlib
import errno
import socket
import sys
from dataclasses import dataclass
from typing import Any, Final

from fairlead.errors import ConfigError

BACKLOG: Final = 2048

SPREADS: Final = sys.platform == "linux" and hasattr(socket, "SO_REUSEPORT")
"""Whether the kernel balances over sockets on one port. macOS has the option too, but hands all to one of them."""

_PORT_TRIES: Final = 10
"""For a host name with several addresses and port 0: a port free on the first may be taken on the second."""

Slot = tuple[socket.socket, ...]
"""What one worker serves: a socket for each address of the host."""
_Address = tuple[socket.AddressFamily, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Listeners:
    """`slots[i]` is for worker i. Where sockets cannot be balanced, all slots hold the same ones."""

    url: str
    slots: tuple[Slot, ...]

    def close(self) -> None:
        """Close our copies. Connections queued and not yet accepted by a worker are reset."""
        for slot in self.slots:
            for listener in slot:
                listener.close()


def listen(host: str, port: int, slots: int, *, spread: bool = SPREADS) -> Listeners:
    """Bind `host` (name or address, IPv4 or IPv6) and start to queue connections for each slot.

    Port 0 takes a free one; a wildcard IPv6 address takes IPv4 as well. Raises ConfigError.
    """
    addresses = _resolve(host, port)
    for tries_left in reversed(range(_PORT_TRIES if port == 0 else 1)):
        try:
            by_address = _bind_all(addresses, port, slots, spread=spread)
            break
        except OSError as error:
            if not (tries_left and error.errno == errno.EADDRINUSE):
                raise _refusal(error, host, port) from None
    else:  # pragma: no cover
        raise AssertionError("the last try raises")
    for listener in {id(listener): listener for group in by_address for listener in group}.values():
        listener.listen(BACKLOG)
    written_host = f"[{host}]" if ":" in host else host
    return Listeners(f"http://{written_host}:{by_address[0][0].getsockname()[1]}", tuple(zip(*by_address, strict=True)))


def _resolve(host: str, port: int) -> list[_Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"FAIRLEAD_HOST={host}: this name has no address ({error}); use an address of this machine, 127.0.0.1 for"
            " itself only or 0.0.0.0 for all of its networks"
        ) from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bind_all(addresses: list[_Address], port: int, slots: int, *, spread: bool) -> list[list[socket.socket]]:
    """For each address a socket per slot. An address that this machine lacks is left out, unless none remains.

    (`localhost` stands for ::1 too where IPv6 is turned off.)
    """
    with contextlib.ExitStack() as opened:
        groups: list[list[socket.socket]] = []
        missing: OSError | None = None
        for family, address in addresses:
            one_family = len(addresses) == 1
            try:
                group = _bind_slots(opened, family, address, port, slots, spread=spread, v6_only=not one_family)
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error
            else:
                port = group[0].getsockname()[1]
                groups.append(group)
        if not groups and missing is not None:
            raise missing
        opened.pop_all()
        return groups


def _bind_slots(
    opened: contextlib.ExitStack,
    family: socket.AddressFamily,
    address: tuple[Any, ...],
    port: int,
    slots: int,
    *,
    spread: bool,
    v6_only: bool,
) -> list[socket.socket]:
    address = (address[0], port, *address[2:])
    if port:
        # SO_REUSEPORT would let a second fairlead of the same user share the port without a word: ask without it first.
        _bind(family, address, reuse_port=False, v6_only=v6_only).close()
    first = opened.enter_context(_bind(family, address, reuse_port=spread, v6_only=v6_only))
    if not spread:
        return [first] * slots
    address = (address[0], first.getsockname()[1], *address[2:])
    others = [opened.enter_context(_bind(family, address, reuse_port=True, v6_only=v6_only)) for _ in range(slots - 1)]
    return [first, *others]


def _bind(family: socket.AddressFamily, address: tuple[Any, ...], *, reuse_port: bool, v6_only: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6_only)
        listener.bind(address)
    except BaseException:
        listener.close()
        raise
    return listener


def _refusal(error: OSError, host: str, port: int) -> ConfigError:
    match error.errno:
        case errno.EADDRINUSE:
            why = (
                f"FAIRLEAD_PORT={port}: another program listens on {host} port {port}; stop it, or set FAIRLEAD_PORT to"
                " a free one (0 takes any)"
            )
        case errno.EACCES:
            why = (
                f"FAIRLEAD_PORT={port}: a port below 1024 needs a privilege; set FAIRLEAD_PORT to 1024 or more, or give"
                " the program CAP_NET_BIND_SERVICE"
            )
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            why = (
                f"FAIRLEAD_HOST={host}: this machine has no such address; use 127.0.0.1 for itself only, 0.0.0.0 for"
                " all of its networks"
            )
        case _:
            why = f"FAIRLEAD_HOST={host}, FAIRLEAD_PORT={port}: cannot listen there ({error.strerror})"
    return ConfigError(why)
