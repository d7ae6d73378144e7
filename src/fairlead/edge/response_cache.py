"""Requests that ask for the response cache: answered from it, or as any other and kept (wire-api, section 11).

A hit asks no provider, so it needs none and costs nothing, whatever the key may still spend. What the key itself is
held to holds: whether it is good, what it may use, how often it may ask. Replies are kept as the caller got them,
behind its back, and only whole ones with status 200. Requests that are the same and come at the same time are each
asked.

Where the specification is silent. Errors say nothing of the cache. A key whose routing preferences demand zero data
retention (`zdr`) is what OpenRouter calls an account with it: nothing is kept for it. A reply that has been kept for a
key that may no longer use its model or its provider is none for it.
"""

import asyncio
import functools
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping

from fairlead import clock
from fairlead.access.admit import may_use_model, may_use_provider
from fairlead.access.keys import ApiKey
from fairlead.access.preferences import read_preferences
from fairlead.catalog.pricing import Usage
from fairlead.relay.downstream import Before, Downstream, Headers
from fairlead.relay.exchange import Caller
from fairlead.relay.pump import caught_up
from fairlead.store.response_cache import Entry, Hit, ResponseStore
from fairlead.tasks import Tasks
from fairlead.telemetry.record import CALLER_SLOW, ExchangeRecord
from fairlead.wire.cache_key import PresetCache, cache_key, cache_policy
from fairlead.wire.replay import NotRepeatable, StreamTemplate, Template, events_of, told_again, whole_template
from fairlead.wire.request import ChatRequest

Run = Callable[[Downstream, ExchangeRecord], Awaitable[None]]

_KEPT_HEADERS = frozenset((
    b"content-type", b"content-language", b"cache-control", b"x-accel-buffering", b"x-fairlead-provider",
    b"x-fairlead-model", b"x-fairlead-demo",
))  # fmt: skip
"""What is said with a reply of the reply itself, not of its request."""
_STATUS, _TTL = b"x-openrouter-cache-status", b"x-openrouter-cache-ttl"
_AGE, _SOURCE = b"x-openrouter-cache-age", b"x-openrouter-cache-source-id"

HASHED_HERE_BYTES = 256 * 1024
"""A larger body is hashed in a thread: 8 MiB take 15 ms."""
EVENTS_AT_ONCE = 200
"""Read before others have their turn: 0.8 ms."""
PIECE_BYTES = 64 * 1024
REPLAY_S = 60.0
"""So long a caller may take for a reply that is there already."""


class ResponseCache:
    """What stands between the requests of a worker and its relay, for those who ask for it."""

    def __init__(self, store: ResponseStore, tasks: Tasks, max_entry_bytes: int) -> None:
        self._store = store
        self._tasks = tasks
        self._max_entry_bytes = max_entry_bytes

    async def answer(
        self,
        path: str,
        fields: Mapping[bytes, bytes],
        request: ChatRequest,
        caller: Caller,
        downstream: Downstream,
        record: ExchangeRecord,
        run: Run,
        preset: PresetCache | None = None,
    ) -> None:
        """Answer from the cache, or by `run`, whose reply is kept. Raises what `run` does, and CancelledError."""
        policy = cache_policy(fields, preset)
        if policy is None or _keeps_nothing(caller.key.preferences):
            await run(downstream, record)
            return
        record.cache = "miss"
        name = await _name_of(path, request, caller.key)
        if policy.is_cleared:
            await self._store.clear(name)
        elif (hit := await self._store.get(name)) is not None and _may_have(caller.key, hit.entry):
            await _tell_again(hit, caller, downstream, record)
            return
        recorder = Recorder(downstream, policy.ttl_s, self._max_entry_bytes)
        await run(recorder, record)
        if record.end == "ok" and (body := recorder.body()) is not None:
            self._tasks.start("response cache", self._keep(name, policy.ttl_s, record, recorder.kept_headers, body))

    async def _keep(self, name: str, ttl_s: int, record: ExchangeRecord, headers: Headers, body: bytes) -> None:
        try:
            template = await _stream_template(body) if record.is_stream else whole_template(body)
        except NotRepeatable:
            return
        reason, text = template.finish_reason, template.text
        await self._store.put(name, Entry(record.id, ttl_s, record.model, record.provider, reason, headers, text))


class Recorder(Before):
    """A `Downstream` that keeps what passes, up to `max_bytes`, and says that it was no hit."""

    def __init__(self, downstream: Downstream, ttl_s: int, max_bytes: int) -> None:
        super().__init__(downstream)
        self._ttl_s = ttl_s
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._is_wanted = False
        self._is_whole = False
        self.kept_headers: Headers = []

    def start(self, status: int, headers: Headers) -> None:
        self.kept_headers = [(name, value) for name, value in headers if name in _KEPT_HEADERS]
        self._is_wanted = status == 200 and all(name != b"content-encoding" for name, _ in headers)
        self._downstream.start(status, [*headers, (_STATUS, b"MISS"), (_TTL, b"%d" % self._ttl_s)])

    def write(self, data: bytes, *, is_last: bool) -> None:
        self._downstream.write(data, is_last=is_last)
        self._size += len(data)
        if self._size > self._max_bytes:
            self._is_wanted = False
            self._parts.clear()
        elif self._is_wanted:
            self._parts.append(data)
            self._is_whole = is_last

    def body(self) -> bytes | None:
        """Return what was sent; None if that is not to be kept."""
        return b"".join(self._parts) if self._is_wanted and self._is_whole else None


async def _name_of(path: str, request: ChatRequest, key: ApiKey) -> str:
    name_of = functools.partial(
        cache_key, request.raw, path=path, api_key=key.hash, model=request.model, is_stream=request.is_stream
    )
    return name_of() if len(request.raw) <= HASHED_HERE_BYTES else await asyncio.to_thread(name_of)


@functools.lru_cache(maxsize=256)
def _keeps_nothing(preferences: str) -> bool:
    try:
        return read_preferences(preferences.encode()).zdr is True
    except ValueError:  # the request will be told
        return False


def _may_have(key: ApiKey, entry: Entry) -> bool:
    return may_use_model(key, entry.model) and may_use_provider(key, entry.provider)


async def _stream_template(body: bytes) -> Template:
    template = StreamTemplate()
    for n, event in enumerate(events_of(body), 1):
        template.add(event)
        if n % EVENTS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return template.built()


async def _tell_again(hit: Hit, caller: Caller, downstream: Downstream, record: ExchangeRecord) -> None:
    """Answer with an entry, and fill in `record`."""
    entry = hit.entry
    record.model, record.provider, record.finish_reason = entry.model, entry.provider, entry.finish_reason
    record.response_cache_source_id, record.cache = entry.source_id, "hit"
    record.usage, record.cost_usd_nanos = Usage(), 0
    body = told_again(entry.template, record.id, int(record.started_unix))
    deadline = clock.monotonic() + REPLAY_S
    try:
        if downstream.is_slow:  # with the replies to requests sent before this one
            await caught_up(downstream, deadline)
        record.status, record.first_content_at = 200, clock.monotonic()
        downstream.start(200, _headers(hit, len(body), caller, record))
        for piece, is_last in _pieces(body):
            if downstream.is_slow:
                await caught_up(downstream, deadline)
            downstream.write(piece, is_last=is_last)
        record.end = "ok"
    except TimeoutError:
        record.end, record.error = "cut", CALLER_SLOW
        downstream.abort()
    except asyncio.CancelledError:
        if not (downstream.is_expired and downstream.is_started):
            raise
        record.end = "drained"
        downstream.abort()


def _headers(hit: Hit, body_bytes: int, caller: Caller, record: ExchangeRecord) -> Headers:
    left_s = min(math.ceil(hit.left_s), hit.entry.ttl_s)
    length = [] if record.is_stream else [(b"content-length", b"%d" % body_bytes)]
    return [
        *hit.entry.headers,
        *length,
        (b"x-generation-id", record.id.encode()),
        (b"x-request-id", record.request_id.encode()),
        *caller.limit_headers(),
        (_STATUS, b"HIT"),
        (_AGE, b"%d" % (hit.entry.ttl_s - left_s)),
        (_TTL, b"%d" % left_s),
        (_SOURCE, hit.entry.source_id.encode()),
    ]


def _pieces(body: bytes) -> Iterator[tuple[bytes, bool]]:
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES], start + PIECE_BYTES >= len(body)
