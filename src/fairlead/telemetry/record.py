"""The record of one exchange: what the log line, the ledger and the metrics are made of. No bodies, no keys."""

from dataclasses import dataclass, field

from fairlead.catalog.pricing import Usage


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
    model: str = ""
    provider: str = ""
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
    reply_bytes: int = 0
    unsettled: object = None
    """What `relay.settle` needs to find usage and cost; None when that is done, or there is nothing to find."""
