"""Server-sent events out of bytes that are cut anywhere (HTML standard, section 9.2.6)."""

MOST_EVENT_BYTES = 64 * 1024 * 1024
"""Unless it is said otherwise. An image of today's models is a twentieth of that."""


class EventFrames:
    """Cuts one stream into its events.

    Lines may end by LF, CR LF or CR, and those of the events returned end by LF; the empty line that ends an event is
    no part of it. Once `is_too_long` there are no more.
    """

    __slots__ = ("_held", "_most_bytes", "_was_cr", "is_too_long")

    def __init__(self, most_bytes: int = MOST_EVENT_BYTES) -> None:
        self.is_too_long = False
        """An event has more than `most_bytes`."""
        self._most_bytes = most_bytes
        self._held = bytearray()
        """An event that is not complete."""
        self._was_cr = False
        """The bytes so far end in a CR, which an LF at the beginning of the next would belong to."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and return the events that are complete by now."""
        if b"\r" in data or (self._was_cr and data):
            data = self._with_lf(data)
        held = self._held
        if held or not data.endswith(b"\n\n"):
            looked_at = max(0, len(held) - 1)
            held += data
            end = held.rfind(b"\n\n", looked_at) + 2
            if end < 2:
                self._bound()
                return []
            data = bytes(held[:end])
            del held[:end]
            self._bound()
        return [event for event in data.split(b"\n\n") if event]

    def rest(self) -> bytes:
        """Return the event that has begun and not ended."""
        return bytes(self._held)

    def _with_lf(self, data: bytes) -> bytes:
        if self._was_cr and data.startswith(b"\n"):
            data = data[1:]
        self._was_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _bound(self) -> None:
        if self.is_too_long or len(self._held) > self._most_bytes:
            self.is_too_long = True
            self._held.clear()


def fields_of(event: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return the comments of an event, and the values of its `data` lines."""
    lines = event.split(b"\n")
    return (
        [line for line in lines if line.startswith(b":")],
        [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")],
    )
