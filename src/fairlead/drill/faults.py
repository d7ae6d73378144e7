"""The matrix: the faults of a provider, and what is to come of each for the caller, the breaker and the ledger.

Each row is asked four times, by stream or not, with a second provider behind the faulty one or without.
"""

import gzip
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

import orjson

from fairlead.catalog.model import Timeouts
from fairlead.demo.script import Script

BAD_TEXT: Final = "one two three four five six seven eight"
"""What a faulty provider would answer if it could."""
GOOD_TEXT: Final = "alpha beta gamma delta"
WAYS: Final = ("stream", "plain", "stream-alone", "plain-alone")
"""How each row is asked."""


class Fate(Enum):
    """What becomes of a request whose first provider has the fault."""

    FAILOVER = "the next provider's answer; alone an error"
    REFUSED = "the refusal, also with others behind it: they would say the same"
    BROKEN = "the beginning, then an error in the stream"
    TOLD = "the beginning, then the provider's own error as it came"
    TORN = "the beginning; then the connection breaks, since half an event cannot be taken back"
    WHOLE = "the answer"
    BLIND = "what the provider has sent, byte by byte: encoded unasked in a way that is not read along"


class Tls(Enum):
    """What stands where a provider's TLS should be."""

    NONE = "plain HTTP"
    SILENT = "it accepts, and never answers the handshake"
    EXPIRED = "a certificate of the past"
    UNKNOWN = "a certificate that nobody trusted has signed"
    OTHER_NAME = "a certificate for another name"
    OLD = "no version of TLS later than 1.1"


@dataclass(frozen=True, slots=True)
class Cool:
    """A cool-down: of the endpoint or of the whole account, for about so many seconds."""

    seconds: float
    is_account: bool = False

    @property
    def is_long(self) -> bool:
        """Whether it is still on when somebody looks; a short one may be over by then."""
        return self.seconds >= 5.0


COUNTS: Final[Mapping[str, str]] = dict.fromkeys(("transient", "timeout", "protocol", "overload"), "failure")
"""What an attempt is to the breaker, by its verdict; a reply that is cut is a `break`, all others are nothing."""
COOLS: Final[Mapping[str, Cool]] = {
    "overload": Cool(1.0),
    "limit": Cool(1.0),
    "missing": Cool(60.0),
    "auth": Cool(60.0, is_account=True),
    "quota": Cool(60.0, is_account=True),
}
"""What cools down after a verdict, unless the row knows better."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`script` is the simulated provider's; `status` and `error_type` are what the caller sees if there is no other.

    `verdict` is the attempt's on record unless the reply breaks off after content (`cut`); `requests` how many of them
    reach the provider; `text` what of its answer can be read (None: any). `limits` are the time limits for a provider
    that is silent on purpose, where nobody wants to wait. `asks` goes into the request's body, `base` is where it is
    sent. `is_warm`: a request that succeeds comes first, on the same connection. `is_everywhere`: the other provider
    has the fault too.
    """

    name: str
    script: Script
    verdict: str
    status: int = 502
    error_type: str = "provider_unavailable"
    stream: Fate = Fate.FAILOVER
    plain: Fate = Fate.FAILOVER
    requests: int = 1
    text: str | None = BAD_TEXT
    limits: Mapping[str, float] = field(default_factory=dict)
    tls: Tls = Tls.NONE
    is_nowhere: bool = False
    """Its name does not resolve."""
    asks: Mapping[str, Any] = field(default_factory=dict)
    base: str = "/v1"
    is_warm: bool = False
    is_everywhere: bool = False
    cool: Cool | None = None
    """Other than what `COOLS` says of the verdict."""
    fallback_on_content_filter: bool | None = None
    """Only where this is set so; None: however it is set."""
    plain_script: Script | None = None
    """Where it differs from `script` for a request that wants no stream."""

    def is_for(self, *, fallback_on_content_filter: bool) -> bool:
        """Whether it is to be expected of a gateway with this setting."""
        return self.fallback_on_content_filter in (None, fallback_on_content_filter)

    def fate(self, way: str) -> Fate:
        return self.stream if way.startswith("stream") else self.plain

    def played(self, timeouts: Timeouts, way: str) -> list[Script]:
        """Return what the provider does with one request after another; the last of them with all that follow.

        What is slow is slower than `timeouts` allow.
        """
        script = self.plain_script if self.plain_script and way.startswith("plain") else self.script
        script = replace(script, text=BAD_TEXT)
        if script.slow_headers is not None:
            script = replace(script, slow_headers=timeouts.first_byte_s / 6)
        if script.first_token_delay_s is not None:
            script = replace(script, first_token_delay_s=3 * timeouts.first_byte_s)
        return [Script(text=BAD_TEXT), script, Script(text=BAD_TEXT)] if self.is_warm else [script]

    def counts(self, verdict: str) -> str:
        """Return what an attempt with this verdict is to the breaker."""
        return "break" if verdict == "cut" else COUNTS.get(verdict, "nothing")

    def cools(self, verdict: str) -> Cool | None:
        """Return what cools down after it."""
        return self.cool or COOLS.get(verdict)


def refusal(
    status: int,
    verdict: str,
    seen: int,
    error_type: str,
    *,
    name: str = "",
    message: str = "",
    code: str | None = None,
    fate: Fate = Fate.FAILOVER,
    headers: Mapping[str, str] | None = None,
    cool: Cool | None = None,
) -> Fault:
    """Return a reply of another status than 200, with an error of OpenAI's shape when `message` or `code` is given."""
    body = None
    if message or code:
        body = orjson.dumps({"error": {"message": message, "type": "error", "param": None, "code": code}})
    script = Script(status=status, body=body, headers=tuple((headers or {}).items()))
    return Fault(name or str(status), script, verdict, seen, error_type, fate, fate, cool=cool)


def _event(index: int, content: str = "", finish: str | None = None) -> bytes:
    choice = {"index": index, "delta": {"content": content} if content else {}, "finish_reason": finish}
    chunk = {"id": "chatcmpl-n", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: %b\n\n" % orjson.dumps(chunk)


def _packed_by_events(events: Iterable[bytes]) -> bytes:
    """Return events in gzip as servers send them, each to be read when it has come; the end is not there yet."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return b"".join([packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH) for event in events])


_STREAM: Final = ("content-type", "text/event-stream")
_GZIP: Final = ("content-encoding", "gzip")
_BROTLI: Final = ("content-encoding", "br")
_PACKED_STREAM: Final = (_STREAM, _GZIP)
_ONE_OF_TWO: Final = b"".join([_event(0, BAD_TEXT), _event(1, "another"), _event(0, finish="stop")])
_ANSWER: Final = (*(_event(0, f"{word} ") for word in BAD_TEXT.split()[:-1]), _event(0, BAD_TEXT.split()[-1]))
_PACKED: Final = gzip.compress(b"".join([_event(0, BAD_TEXT), _event(0, finish="stop"), b"data: [DONE]\n\n"]), mtime=0)
_PACKED_BY_EVENTS: Final = _packed_by_events(_ANSWER)
"""Of which each can be read when it comes, and the last one does not end it."""
_MESSAGE: Final = {"index": 0, "message": {"role": "assistant", "content": BAD_TEXT}, "finish_reason": "stop"}
_PACKED_REPLY: Final = gzip.compress(orjson.dumps({"id": "chatcmpl-n", "model": "m", "choices": [_MESSAGE]}), mtime=0)
_NO_GZIP: Final = b"\x1f\x8b\x08no, it is not" * 10
BRIEF: Final = {"first_byte_s": 0.6, "idle_s": 0.6}
MIB: Final = 1024 * 1024
QUOTA_TEXT: Final = "You exceeded your current quota, please check your plan and billing details."
MANY: Final = 3000
"""103s: some 170 KB of them, of which 64 KiB are borne."""


def _timed(name: str, script: Script, limits: Mapping[str, float] = BRIEF, **fates: Fate) -> Fault:
    return Fault(name, script, "timeout", 504, "timeout", limits=limits, **fates)  # type: ignore[arg-type]


def _whole(name: str, script: Script, stream: Fate = Fate.WHOLE, **more: Any) -> Fault:
    return Fault(name, script, "ok", stream=stream, plain=Fate.WHOLE, **more)


CONNECTION: Final = [
    Fault("connection refused", Script(refuse=True), "transient", requests=0),
    Fault("connection reset", Script(reset_on_accept=True), "transient", requests=0),
    Fault("name does not resolve", Script(), "transient", requests=0, is_nowhere=True),
    Fault(
        "silent in the TLS handshake",
        Script(),
        "timeout",
        504,
        "timeout",
        requests=0,
        tls=Tls.SILENT,
        limits={"connect_s": 0.6},
    ),
    Fault("certificate expired", Script(), "transient", requests=0, tls=Tls.EXPIRED),
    Fault("certificate of nobody known", Script(), "transient", requests=0, tls=Tls.UNKNOWN),
    Fault("certificate of another name", Script(), "transient", requests=0, tls=Tls.OTHER_NAME),
    Fault("TLS 1.1 at best", Script(), "transient", requests=0, tls=Tls.OLD),
    _whole("kept connection closed after a reply", Script(keepalive_close=True), is_warm=True, requests=2),
    Fault(
        "kept connection closed at the next request",
        Script(garbage=b""),
        "transient",
        is_warm=True,
        requests=2,
    ),
    Fault("all providers refuse connections", Script(refuse=True), "transient", requests=0, is_everywhere=True),
    Fault(
        "all providers overloaded", Script(status=503), "overload", 503, "provider_overloaded", is_everywhere=True
    ),
]  # fmt: skip
SILENCE: Final = [
    _timed("accepts and says nothing", Script(hang=True)),
    _timed("head, then nothing", Script(head_then_hang=True)),
    _timed("head byte by byte", Script(slow_headers=0.1)),
    _timed("first token late", Script(first_token_delay_s=20)),
    _timed("stall in mid-stream", Script(stall_after=4), {"idle_s": 0.6}, stream=Fate.BROKEN),
    _whole("dripping, slow but alive", Script(token_delay_s=0.05)),
]
BREAKS: Final = [
    Fault("closed before content", Script(cut_after=0), "transient"),
    Fault("closed after the role", Script(cut_after=1), "transient"),
    Fault("closed after four events", Script(cut_after=4), "transient", stream=Fate.BROKEN),
    Fault("reset after four events", Script(cut_after=4, cut="reset"), "transient", stream=Fate.BROKEN),
    Fault("closed inside a chunk", Script(cut_after=4, cut_inside="chunk"), "transient", stream=Fate.TORN),
    Fault("closed inside an event", Script(cut_after=4, cut_inside="event"), "transient", stream=Fate.TORN),
    Fault("closed inside a character", Script(cut_after=4, cut_inside="utf8"), "transient", stream=Fate.TORN),
    Fault("shorter than its content-length", Script(truncate_length=100), "transient", stream=Fate.WHOLE),
    Fault("closed inside an event, /api/v1", Script(cut_after=4, cut_inside="event"), "transient", stream=Fate.BROKEN,
          base="/api/v1"),
    _whole("closed after a whole reply", Script(keepalive_close=True)),
]  # fmt: skip
CONTENT: Final = [
    Fault("not HTTP", Script(garbage=b"\x00\x01 what?\r\n\r\n"), "protocol"),
    Fault("a web page with 200", Script(html=True), "protocol"),
    Fault("an empty reply with 200", Script(empty=True), "protocol"),
    Fault("an error event at once", Script(error_in_stream=0), "transient", plain=Fate.WHOLE),
    _whole("an error event in mid-stream", Script(error_in_stream=4), Fate.TOLD),
    _whole("an event that is not JSON", Script(malformed_event=3), text="one two four five six seven eight"),
    _whole("an event that is not JSON, /api/v1", Script(malformed_event=3), Fate.BROKEN, base="/api/v1"),
    _whole("no [DONE]", Script(missing_done=True)),
    _whole("no finish reason", Script(missing_finish=True)),
    _whole("neither finish reason nor [DONE]", Script(missing_finish=True, missing_done=True), Fate.BROKEN),
    _whole("n: 2, and one of them without an end", Script(body=_ONE_OF_TWO, headers=(_STREAM,)), Fate.BROKEN,
           asks={"n": 2}, text=None, plain_script=Script()),
]  # fmt: skip
SIZE: Final = [
    Fault("a head of 100 KB", Script(headers=(("x-filler", "x" * 100_000),)), "protocol"),
    Fault("a head without an end", Script(garbage=b"HTTP/1.1 200 OK\r\n" + b"x-more: and more\r\n" * 60_000),
          "protocol"),
    Fault("103s without an end", Script(informational=MANY), "protocol"),
    _whole("a hundred 103s first", Script(informational=100)),
    _whole("a reply of 33 MiB", Script(flood_bytes=33 * MIB), text=None),
    _whole("a reply of 33 MiB, /api/v1", Script(flood_bytes=33 * MIB), text=None, base="/api/v1"),
    Fault("a reply without an end, /api/v1", Script(), "oversize", stream=Fate.WHOLE, base="/api/v1",
          plain_script=Script(endless="body")),
    _whole("an event without an end, /api/v1", Script(endless="event"), Fate.BROKEN, base="/api/v1",
           plain_script=Script()),
]  # fmt: skip
ENCODING: Final = [
    _whole("compressed unasked", Script(body=_PACKED, headers=_PACKED_STREAM), plain_script=Script(encoding="gzip")),
    Fault("gzip that breaks off", Script(body=_PACKED_BY_EVENTS, headers=_PACKED_STREAM, token_delay_s=0.02),
          "protocol", stream=Fate.BROKEN, plain_script=Script(body=_PACKED_REPLY[:-20], headers=(_GZIP,))),
    Fault("gzip that breaks off inside an event", Script(body=_packed_by_events([*_ANSWER, _ANSWER[0][:-9]]),
          headers=_PACKED_STREAM, token_delay_s=0.02), "protocol", stream=Fate.TORN,
          plain_script=Script(body=_PACKED_REPLY[:30], headers=(_GZIP,))),
    Fault("gzip that breaks off, /api/v1", Script(body=_PACKED_BY_EVENTS, headers=_PACKED_STREAM, token_delay_s=0.02),
          "protocol", stream=Fate.BROKEN, plain_script=Script(body=_PACKED_REPLY[:-20], headers=(_GZIP,)),
          base="/api/v1"),
    Fault("gzip that is none", Script(body=_NO_GZIP, headers=_PACKED_STREAM), "protocol",
          plain_script=Script(body=_NO_GZIP, headers=(_GZIP,))),
    Fault("brotli unasked", Script(body=_NO_GZIP, headers=(_STREAM, _BROTLI)), "protocol", plain=Fate.BLIND,
          plain_script=Script(body=_NO_GZIP, headers=(_BROTLI,))),
    Fault("brotli unasked, /api/v1", Script(body=_NO_GZIP, headers=(_STREAM, _BROTLI)), "protocol",
          plain_script=Script(body=_NO_GZIP, headers=(_BROTLI,)), base="/api/v1"),
]  # fmt: skip
_LIMITED: Final = ("limit", 429, "rate_limit_exceeded")
_FILTERED: Final = refusal(
    400,
    "filtered",
    400,
    "content_policy_violation",
    message="Your request was flagged by our content policy",
    code="content_policy_violation",
)
STATUSES: Final = [
    refusal(400, "client", 400, "invalid_request", fate=Fate.REFUSED),
    refusal(401, "auth", 502, "provider_unavailable"),
    refusal(402, "quota", 502, "provider_unavailable"),
    refusal(403, "auth", 502, "provider_unavailable", cool=Cool(60.0)),
    refusal(404, "missing", 404, "not_found"),
    refusal(408, "timeout", 504, "timeout"),
    refusal(409, "transient", 502, "provider_unavailable"),
    refusal(413, "client", 413, "payload_too_large", fate=Fate.REFUSED),
    refusal(422, "client", 422, "unprocessable", fate=Fate.REFUSED),
    refusal(429, *_LIMITED),
    refusal(429, *_LIMITED, name="429, Retry-After in seconds", headers={"retry-after": "47"}, cool=Cool(47.0)),
    refusal(429, *_LIMITED, name="429, Retry-After as a date", headers={"retry-after": "Wed, 01 Jan 2200 00:00:00 GMT"},
            cool=Cool(60.0)),
    refusal(429, *_LIMITED, name="429, retry-after-ms", headers={"retry-after-ms": "2500", "retry-after": "9"},
            cool=Cool(2.5)),
    refusal(
        429, *_LIMITED, name="429, x-ratelimit-reset-*",
        headers={
            "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "50.5s",
            "x-ratelimit-remaining-tokens": "900", "x-ratelimit-reset-tokens": "6m0s",
        },
        cool=Cool(50.5),
    ),
    refusal(429, "quota", 502, "provider_unavailable", name="429, the account is empty", message=QUOTA_TEXT,
            code="insufficient_quota"),
    refusal(403, "quota", 502, "provider_unavailable", name="403, the account is empty", message=QUOTA_TEXT,
            code="insufficient_quota"),
    refusal(500, "transient", 502, "provider_unavailable"),
    refusal(502, "transient", 502, "provider_unavailable"),
    refusal(503, "overload", 503, "provider_overloaded"),
    refusal(504, "timeout", 504, "timeout"),
    refusal(529, "overload", 503, "provider_overloaded"),
    replace(_FILTERED, name="content refused", stream=Fate.REFUSED, plain=Fate.REFUSED,
            fallback_on_content_filter=False),
    replace(_FILTERED, name="content refused, FALLBACK_ON_CONTENT_FILTER=on", fallback_on_content_filter=True),
    refusal(400, "context", 400, "context_length_exceeded", name="prompt too long here",
            message="This model's maximum context length is 10 tokens", code="context_length_exceeded"),
    refusal(404, "missing", 404, "not_found", name="model gone here", message="The model `m` does not exist",
            code="model_not_found"),
]  # fmt: skip
PARTS: Final[Mapping[str, list[Fault]]] = {
    "The connection": CONNECTION,
    "Silence": SILENCE,
    "Replies that break off": BREAKS,
    "Replies that are wrong": CONTENT,
    "Replies that are too large": SIZE,
    "Replies that are compressed": ENCODING,
    "Refusals": STATUSES,
}
FAULTS: Final = [fault for faults in PARTS.values() for fault in faults]
