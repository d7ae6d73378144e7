"""Exchanges under way, and how they end when the gateway does."""

from fairlead.edge.downstream import HttpDownstream


class Drain:
    """Counts what is in flight. `begin` makes the worker unready; `expire` ends what is left."""

    def __init__(self) -> None:
        self.is_draining = False
        self._open: set[HttpDownstream] = set()

    @property
    def in_flight(self) -> int:
        """Exchanges that have begun and not ended."""
        return len(self._open)

    def enter(self, downstream: HttpDownstream) -> None:
        self._open.add(downstream)

    def leave(self, downstream: HttpDownstream) -> None:
        self._open.discard(downstream)

    def begin(self) -> None:
        """No more new work is wanted: `/readyz` answers 503 from now on. What comes all the same is served."""
        self.is_draining = True

    def expire(self) -> None:
        """The time to finish is over: every open exchange ends now, told in band where its reply has begun."""
        for downstream in list(self._open):
            downstream.expire()
