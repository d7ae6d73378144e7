"""Slows down whoever guesses keys: after some refusals an address is told to wait.

Keys cannot be guessed (256 random bits); management keys and admin keys that people have chosen may be. Each worker
counts for itself. A key that this worker knows works from any address, so that one bad neighbour behind a shared
address locks nobody out.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from fairlead.edge.downstream import Scope
from fairlead.errors import ApiError

BURST = 10
"""Refusals at once."""
INTERVAL_S = 6.0
"""And one more for each such time."""
MAX_ADDRESSES = 10_000
_V6_PREFIX = 64
"""Who has one address of IPv6 has 2**64 of them."""

Network = IPv4Network | IPv6Network


class Brake:
    """Counts refusals by address (generic cell rate algorithm). Times are monotonic seconds.

    `trusted`: whose word about the caller's address counts.
    """

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = trusted
        self._free_at: dict[str, float] = {}
        """When an address has nothing against it any more."""

    def address_of(self, scope: Scope) -> str:
        """Return whose request it is."""
        client = scope.get("client")
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        return client_address(client[0] if client else "", forwarded, self._trusted)

    def check(self, address: str, now: float) -> None:
        """Raise ApiError 429 while there have been too many refusals."""
        wait_s = self._free_at.get(address, now) - now - BURST * INTERVAL_S
        if wait_s > 0.0:
            text = f"Too many requests with wrong keys from this address. Try again in {wait_s:.0f} s"
            headers = {"retry-after": str(int(wait_s) + 1)}
            raise ApiError(429, text, error_type="rate_limit_exceeded", headers=headers)

    def refused(self, address: str, now: float) -> None:
        """Count a refusal."""
        if len(self._free_at) >= MAX_ADDRESSES:
            self._free_at = {one: at for one, at in self._free_at.items() if at > now}
        if len(self._free_at) < MAX_ADDRESSES or address in self._free_at:
            self._free_at[address] = max(self._free_at.get(address, now), now) + INTERVAL_S


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
        if not any(address.version == network.version and address in network for network in trusted):
            break
    return _network_of(found)


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
