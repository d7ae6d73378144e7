"""Reads along with a reply and changes nothing: how much there was, and how it ended.

Usage stands at the end of a stream, so the tap keeps the last chunks and looks into them once, after the last byte. Per
chunk it neither searches nor decodes nor copies.
"""

from fairlead.wire.ending import ended_in, is_done, is_whole
from fairlead.wire.event_frames import EventFrames

KEPT_BYTES = 4_096
"""The usage event and what follows it: some 300-800 bytes with all the details that providers send, plus `[DONE]`."""
_KEPT_CHUNKS = 32
"""After so many chunks those that are not needed any more are let go."""


class Tap:
    """Follows the content of one reply. `size` is in bytes."""

    __slots__ = ("_chunks", "size")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self.size = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of content into account."""
        chunks = self._chunks
        self.size += len(data)
        if len(data) >= KEPT_BYTES:
            chunks[:] = [data[-KEPT_BYTES:]]
            return
        chunks.append(data)
        if len(chunks) > _KEPT_CHUNKS:
            chunks[:] = [self.tail]

    @property
    def tail(self) -> bytes:
        """The end of the content so far, at most KEPT_BYTES of it."""
        return b"".join(self._chunks)[-KEPT_BYTES:]

    @property
    def is_whole(self) -> bool:
        """Whether a stream that ends here says so."""
        return is_whole(self.tail)


class ManyTap(Tap):
    """Of a stream with several answers: how many of them have come to their end is counted on the way."""

    __slots__ = ("_choices", "_ended", "_frames")

    def __init__(self, choices: int) -> None:
        super().__init__()
        self._choices = choices
        self._ended: set[int] = set()
        self._frames = EventFrames()

    def feed(self, data: bytes) -> None:
        super().feed(data)
        for event in self._frames.feed(data):
            self._ended |= ended_in(event)

    @property
    def is_whole(self) -> bool:
        return is_done(self.tail) or len(self._ended | ended_in(self._frames.rest())) >= self._choices


def tap_of(choices: int) -> Tap:
    """Return what reads along with a reply of so many answers."""
    return Tap() if choices == 1 else ManyTap(choices)


class WholeTap(Tap):
    """Keeps all of the content, as long as that is no more than `most_bytes`."""

    __slots__ = ("_most_bytes", "_parts")

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self._most_bytes = most_bytes
        self._parts: list[bytes] | None = []

    def feed(self, data: bytes) -> None:
        super().feed(data)
        if self._parts is None:
            return
        self._parts.append(data)
        if self.size > self._most_bytes:
            self._parts = None

    @property
    def content(self) -> bytes | None:
        """All of it; None if that was too much to be kept."""
        return None if self._parts is None else b"".join(self._parts)
