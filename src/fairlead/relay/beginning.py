"""What is read of a reply before its caller is promised anything, and what can be told by it."""

import asyncio
import contextlib
from dataclasses import dataclass

import msgspec

from fairlead import clock
from fairlead.catalog.model import Endpoint
from fairlead.errors import Oversize, ProtocolError, UpstreamError
from fairlead.health.outcome import Outcome, Verdict, is_filter, judge_status
from fairlead.health.retry_after import asked_wait
from fairlead.relay.inflate import Readable
from fairlead.upstream.dispatch import redacted
from fairlead.upstream.reply import Reply
from fairlead.wire.encoding import decoded, encoding_of
from fairlead.wire.ending import finish_reason
from fairlead.wire.errors import NOTHING_SAID, ProviderError, read_provider_error
from fairlead.wire.sse import first_error, is_only_frame

HOLD_BYTES = 262_144
"""Of an unstreamed reply, and of comments before a stream's content. Nearly every text reply is smaller; beyond it,
memory counts for more than a second try."""
HOLD_FRAME_S = 10.0
"""How long what a provider sends before its content is kept back (comments while it thinks, a chunk that names the
role): until then it can still be left for another. Longer, and whoever stands between us and the caller may take the
silence for the end."""
ERROR_BODY_S = 3.0
"""How long a provider's error may take to arrive, once its status has: the next endpoint is waiting."""
ERROR_BODY_BYTES = 65_536
"""How much of a provider's error is read."""
_ERROR = b'"error"'
"""Stands in whatever tells of one: as a member, or as the reason for which a reply ended."""


@dataclass(slots=True)
class Failed:
    """An attempt that ended before it had content."""

    endpoint: Endpoint
    outcome: Outcome
    said: ProviderError = NOTHING_SAID


async def begin_stream(reply: Readable, begun_at: float) -> bytes:
    """Read up to the first content. Raises UpstreamError, also for a stream that nobody here can read."""
    _refuse_encoded(reply)
    content = await reply.read()
    while len(content) < HOLD_BYTES and is_only_frame(content) and clock.monotonic() - begun_at < HOLD_FRAME_S:
        if not (more := await reply.read()):
            raise ProtocolError("the stream ended without content")
        content += more
    return content


async def begin_whole(reply: Readable, most_bytes: int) -> bytes:
    """Read a reply that is no stream, as far as it is to be held.

    `most_bytes`: all of it has to be, so that it can be changed, and no more than that; 0: it may be passed on as it
    comes. Raises UpstreamError.
    """
    if not most_bytes:
        return await _read_on(reply, HOLD_BYTES)
    _refuse_encoded(reply)
    # The parser has seen to it that this is a number.
    told = int(reply.header(b"content-length") or 0)
    content = await _read_on(reply, most_bytes + 1) if told <= most_bytes else b""
    if max(told, len(content)) > most_bytes:
        raise Oversize(f"the reply has more than the {most_bytes} bytes of FAIRLEAD_MAX_REPLY_BYTES")
    return content


def _refuse_encoded(reply: Readable) -> None:
    if encoding := encoding_of(reply.header(b"content-encoding")):
        shown = encoding[:40].decode("ascii", "replace")
        raise ProtocolError(f"the reply is encoded ({shown}), though that was not asked for, and cannot be read")


async def _read_on(reply: Readable, limit_bytes: int) -> bytes:
    """Read until the reply is complete or too large to be held."""
    content = await reply.read()
    if reply.is_drained or not content:  # nearly always
        return content
    parts, size = [content], len(content)
    while size < limit_bytes and (part := await reply.read()):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def wrong_with(endpoint: Endpoint, reply: Readable, content: bytes) -> Failed | None:
    """Return what is wrong with a reply of status 200, if it can be told by its beginning.

    An error that came with that status is judged by the status that it names, else as a failure.
    """
    if not content:
        return Failed(endpoint, Outcome(Verdict.PROTOCOL, 200, "the reply was empty"))
    if reply.header(b"content-type").startswith(b"text/html"):
        return Failed(endpoint, Outcome(Verdict.PROTOCOL, 200, "the reply was a web page, not a completion"))
    if _ERROR not in content:  # nearly always
        return None
    if (told := first_error(content)) is None:
        if reply.is_drained and finish_reason(content) == "error":
            return Failed(endpoint, Outcome(Verdict.TRANSIENT, 200, "the reply ended with an error"))
        return None
    said = said_by(endpoint, told)
    status = said.number if 400 <= said.number < 600 else 400 if is_filter(said.code) else 502
    return Failed(endpoint, judge_status(status, code=said.code, message=said.message), said)


async def read_error(reply: Reply, endpoint: Endpoint) -> Failed:
    """Read and judge a reply that is not 200. What cannot be read of it in time is judged by its status alone."""
    raw = b""
    with contextlib.suppress(UpstreamError, TimeoutError):
        async with asyncio.timeout(ERROR_BODY_S):
            raw = await _read_on(reply, ERROR_BODY_BYTES)
    reply.abort()
    body = decoded(raw, reply.header(b"content-encoding"), ERROR_BODY_BYTES) or b""
    said = said_by(endpoint, body)
    now_unix = clock.wall()
    retry_after = asked_wait(reply.header, reply.status, now_unix)
    outcome = judge_status(
        reply.status, code=said.code, message=said.message, retry_after=retry_after, now_unix=now_unix
    )
    return Failed(endpoint, outcome, said)


def said_by(endpoint: Endpoint, body: bytes) -> ProviderError:
    """Return what an error body says, without what nobody but the operator may read."""
    said, provider = read_provider_error(body), endpoint.provider
    return msgspec.structs.replace(said, message=redacted(said.message, provider), code=redacted(said.code, provider))
