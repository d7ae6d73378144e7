"""A stream that breaks off after content, asked for again and gone on with where the caller's text ends.

Only what can be expected to be said a second time in the same words: requests with temperature 0 or a seed. It is up to
the operator (`FAIRLEAD_RESUME_TOKENS`, which a provider or a key may have of its own), since what is asked again is
paid twice: the provider that broke off is paid for what it gave, the caller only for the reply that ends.
`wire/resume.py` compares the two; at the first difference the stream ends with the error that it would have ended with.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from fairlead.access.keys import ApiKey
from fairlead.catalog.model import Provider
from fairlead.errors import Diverged
from fairlead.relay.attempts import Won
from fairlead.relay.inflate import Readable
from fairlead.relay.tap import Tap, WholeTap
from fairlead.wire.request import ChatRequest
from fairlead.wire.resume import NotResumable, Resumption

BYTES_PER_CHUNK = 300
"""Of a stream, for each token: so much is kept of one that may have to be gone on with."""
BYTES_PER_TOKEN = 4
_BORDERS = (b"\n\n", b"\r\n\r\n", b"\r\r")


@dataclass(frozen=True, slots=True)
class Resumes:
    """Of one request, whose stream may be asked for again once.

    `again(won)` does so for one that has broken off; None: nobody could be asked. `most_tokens`: only of a stream that
    had no more.
    """

    again: Callable[[Won], Awaitable[Won | None]]
    most_tokens: int

    def tap(self) -> WholeTap:
        return WholeTap(self.most_tokens * BYTES_PER_CHUNK)

    def following(self, tap: Tap, *, is_by_events: bool) -> Resumption | None:
        """Return what compares another reply with what the caller has; None if that cannot be.

        `is_by_events`: of what the tap has read only whole events were passed on.
        """
        had = tap.content if isinstance(tap, WholeTap) else None
        if had is None or not (is_by_events or had.endswith(_BORDERS)):
            return None
        try:
            found = Resumption(had)
        except NotResumable:
            return None
        return found if found.text_bytes <= self.most_tokens * BYTES_PER_TOKEN else None


class Followed:
    """A reply as its caller is to have it, who knows its beginning already: what `pump` reads in place of it."""

    def __init__(self, reply: Readable, resumption: Resumption) -> None:
        self._reply = reply
        self._resumption = resumption

    @property
    def is_drained(self) -> bool:
        return self._reply.is_drained

    async def forward(self, sink: Callable[[bytes], bool]) -> bytes:
        """As `Reply.forward`. Raises Diverged as well when it is another answer."""
        resumption = self._resumption

        def take(data: bytes) -> bool:
            new = resumption.feed(data)
            return not resumption.has_diverged and (not new or sink(new))

        return self.new(await self._reply.forward(take))

    def new(self, data: bytes) -> bytes:
        """Return what of the next bytes the caller does not have. Raises Diverged when it is another answer."""
        new = self._resumption.feed(data)
        if self._resumption.has_diverged:
            raise Diverged("asked again, the answer was another one")
        return new


def most_resumed(key: ApiKey, provider: Provider, others: int) -> int:
    """Return after how many tokens of a stream of this provider it is still asked for again; 0: never.

    The most specific setting counts: the key's, then the provider's, then that of all `others`.
    """
    if key.resume_tokens is not None:
        return key.resume_tokens
    return others if provider.resume_tokens is None else provider.resume_tokens


def can_be_said_again(request: ChatRequest) -> bool:
    """Whether a model can be expected to say the same again."""
    if not request.is_stream or request.choices > 1:
        return False
    return request.has("seed") or _is_zero(request.member("temperature") or b"")


def _is_zero(number: bytes) -> bool:
    try:
        return msgspec.json.decode(number, type=float) == 0.0
    except msgspec.DecodeError:
        return False
