"""The record of one exchange: what the log line, the ledger and the metrics are made of. No bodies, no keys."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import msgspec

from fairlead.catalog.model import Endpoint
from fairlead.catalog.pricing import Usage
from fairlead.telemetry.trace import Trace

STREAM_ERROR = "the provider ended the stream with an error"
"""Of a record's error, with what the provider said behind it."""
CALLER_SLOW = "the caller did not take the reply in time"
"""The error of a reply that ended for that."""


class HasSize(Protocol):
    size: int


class AppAttribution(NamedTuple):
    """What the caller says of the program that asks (wire-api, 1.5)."""

    referer: str = ""
    title: str = ""
    categories: tuple[str, ...] = ()
    user_agent: str = ""


class Considered(NamedTuple):
    """An endpoint that could have answered: with its score and expected seconds, or why it was left out."""

    endpoint: str
    score: float = 0.0
    expected_s: float = 0.0
    note: str = ""
    """Why it came first, if not for its score."""
    why: str = ""
    """Why it was left out; empty if it was not."""


@dataclass(slots=True)
class AttemptRecord:
    """One try at one endpoint. `verdict` as in `health/outcome.py`; durations in seconds."""

    provider: str
    verdict: str
    status: int
    duration_s: float
    message: str = ""
    begun_at: float = field(default=0.0, compare=False)
    """Monotonic seconds."""
    first_content_at: float = field(default=0.0, compare=False)
    """Monotonic seconds; 0 when there was none."""
    span_id: int = field(default=0, compare=False)
    """In the exchange's trace, if it has one."""
    endpoint: Endpoint | None = field(default=None, compare=False)
    """Who was asked, if the exchange has a trace."""


class ExchangeRecord(msgspec.Struct):
    """Everything of one request. Filled while it runs; read only when it has ended."""

    id: str
    """`gen-…`, also in the reply's `x-generation-id`."""
    request_id: str
    started_unix: float
    started_at: float
    """Monotonic seconds."""
    api: Literal["chat", "responses"] = "chat"
    """Which of them was asked."""
    key_hash: str = ""
    asked: str = ""
    """The model as the caller named it."""
    model: str = ""
    router: str = ""
    """Who chose the model, if the caller did not: `openrouter/auto`."""
    provider: str = ""
    endpoint_id: str = ""
    """Of the endpoint that answers."""
    is_stream: bool = False
    status: int = 0
    """What the caller got; 499 when it left before that."""
    end: str = ""
    """`ok`, `error`, `gone`, `cut` (mid-stream, told in band), `drained`."""
    error: str = ""
    error_type: str = ""
    """Of the refusal that the caller got."""
    attempts: list[AttemptRecord] = []
    considered: Sequence[Considered] = ()
    """Whom the choice was made from, in the order of being asked; empty where there was none."""
    first_content_at: float = 0.0
    """Monotonic seconds; 0 when there was none."""
    body_wait_s: float = 0.0
    """How long the caller took to send the body."""
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
    response_cache_source_id: str = ""
    """Of the generation whose reply was told again; empty for one of its own."""
    cache: Literal["", "hit", "miss"] = ""
    """What the response cache had, if it was asked."""
    request_bytes: int = 0
    """Of the body's text."""
    reply_bytes: int = 0
    unsettled: object = None
    """What `relay.settle` needs to find usage and cost; None when that is done, or there is nothing to find."""
    stay: object = None
    """What `relay.stick` needs to let the conversation stay where it is."""
    tap: HasSize | None = None
    """Follows the reply."""
    hold: object = None
    """What the request holds of its key's limits."""
    is_noted: bool = False
    """Whether the store knows that it is under way."""
    app: AppAttribution | None = None
    preset: str = ""
    """Slug of the preset that lay under the request."""
    session: str = ""
    user: str = ""
    trace: Trace | None = None
    """What it is part of; None while traces are off."""

    def answered_by(self, endpoint: Endpoint) -> None:
        """Note who answers."""
        self.model, self.provider, self.endpoint_id = endpoint.model.id, endpoint.provider.slug, endpoint.id
        self.is_free = endpoint.price is not None and endpoint.price.is_free
