"""An item of a Response's output while it comes: what it is so far, and the numbered events about it.

What is told stays the JSON that it came as: a piece of text is never decoded, and the whole is the pieces put together.
"""

from typing import Final

IN_PROGRESS: Final = b"in_progress"
COMPLETED: Final = b"completed"
INCOMPLETE: Final = b"incomplete"


class Events:
    """Numbers the events of one stream."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0
        """Of the next one."""

    def event(self, kind: bytes, members: bytes) -> bytes:
        number = self.number
        self.number += 1
        return b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b}\n\n' % (kind, kind, number, members)


class Item:
    """What all have in common. `place` is its index in the output; `id` needs no escapes in JSON."""

    __slots__ = ("_events", "final", "id", "place")

    def __init__(self, events: Events, item_id: str, place: int) -> None:
        self._events = events
        self.id = item_id.encode()
        self.place = place
        self.final = b""
        """The item, once it is closed."""

    def json(self, status: bytes) -> bytes:
        """Return the item as it is so far."""
        raise NotImplementedError

    def begin(self) -> bytes:
        return self._about(b"response.output_item.added", self.json(IN_PROGRESS))

    def close(self, status: bytes) -> bytes:
        """Return the events that end it. Nothing may be added after."""
        said = self._end()
        self.final = self.json(status)
        return said + self._about(b"response.output_item.done", self.final)

    def _end(self) -> bytes:
        """Return the events that end what is open in it."""
        raise NotImplementedError

    def _about(self, kind: bytes, item: bytes) -> bytes:
        return self._events.event(kind, b'"output_index":%d,"item":%b' % (self.place, item))

    def _within(self, kind: bytes, members: bytes) -> bytes:
        return self._events.event(kind, b'"item_id":"%b","output_index":%d,%b' % (self.id, self.place, members))
