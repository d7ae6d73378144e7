"""Reads along with a reply and changes nothing: how much there was, and how it ended.

Usage stands at the end of a stream, so the tap keeps the last chunks and looks into them once, after the last byte. Per
chunk it neither searches nor decodes nor copies.
"""

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
        chunks.append(data)
        self.size += len(data)
        if len(chunks) > _KEPT_CHUNKS:
            chunks[:] = [self.tail]

    @property
    def tail(self) -> bytes:
        """The end of the content so far, at most KEPT_BYTES of it."""
        return b"".join(self._chunks)[-KEPT_BYTES:]
