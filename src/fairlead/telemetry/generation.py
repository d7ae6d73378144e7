"""A generation: what the ledger keeps of one exchange. No content, no keys.

Written once, when the exchange has been settled. One that was charged by estimate may be written again when more is
known: that entry says in `corrects_usd_nanos` what had been charged, and the ledger adds up all the same.
"""

import msgspec

from fairlead.catalog.pricing import Usage
from fairlead.telemetry.record import AppAttribution, Considered, ExchangeRecord

_NOTHING_USED = Usage()
_NO_APP = AppAttribution()


class GenerationAttempt(msgspec.Struct, frozen=True, array_like=True):
    """One try at one endpoint. `verdict` as in `health/outcome.py`."""

    provider: str
    status: int
    verdict: str
    duration_ms: int


class Generation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Times are Unix seconds, durations milliseconds, money nano-USD (10**-9 USD); tokens are the provider's own."""

    id: str
    started: float
    request_id: str = ""
    key: str = ""
    """Hash of the API key."""
    ended: float = 0.0
    asked: str = ""
    """The model as the caller named it."""
    model: str = ""
    """Canonical id of the model that answered."""
    provider: str = ""
    """Slug; empty when none answered."""
    router: str = ""
    """Who chose the model, if the caller did not: `openrouter/auto`."""
    is_stream: bool = False
    status: int = 0
    """What the caller got; 499 when it left before that."""
    end: str = ""
    """`ok`, `error`, `gone`, `cut`, `drained`; `crashed`: its worker died, and this is what was known then."""
    finish_reason: str = ""
    upstream_id: str = ""
    """What the provider calls it, and the body's `id`."""
    first_content_ms: int = 0
    duration_ms: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd_nanos: int = 0
    is_estimated: bool = False
    """The provider told no usage: tokens are reckoned from bytes."""
    is_free: bool = False
    """Of a model that costs nothing."""
    corrects_usd_nanos: int = 0
    """What an earlier entry of the same id has charged."""
    referer: str = ""
    title: str = ""
    categories: tuple[str, ...] = ()
    preset: str = ""
    """Slug of the preset that lay under the request."""
    session: str = ""
    user: str = ""
    user_agent: str = ""
    response_cache_source_id: str = ""
    """Of the generation whose reply was told again."""
    attempts: tuple[GenerationAttempt, ...] = ()
    considered: tuple[Considered, ...] = ()
    """Whom the choice was made from, where there was one."""


_DECODER = msgspec.json.Decoder(Generation)
_ENCODER = msgspec.json.Encoder()


def pack(generation: Generation) -> bytes:
    return _ENCODER.encode(generation)


def unpack(data: bytes) -> Generation:
    """Raises msgspec.DecodeError for what no `pack` has written."""
    try:
        return _DECODER.decode(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


def generation_of(record: ExchangeRecord) -> Generation:
    """Return what the ledger keeps of an exchange that has been settled."""
    usage, app = record.usage or _NOTHING_USED, record.app or _NO_APP
    ended_at = record.ended_at or record.started_at
    return Generation(
        id=record.id,
        started=record.started_unix,
        request_id=record.request_id if record.request_id != record.id else "",
        key=record.key_hash,
        ended=record.started_unix + ended_at - record.started_at,
        asked=record.asked if record.asked != record.model else "",
        model=record.model,
        provider=record.provider,
        router=record.router,
        is_stream=record.is_stream,
        status=record.status,
        end=record.end,
        finish_reason=record.finish_reason,
        upstream_id=record.upstream_id,
        first_content_ms=_ms(record.first_content_at - record.started_at) if record.first_content_at else 0,
        duration_ms=_ms(ended_at - record.started_at),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cached_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cost_usd_nanos=record.cost_usd_nanos or 0,
        is_estimated=record.is_estimated,
        is_free=record.is_free,
        referer=app.referer,
        title=app.title,
        categories=app.categories,
        preset=record.preset,
        session=record.session,
        user=record.user,
        user_agent=app.user_agent,
        response_cache_source_id=record.response_cache_source_id,
        attempts=tuple(
            [
                GenerationAttempt(one.provider, one.status, str(one.verdict), _ms(one.duration_s))
                for one in record.attempts
            ]
        ),
        considered=tuple(record.considered),
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000.0) if seconds > 0.0 else 0
