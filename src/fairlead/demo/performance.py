"""Puts a reply on the wire: when which bytes are written, and how it ends. All faults of time and framing are here.

A performance is a sequence of steps, each one write, made lazily so that a flood costs no memory. Whoever plays it
needs a socket and a clock and takes no decision.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from itertools import chain, islice
from typing import Final, TypeAlias

from fairlead.demo.personality import INSTANT, Pace
from fairlead.demo.reply import Reply
from fairlead.demo.script import PLAIN, Script
from fairlead.demo.shapes import phrase

Step: TypeAlias = tuple[float, bytes]
"""Seconds since the step before, and what is written then, in one write. Zero seconds: in the next turn of the loop."""

PIECE_BYTES: Final = 16
"""What a piece is in a reply that is no stream."""

_WRITE_BYTES: Final = 64 * 1024
_EARLY_HINTS: Final = b"HTTP/1.1 103 Early Hints\r\nlink: </demo>; rel=preconnect\r\n\r\n"
_CONTENT: Final = b'"content":"'
_BODILESS: Final = frozenset({204, 304})


class Ending(Enum):
    """What becomes of the connection after the last step."""

    KEEP = auto()
    CLOSE = auto()
    RESET = auto()
    SILENCE = auto()
    """It stays open and nothing more is sent or read on it."""


class Framing(Enum):
    """How the peer finds the end of the body."""

    LENGTH = auto()
    CHUNKED = auto()
    CLOSE = auto()


@dataclass(slots=True)
class Performance:
    """One reply as it will happen."""

    steps: Iterator[Step]
    ending: Ending


def _as_it_is(data: bytes) -> bytes:
    return data


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def stage(reply: Reply, script: Script, pace: Pace, *, provider: str, keep_alive: bool) -> Performance:
    """The performance of `reply` under `script`; what the script leaves open, `pace` decides."""
    if script.hang:
        return Performance(iter(()), Ending.SILENCE)
    if script.reset_on_accept:  # the connection was accepted before there was such a script
        return Performance(iter(()), Ending.RESET)
    if not script.touches_wire and pace is INSTANT and keep_alive and not (reply.is_stream or reply.headers):
        head = _plain_head(reply.status, reply.content_type, provider) % reply.length
        return Performance(iter(((0.0, head + b"".join(reply.pieces)),)), Ending.KEEP)

    framing = _framing(reply, script)
    is_kept = keep_alive and framing is not Framing.CLOSE
    head = _head(reply, script, framing, provider=provider, is_kept=is_kept)
    first_byte_s = script.first_byte_delay_s
    if first_byte_s is None:
        first_byte_s = pace.first_token_s + (0.0 if reply.is_stream else reply.words * pace.token_s)
    if script.garbage is not None:
        return Performance(iter(((first_byte_s, script.garbage),)), Ending.CLOSE)
    opening = [(0.0, _EARLY_HINTS * script.informational), *_head_steps(head, first_byte_s, script)]
    if script.head_then_hang:
        return Performance(_merged(opening), Ending.SILENCE)

    steps = chain(opening, _body(reply, script, pace, framing))
    wire = _merged(steps) if script.chunk_bytes is None else _recut(steps, script.chunk_bytes)
    return Performance(wire, _ending(script, is_kept=is_kept))


@lru_cache
def _plain_head(status: int, content_type: str, provider: str) -> bytes:
    """The head of an ordinary reply, with `%d` where the length goes."""
    reply = Reply(status, content_type, (), 0)
    head = _head(reply, PLAIN, Framing.LENGTH, provider=provider, is_kept=True)
    return head.replace(b"%", b"%%").replace(b"content-length: 0", b"content-length: %d")


def _framing(reply: Reply, script: Script) -> Framing:
    if script.close_delimited:
        return Framing.CLOSE
    if script.truncate_length is not None:
        return Framing.LENGTH
    return Framing.CHUNKED if reply.is_stream or script.trailers else Framing.LENGTH


def _ending(script: Script, *, is_kept: bool) -> Ending:
    if script.stall_after is not None and (script.cut_after is None or script.stall_after <= script.cut_after):
        return Ending.SILENCE
    if script.cut_after is not None:
        return Ending.RESET if script.cut == "reset" else Ending.CLOSE
    if script.keepalive_close or script.truncate_length is not None or not is_kept:
        return Ending.CLOSE
    return Ending.KEEP


def _head(reply: Reply, script: Script, framing: Framing, *, provider: str, is_kept: bool) -> bytes:
    lines = [("content-type", reply.content_type), ("x-demo-provider", provider), *reply.headers]
    if framing is Framing.CHUNKED:
        lines.append(("transfer-encoding", "chunked"))
    elif framing is Framing.LENGTH and reply.status not in _BODILESS:
        lines.append(("content-length", str(reply.length + (script.truncate_length or 0))))
    if script.touches_wire:
        lines = _with_scripted(lines, script)
    if not is_kept:
        lines.append(("connection", "close"))
    fields = "".join([f"{name}: {value}\r\n" for name, value in lines])
    return f"HTTP/1.1 {reply.status} {phrase(reply.status)}\r\n{fields}\r\n".encode("latin-1")


def _with_scripted(lines: list[tuple[str, str]], script: Script) -> list[tuple[str, str]]:
    if script.trailers:
        lines.append(("trailer", ", ".join(name for name, _ in script.trailers)))
    if script.retry_after is not None:
        lines.append(("retry-after", script.retry_after))
    replaced = {name.lower() for name, _ in script.headers}
    return [*(line for line in lines if line[0] not in replaced), *script.headers]


def _head_steps(head: bytes, first_byte_s: float, script: Script) -> list[Step]:
    if script.slow_headers is None:
        return [(first_byte_s, head)]
    return [(script.slow_headers if n else first_byte_s, head[n : n + 1]) for n in range(len(head))]


def _body(reply: Reply, script: Script, pace: Pace, framing: Framing) -> Iterator[Step]:
    frame = _chunk if framing is Framing.CHUNKED else _as_it_is
    token_s = script.token_delay_s
    if token_s is None:
        is_flood = script.flood_bytes is not None or script.endless is not None
        token_s = pace.token_s if reply.is_stream and not is_flood else 0.0
    stops = [count for count in (script.stall_after, script.cut_after) if count is not None]

    is_whole = reply.is_stream or not (stops or script.token_delay_s)
    pieces = iter(reply.pieces if is_whole else _small(reply.pieces))
    timed = _timed(islice(pieces, min(stops)) if stops else pieces, script.first_token_delay_s or 0.0, token_s)
    payload = timed if script.chunk_bytes is None else _recut(timed, script.chunk_bytes)
    for after_s, data in payload:
        yield after_s, frame(data)
    if stops:
        yield token_s, _part(next(pieces, b""), script, frame)
    elif framing is Framing.CHUNKED:
        trailers = "".join(f"{name}: {value}\r\n" for name, value in script.trailers)
        yield 0.0, b"0\r\n%b\r\n" % trailers.encode("latin-1")


def _timed(pieces: Iterable[bytes], first_s: float, later_s: float) -> Iterator[Step]:
    after_s = first_s
    for piece in pieces:
        yield after_s, piece
        after_s = later_s


def _part(piece: bytes, script: Script, frame: Callable[[bytes], bytes]) -> bytes:
    """What of `piece` is still sent when the reply is cut inside it."""
    half = len(piece) // 2
    match script.cut_inside if piece else None:
        case "chunk":
            return frame(piece)[: half + 1]
        case "event":
            return frame(piece[:half])
        case "utf8":
            # The first of the two bytes of "é", inside the text where there is one.
            content = piece.find(_CONTENT) + len(_CONTENT)
            return frame(piece[: content if content >= len(_CONTENT) else half] + b"\xc3")
        case None:
            return b""


def _small(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for start in range(0, len(piece), PIECE_BYTES):
            yield piece[start : start + PIECE_BYTES]


def _merged(steps: Iterable[Step]) -> Iterator[Step]:
    """The same bytes at the same times in as few writes as can be."""
    wait_s, gathered, size = 0.0, list[bytes](), 0
    for after_s, data in steps:
        if gathered and (after_s > 0 or size >= _WRITE_BYTES):
            yield wait_s, b"".join(gathered)
            wait_s, gathered, size = 0.0, [], 0
        wait_s += after_s
        if data:
            gathered.append(data)
            size += len(data)
    if gathered:
        yield wait_s, b"".join(gathered)


def _recut(steps: Iterable[Step], size: int) -> Iterator[Step]:
    """The same bytes in pieces of `size`: what is left of a step waits for the next one."""
    wait_s, held = 0.0, b""
    for after_s, data in steps:
        wait_s += after_s
        held += data
        whole = len(held) - len(held) % size
        for start in range(0, whole, size):
            yield wait_s, held[start : start + size]
            wait_s = 0.0
        held = held[whole:]
    if held:
        yield wait_s, held
