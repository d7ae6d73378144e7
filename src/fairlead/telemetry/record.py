"""The record of one exchange: what the log line, the ledger and the metrics are made of. No bodies, no keys."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from fairlead.catalog.pricing import Usage


class HasSize(Protocol):
    size: int


class AppAttribution(NamedTuple):
    """What the caller says of the program that asks (wire-api, 1.5)."""

    referer: str = ""
    title: str = ""
    categories: tuple[str, ...] = ()
    user_agent: str = ""


@dataclass(slots=True)
class AttemptRecord:
    """One try at one endpoint. `verdict` as in `health/outcome.py`; durations in seconds."""

    provider: str
    verdict: str
    status: int
    duration_s: float
    message: str = ""


@dataclass(slots=True)
class ExchangeRecord:
    """Everything of one request. Filled while it runs; read only when it has ended."""

    id: str
    """`gen-…`, also in the reply's `x-generation-id`."""
    request_id: str
    started_unix: float
    started_at: float
    """Monotonic seconds."""
    key_hash: str = ""
    asked: str = ""
    """The model as the caller named it."""
    model: str = ""
    provider: str = ""
    endpoint_id: str = ""
    """Of the endpoint that answers."""
    is_stream: bool = False
    status: int = 0
    """What the caller got; 499 when it left before that."""
    end: str = ""
    """`ok`, `error`, `gone`, `cut` (mid-stream, told in band), `drained`."""
    error: str = ""
    attempts: list[AttemptRecord] = field(default_factory=list)
    first_content_at: float = 0.0
    """Monotonic seconds; 0 when there was none."""
    ended_at: float = 0.0
    usage: Usage | None = None
    cost_usd_nanos: int | None = None
    is_free: bool = False
    """The model costs nothing."""
    is_estimated: bool = False
    """The provider told no usage: it is reckoned from bytes."""
    finish_reason: str = ""
    upstream_id: str = ""
    """What the provider calls the reply."""
    request_bytes: int = 0
    """Of the body's text."""
    reply_bytes: int = 0
    unsettled: object = None
    """What `relay.settle` needs to find usage and cost; None when that is done, or there is nothing to find."""
    tap: HasSize | None = None
    """Follows the reply."""
    hold: object = None
    """What the request holds of its key's limits."""
    is_noted: bool = False
    """Whether the store knows that it is under way."""
    app: AppAttribution | None = None
    session: str = ""
    user: str = ""
