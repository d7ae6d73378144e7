"""Exchanges under way, and how they end when the gateway does."""

from fairlead.edge.downstream import HttpDownstream
from fairlead.errors import ApiError


class Drain:
    """Counts what is in flight. `begin` makes the worker unready; `expire` ends what is left."""

    def __init__(self) -> None:
        self.is_draining = False
        self._is_leaving = False
        self._open: set[HttpDownstream] = set()
        self._endless: set[HttpDownstream] = set()

    @property
    def in_flight(self) -> int:
        """Exchanges that have begun and not ended."""
        return len(self._open)

    def enter(self, downstream: HttpDownstream) -> None:
        self._open.add(downstream)

    def enter_endless(self, downstream: HttpDownstream) -> None:
        """A reply that only its reader would end: none to wait for. Raises ApiError 503 once the worker is leaving."""
        if self._is_leaving:
            raise ApiError(
                503, "This worker is leaving. Connect again", error_type="server", headers={"retry-after": "1"}
            )
        self._endless.add(downstream)

    def leave(self, downstream: HttpDownstream) -> None:
        self._open.discard(downstream)
        self._endless.discard(downstream)

    def begin(self) -> None:
        """No more new work is wanted: `/readyz` answers 503 from now on. What comes all the same is served."""
        self.is_draining = True

    def end_endless(self) -> None:
        """The worker is leaving, for whatever reason: what would never end does so now."""
        self._is_leaving = True
        for downstream in list(self._endless):
            downstream.expire()

    def expire(self) -> None:
        """The time to finish is over: every open exchange ends now, told in band where its reply has begun."""
        for downstream in list(self._open):
            downstream.expire()
