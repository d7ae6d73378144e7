"""A provider that costs almost nothing: canned replies, and streams paced on a precise clock.

    python -m bench.upstream [--port 0] [--events-per-s 50]      prints `listening on PORT`

What a request asks for decides what it gets: `"stream":true` an event stream of `max_tokens` events, anything else a
reply of 600 bytes. Some models differ:

    bench/hold     one event, and then silence until the caller leaves
    bench/brisk    the first event at once, and not in its turn
    bench/drip     events at a tenth of the pace
    bench/flood    events as fast as the caller takes them, each a chunk of its own
    bench/large    a reply of a megabyte

The gateway's own simulator has delays, faults and randomness, which is what tests need and what a measurement of
overhead must not have.
"""

import argparse
import asyncio
import gc
import re
import socket
from typing import cast

import uvloop

from bench.request import MODELS
from bench.ticker import Ticker

_TICKS_PER_S = 2_000
"""The events of one interval are spread over this clock: 200 streams at 50/s are 5 writes a tick, not 200 at once."""
_BACKLOG = 4_096
_MAX_HEAD_BYTES = 65_536

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream"\s*:\s*true')
_MAX_TOKENS = re.compile(rb'"max_(?:completion_)?tokens"\s*:\s*(\d+)')

PROVIDER_HEADERS = (
    b"date: Mon, 02 Jan 2023 10:00:00 GMT",
    b"access-control-expose-headers: X-Request-ID",
    b"openai-organization: org-bench",
    b"openai-processing-ms: 3",
    b"openai-project: proj_bench",
    b"openai-version: 2020-10-01",
    b"x-envoy-upstream-service-time: 4",
    b"x-ratelimit-limit-requests: 30000",
    b"x-ratelimit-limit-tokens: 150000000",
    b"x-ratelimit-remaining-requests: 29999",
    b"x-ratelimit-remaining-tokens: 149999981",
    b"x-ratelimit-reset-requests: 2ms",
    b"x-ratelimit-reset-tokens: 0s",
    b"x-request-id: req_00000000000000000000000000000000",
    b"strict-transport-security: max-age=31536000; includeSubDomains; preload",
    b"x-content-type-options: nosniff",
)
"""With content-type and the framing these are the 18 headers that a large provider sends today, less its cookies."""

_REPLY = (
    b'{"id":"chatcmpl-bench000000000000000000000000","object":"chat.completion","created":1700000000,'
    b'"model":"bench/echo","choices":[{"index":0,"message":{"role":"assistant","content":"%s","refusal":null,'
    b'"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":190,"completion_tokens":24,'
    b'"total_tokens":214,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":'
    b'{"reasoning_tokens":0,"audio_tokens":0}},"service_tier":"default","system_fingerprint":"fp_bench00000"}'
)
_EVENT = (
    b'data: {"id":"chatcmpl-bench000000000000000000000000","object":"chat.completion.chunk","created":1700000000,'
    b'"model":"bench/echo","service_tier":"default","system_fingerprint":"fp_bench00000","choices":[%s],%s}\n\n'
)
_DELTA = b'{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}'
_LAST_DELTA = b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}'
_USAGE = b'"usage":{"prompt_tokens":190,"completion_tokens":24,"total_tokens":214}'


def canned_body(size_bytes: int = 600) -> bytes:
    """A chat completion of exactly `size_bytes` (at least 520)."""
    return _REPLY % (b"x" * (size_bytes - len(_REPLY) + 2))


def _head(content_type: bytes, framing: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", *PROVIDER_HEADERS, b"content-type: " + content_type, framing]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _chunk(payload: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(payload), payload)


_BODY = canned_body()
REPLY = _head(b"application/json", b"content-length: %d" % len(_BODY)) + _BODY
STREAM_HEAD = _head(b"text/event-stream; charset=utf-8", b"transfer-encoding: chunked")
EVENT = _chunk(_EVENT % (_DELTA, b'"usage":null'))
STREAM_END = (
    _chunk(_EVENT % (_LAST_DELTA, b'"usage":null'))
    + _chunk(_EVENT % (b"", _USAGE))
    + _chunk(b"data: [DONE]\n\n")
    + b"0\r\n\r\n"
)
EVENT_BYTES = len(_EVENT % (_DELTA, b'"usage":null'))
"""Of an event, its framing not counted."""
LARGE_BYTES = 1_000_000
_LARGE_BODY = canned_body(LARGE_BYTES)
LARGE_REPLY = _head(b"application/json", b"content-length: %d" % LARGE_BYTES) + _LARGE_BODY
_DRIP_EACH = 10
_BLOCK_EVENTS = 512
"""So many events are written at once in a flood, 150 KB."""
_BLOCK = EVENT * _BLOCK_EVENTS
_LISTED = ",".join(f'{{"id":"{name}","object":"model"}}' for name in MODELS)
_MODELS_BODY = f'{{"object":"list","data":[{_LISTED}]}}'.encode()
_MODELS = _head(b"application/json", b"content-length: %d" % len(_MODELS_BODY)) + _MODELS_BODY


class Pacer:
    """Writes to every stream at the same rate, the streams' turns spread evenly over the interval."""

    def __init__(self, events_per_s: int) -> None:
        self._slots: list[set[Provider]] = [set() for _ in range(max(1, _TICKS_PER_S // events_per_s))]
        self._turn = 0

    def tick(self, turns: int) -> None:
        """Serve the next `turns` slots: more than one after a late wake-up, so that the rate holds."""
        for _ in range(turns):
            self._turn = (self._turn + 1) % len(self._slots)
            for stream in tuple(self._slots[self._turn]):
                stream.next_event()

    def add(self, stream: "Provider") -> set["Provider"]:
        """Put the stream in the emptiest slot and return that slot, from which it takes itself out."""
        slot = min(self._slots, key=len)
        slot.add(stream)
        return slot


class Provider(asyncio.Protocol):
    """One connection. Requests come one at a time, as every gateway's client sends them."""

    def __init__(self, pacer: Pacer, drip: Pacer) -> None:
        self._pacer = pacer
        self._drip = drip
        self._received = bytearray()
        self._slot: set[Provider] | None = None
        self._events_left = 0
        self._is_flooding = False
        self._is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n", 0, _MAX_HEAD_BYTES)
        if head_end < 0:
            return
        length = _CONTENT_LENGTH.search(self._received, 0, head_end)
        if len(self._received) < head_end + 4 + (int(length[1]) if length else 0):
            return
        request = bytes(self._received)
        self._received.clear()
        self._answer(request)

    def _answer(self, request: bytes) -> None:
        if request.startswith(b"GET "):
            self._transport.write(_MODELS)
        elif not _STREAM.search(request):
            self._transport.write(LARGE_REPLY if b"bench/large" in request else REPLY)
        elif b"bench/hold" in request:
            self._transport.write(STREAM_HEAD + EVENT)
        else:
            self._stream(request)

    def _stream(self, request: bytes) -> None:
        asked = _MAX_TOKENS.search(request)
        self._events_left = max(1, int(asked[1])) if asked else 50
        if b"bench/flood" in request:
            self._transport.write(STREAM_HEAD + EVENT)
            self._events_left -= 1
            self._is_flooding = True
            asyncio.get_running_loop().call_soon(self.resume_writing)
            return
        self._transport.write(STREAM_HEAD)
        if b"bench/brisk" in request:
            self.next_event()
        if self._events_left:
            self._slot = (self._drip if b"bench/drip" in request else self._pacer).add(self)

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        """Go on with a flood until the caller has to catch up."""
        self._is_paused = False
        while self._is_flooding and not self._is_paused:
            events = min(self._events_left, _BLOCK_EVENTS)
            self._transport.write(_BLOCK[: events * len(EVENT)])
            self._events_left -= events
            if not self._events_left:
                self._is_flooding = False
                self._transport.write(STREAM_END)

    def next_event(self) -> None:
        """Send one event, and after the last of them the end of the stream."""
        self._transport.write(EVENT)
        self._events_left -= 1
        if not self._events_left:
            self._transport.write(STREAM_END)
            self._leave()

    def _leave(self) -> None:
        if self._slot is not None:
            self._slot.discard(self)
            self._slot = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_flooding = False
        self._leave()


async def serve(port: int, events_per_s: int) -> None:
    """Answer on 127.0.0.1:`port` until cancelled."""
    pacer, drip = Pacer(events_per_s), Pacer(max(1, events_per_s // _DRIP_EACH))
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", port))
    # Said here, since the loop listens again, by default with 100: the 101st caller at once then waits a second.
    server = await loop.create_server(lambda: Provider(pacer, drip), sock=listener, backlog=_BACKLOG)
    print(f"listening on {listener.getsockname()[1]}", flush=True)

    def tick(turns: int) -> None:
        pacer.tick(turns)
        drip.tick(turns)

    with Ticker(_TICKS_PER_S, tick):
        await server.serve_forever()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.upstream")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--events-per-s", type=int, default=50, help="of each stream")
    args = parser.parse_args()
    gc.freeze()
    gc.disable()  # nothing here makes cycles, and a pause of the collector would be blamed on the target
    try:
        uvloop.run(serve(args.port, args.events_per_s))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
