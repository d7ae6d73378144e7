"""One attempt of a request at an endpoint, and how attempts end."""

from dataclasses import dataclass
from enum import Enum, auto

from bench.simulate.draws import Draw
from bench.simulate.requests import Request

EndpointId = int
"""The place of an endpoint in its scenario, from 0."""


class Kind(Enum):
    """How an attempt ended."""

    OK = auto()
    ERROR = auto()
    """5xx or a refused connection, before any content."""
    TIMEOUT = auto()
    LIMITED = auto()
    """429."""
    CUT = auto()
    """The stream broke off or stood still after content."""
    GONE = auto()
    """The caller left."""
    LEFT = auto()
    """The policy gave it up for another endpoint."""


@dataclass(slots=True)
class Outcome:
    """How an attempt ended, with what it had produced. Treated as read-only."""

    kind: Kind
    retry_after_s: float = 0.0
    tokens: int = 0
    """Output tokens that came."""
    generation_s: float = 0.0
    """From the first of them to the last."""
    cached_tokens: int = 0
    """Of the prompt, as the usage of the reply tells."""


class Phase(Enum):
    """Where an attempt stands. QUEUED and SERVED are known to the endpoint only."""

    QUEUED = auto()
    SERVED = auto()
    STREAMING = auto()
    OVER = auto()


@dataclass(slots=True, eq=False)
class Attempt:
    """One try. The endpoint moves `phase`; a policy reads the rest."""

    request: Request
    worker: int
    endpoint: EndpointId
    tries: int
    """Which of its request's attempts it is, from 1."""
    rest: tuple[EndpointId, ...]
    """Who may be asked if it fails."""
    begun_at: float
    give_up_at: float
    """When the wait for the first token ends."""
    draw: Draw
    phase: Phase = Phase.QUEUED
    first_token_at: float | None = None
    cached_tokens: int = 0
