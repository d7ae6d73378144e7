"""Whose request it is, where load balancers stand before us: what those say that are trusted, and nobody else.

Pure. `trusted` are the networks of FAIRLEAD_TRUSTED_PROXIES.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

_V6_PREFIX = 64
"""Who has one address of IPv6 has 2**64 of them."""


def client_address(peer: str, forwarded: bytes, trusted: Sequence[Network]) -> str:
    """Return whose request it is: the last of `X-Forwarded-For` that no trusted proxy has added, else the peer.

    Of IPv6 the network. A peer that is no address (a unix socket) counts as trusted.
    """
    hops = [peer, *(hop.strip() for hop in reversed(forwarded.decode("latin-1").split(",")) if hop.strip())]
    found = peer
    for hop in hops:
        try:
            address = _parsed(hop.removeprefix("[").partition("]")[0])
        except ValueError:
            if hop is peer:
                continue
            break
        found = str(address)
        if not _is_in(address, trusted):
            break
    return _network_of(found)


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Whether what `peer` says of the caller counts. One that is no address (a unix socket) does."""
    try:
        return _is_in(_parsed(peer), trusted)
    except ValueError:
        return True


def _is_in(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _parsed(text: str) -> IPv4Address | IPv6Address:
    """Return an address; of `::ffff:192.0.2.1`, as callers are called where a socket takes both kinds, the IPv4 one.

    Raises ValueError.
    """
    address = ip_address(text)
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _network_of(address: str) -> str:
    try:
        parsed = _parsed(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(IPv6Network((int(parsed) >> (128 - _V6_PREFIX) << (128 - _V6_PREFIX), _V6_PREFIX)))
