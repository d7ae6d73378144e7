"""A finished exchange as spans: one for the exchange, and below it one for each attempt. Pure; no content, no keys.

Names are those of OpenTelemetry's conventions for generative AI (`gen_ai.*`, status: development), of its general ones
(`error.type`, `server.*`, `http.*`), and for the rest `fairlead.*`. They are written out here, since the package of
conventions has dropped the first.

    chat acme/large              SERVER   from the request's first byte to the reply's last; tokens, cost
      chat large-v1              CLIENT   one try at one endpoint, under the provider's own name of the model
      chat acme-large            CLIENT   ...

The conventions' span for the logical call is a CLIENT's. That is our caller's; ours is its other end, and SERVER is
what lets a tracing backend join the two. Tokens and cost stand on it alone: who sums them over all spans counts once.
"""

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from fairlead.telemetry.own_words import cut, error_of, reason_of
from fairlead.telemetry.record import AttemptRecord, ExchangeRecord
from fairlead.telemetry.trace import Trace

Value = str | int | float | bool | tuple[str, ...]

OPERATION: Final = "chat"
PROVIDER_NAMES: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "google-ai-studio": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshotai": "moonshot_ai",
    "xai": "x_ai",
}
"""What the conventions call a provider, by our slug, where it is not the same."""
OURSELVES: Final = "fairlead"
"""The provider of what no provider was asked for; the conventions require one."""
_NO_FAILURE = frozenset(("ok", "gone", "outrun"))
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Span:
    """One span. Times are Unix nanoseconds; `parent_id` is 0 where there is none."""

    name: str
    kind: Literal["server", "client"]
    trace: Trace
    span_id: int
    parent_id: int
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Value]
    error: str | None = None
    """Why it failed, perhaps ""; None: it did not, or it is the caller's fault."""


def spans_of(record: ExchangeRecord) -> list[Span]:
    """Return what is told of a finished exchange; nothing if its trace is not sampled."""
    trace = record.trace
    if trace is None or not trace.is_sampled:
        return []
    return [_exchange(record, trace), *_attempts(record, trace)]


def _exchange(record: ExchangeRecord, trace: Trace) -> Span:
    attributes = {name: value for name, value in _told(record) if value not in ("", None)}
    failed = record.end in ("cut", "drained") or record.status >= 500
    name = f"{OPERATION} {cut(record.asked)}" if record.asked else OPERATION
    start_ns, end_ns = _ns(record, record.started_at), _ns(record, record.ended_at or record.started_at)
    error = error_of(record) if failed else None
    return Span(name, "server", trace, trace.span_id, trace.parent_id, start_ns, end_ns, attributes, error)


def _told(record: ExchangeRecord) -> Iterator[tuple[str, Value | None]]:
    """Every attribute of the exchange; an empty one is none."""
    attempts = record.attempts
    provider = record.provider or (attempts[-1].provider if attempts else "")
    yield "gen_ai.operation.name", OPERATION
    yield "gen_ai.provider.name", PROVIDER_NAMES.get(provider, provider) or OURSELVES
    yield "gen_ai.request.model", cut(record.asked)
    yield "gen_ai.request.stream", True if record.is_stream else None
    yield "gen_ai.response.model", record.model if record.provider else None
    yield "gen_ai.response.id", cut(record.upstream_id)
    yield "gen_ai.response.finish_reasons", (cut(record.finish_reason),) if record.finish_reason else None
    if record.is_stream and record.first_content_at:
        yield "gen_ai.response.time_to_first_chunk", round(record.first_content_at - record.started_at, 6)
    yield "gen_ai.conversation.id", cut(record.session)
    yield "http.response.status_code", record.status or None
    yield "error.type", _error_type(record)
    yield "fairlead.generation.id", record.id
    yield "fairlead.request.id", record.request_id
    yield "fairlead.api", record.api
    yield "fairlead.end", record.end
    yield "fairlead.provider", record.provider
    yield "fairlead.router", record.router
    yield "fairlead.preset", record.preset
    yield "fairlead.cache", record.cache
    yield "fairlead.key", record.key_hash[:12]
    yield "fairlead.attempts", len(attempts)
    yield "fairlead.failovers", _failovers(record)
    yield "fairlead.body_wait_s", round(record.body_wait_s, 6)
    yield from _usage(record)


def _usage(record: ExchangeRecord) -> Iterator[tuple[str, Value | None]]:
    usage = record.usage
    if usage is None:
        return
    yield "gen_ai.usage.input_tokens", usage.prompt_tokens
    yield "gen_ai.usage.output_tokens", usage.completion_tokens
    yield "gen_ai.usage.cache_read.input_tokens", usage.cached_tokens or None
    yield "gen_ai.usage.cache_write.input_tokens", usage.cache_write_tokens or None
    yield "gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens or None
    yield "fairlead.usage.is_estimated", True if record.is_estimated else None
    yield "fairlead.cost_usd_nanos", record.cost_usd_nanos


def _error_type(record: ExchangeRecord) -> str:
    """Return what the caller was told, or in which way the reply ended instead of with its last byte."""
    return "" if record.end == "ok" else record.error_type or record.end


def _failovers(record: ExchangeRecord) -> int:
    """Count attempts that failed and were followed by one at another provider, as /metrics does."""
    attempts = record.attempts
    return sum(
        one.verdict not in _NO_FAILURE and one.provider != other.provider for one, other in itertools.pairwise(attempts)
    )


def _attempts(record: ExchangeRecord, trace: Trace) -> Iterator[Span]:
    for number, attempt in enumerate(record.attempts, 1):
        if not attempt.span_id:
            continue
        told = {name: value for name, value in _told_of(attempt, number, record) if value not in ("", None)}
        model = told.get("gen_ai.request.model", "")
        start_ns = _ns(record, attempt.begun_at)
        end_ns = _ns(record, attempt.begun_at + attempt.duration_s)
        error = None if attempt.verdict in _NO_FAILURE else reason_of(attempt)
        name = f"{OPERATION} {model}" if model else OPERATION
        yield Span(name, "client", trace, attempt.span_id, trace.span_id, start_ns, end_ns, told, error)


def _told_of(attempt: AttemptRecord, number: int, record: ExchangeRecord) -> Iterator[tuple[str, Value | None]]:
    yield "gen_ai.operation.name", OPERATION
    yield "gen_ai.provider.name", PROVIDER_NAMES.get(attempt.provider, attempt.provider)
    yield "gen_ai.request.stream", True if record.is_stream else None
    if attempt.endpoint is not None:
        address, port = _server(attempt.endpoint.provider.base_url)
        yield "gen_ai.request.model", attempt.endpoint.upstream_id
        yield "server.address", address
        yield "server.port", port
        yield "fairlead.endpoint", attempt.endpoint.id
    if record.is_stream and attempt.first_content_at:
        yield "gen_ai.response.time_to_first_chunk", round(attempt.first_content_at - attempt.begun_at, 6)
    yield "http.response.status_code", attempt.status or None
    yield "error.type", "" if attempt.verdict in _NO_FAILURE else str(attempt.verdict)
    yield "fairlead.verdict", str(attempt.verdict)
    yield "fairlead.attempt", number


@functools.lru_cache(1024)  # the providers that are configured
def _server(base_url: str) -> tuple[str, int | None]:
    parts = urlsplit(base_url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme)


def _ns(record: ExchangeRecord, at: float) -> int:
    """Return a monotonic time as Unix nanoseconds, by the one moment of which both are known."""
    return round(record.started_unix * 1e9) + round((at - record.started_at) * 1e9)
