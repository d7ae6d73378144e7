"""A reply that came compressed though that was not asked for, read as what it means.

So whatever is done with a reply is done with this one too: its end is judged, its cost put in, its shape changed, a
fault told in band. The caller gets it plain.
"""

import zlib
from collections.abc import Callable

from fairlead.errors import ProtocolError
from fairlead.upstream.reply import Reply
from fairlead.wire.encoding import Unpacker, encoding_of

BLOCK_BYTES = 65_536
"""Unpacked at a time: a few bytes may become a thousand times as many, and the caller may be slow."""
_UNDONE = (b"content-encoding", b"content-length")


class Unpacked:
    """As a `Reply` to its reader, who owns it."""

    __slots__ = ("_is_over", "_reply", "_unpacker")

    def __init__(self, reply: Reply, unpacker: Unpacker) -> None:
        self._reply = reply
        self._unpacker = unpacker
        self._is_over = False

    @property
    def is_drained(self) -> bool:
        return self._is_over

    def header(self, name: bytes) -> bytes:
        """As `Reply.header`, without those that tell of the packed bytes."""
        return b"" if name in _UNDONE else self._reply.header(name)

    def abort(self) -> None:
        self._reply.abort()

    async def read(self) -> bytes:
        """As `Reply.read`. Raises ProtocolError as well, for what cannot be unpacked or is not all there."""
        while not (data := self._take()):
            if self._reply.is_drained:
                self._end()
                break
            self._unpacker.feed(await self._reply.read())
        return data

    async def forward(self, sink: Callable[[bytes], bool]) -> bytes:
        """As `Reply.forward` and `read`, but for a task that is woken."""
        while data := await self.read():
            if not sink(data):
                break
        return b""

    def _take(self) -> bytes:
        try:
            return self._unpacker.take(BLOCK_BYTES)
        except zlib.error:
            raise ProtocolError("the reply is compressed, and broken") from None

    def _end(self) -> None:
        if not self._unpacker.is_at_end:
            raise ProtocolError("the reply is compressed, and breaks off")
        self._is_over = True


Readable = Reply | Unpacked


def readable(reply: Reply) -> Readable:
    """Return what the reply is to be read as: itself, nearly always."""
    encoding = encoding_of(reply.header(b"content-encoding"))
    unpacker = Unpacker.of(encoding) if encoding else None
    return reply if unpacker is None else Unpacked(reply, unpacker)
