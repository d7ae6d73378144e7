"""Slows down whoever guesses keys: after some refusals an address is told to wait.

Keys cannot be guessed (256 random bits); management keys and admin keys that people have chosen may be. Each worker
counts for itself. A key that this worker knows works from any address, so that one bad neighbour behind a shared
address locks nobody out.
"""

from collections.abc import Sequence

from fairlead.edge.downstream import Scope
from fairlead.edge.forwarded import Network, client_address
from fairlead.errors import ApiError

BURST = 10
"""Refusals at once."""
INTERVAL_S = 6.0
"""And one more for each such time."""
MAX_ADDRESSES = 10_000


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
