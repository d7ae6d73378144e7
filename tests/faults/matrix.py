"""The faults of a provider, and what is to come of each: for the caller, and on record.

Each row is asked four times, by stream or not, with a second provider behind the faulty one or without.
"""

from dataclasses import dataclass, field
from enum import Enum

BAD_TEXT = "one two three four five six seven eight"
"""What a faulty provider would answer if it could."""
GOOD_TEXT = "alpha beta gamma delta"


class Fate(Enum):
    """What becomes of a request whose first provider has the fault."""

    FAILOVER = "the next provider's answer; alone an error"
    REFUSED = "the refusal, also with others behind it: they would say the same"
    BROKEN = "the beginning, then an error in the stream"
    TOLD = "the beginning, then the provider's own error as it came"
    TORN = "the beginning; then the connection breaks, since half an event cannot be taken back"
    WHOLE = "the answer"


@dataclass(frozen=True)
class Fault:
    """`script` is the simulator's; `status` and `error_type` are what the caller sees if there is no other provider.

    `verdict` is the attempt's on record unless the reply breaks off after content (`cut`); `requests` how many of them
    reach the provider; `text` what of its answer can be read. `members` are the provider's settings.
    """

    name: str
    script: dict
    verdict: str
    status: int = 502
    error_type: str = "provider_unavailable"
    stream: Fate = Fate.FAILOVER
    plain: Fate = Fate.FAILOVER
    requests: int = 1
    text: str = BAD_TEXT
    members: dict = field(default_factory=dict)


def refusal(name, status, verdict, seen, error_type, *, message="", code=None, fate=Fate.FAILOVER, **script):
    """A reply of another status than 200, with an error of OpenAI's shape when `message` or `code` is given."""
    if message or code:
        error = {"message": message, "type": "error", "param": None, "code": code}
        script["body"] = {"error": error}
    return Fault(name, {"status": status, **script}, verdict, seen, error_type, fate, fate)


BRIEF = {"timeout_first_byte_s": 0.6, "timeout_idle_s": 0.6}
"""For what is silent on purpose."""
TIMED = {"verdict": "timeout", "status": 504, "error_type": "timeout", "members": BRIEF}
STALLED = {**TIMED, "members": {"timeout_idle_s": 0.6}, "stream": Fate.BROKEN}
CUT = {"verdict": "transient", "stream": Fate.BROKEN}
TORN = {"verdict": "transient", "stream": Fate.TORN}
QUOTA_TEXT = "You exceeded your current quota, please check your plan and billing details."

CONNECTION = [
    Fault("connection refused", {"refuse": True}, "transient", requests=0),
    Fault("connection reset", {"reset_on_accept": True}, "transient", requests=0),
    Fault("name does not resolve", {}, "transient", requests=0, members={"base_url": "http://nobody.invalid/v1"}),
    Fault(
        "silent in the TLS handshake",
        {},
        "timeout",
        504,
        "timeout",
        requests=0,
        members={"base_url": "https", "timeout_connect_s": 0.6},
    ),
]
SILENCE = [
    Fault("accepts and says nothing", {"hang": True}, **TIMED),
    Fault("head, then nothing", {"head_then_hang": True}, **TIMED),
    Fault("head byte by byte", {"slow_headers": 0.1}, **TIMED),
    Fault("first token late", {"first_token_delay_s": 20}, **TIMED),
    Fault("stall in mid-stream", {"stall_after": 4}, **STALLED),
    Fault("dripping, slow but alive", {"token_delay_s": 0.05}, "ok", stream=Fate.WHOLE, plain=Fate.WHOLE),
]
BREAKS = [
    Fault("closed before content", {"cut_after": 0}, "transient"),
    Fault("closed after the role", {"cut_after": 1}, "transient"),
    Fault("closed after four events", {"cut_after": 4}, **CUT),
    Fault("reset after four events", {"cut_after": 4, "cut": "reset"}, **CUT),
    Fault("closed inside a chunk", {"cut_after": 4, "cut_inside": "chunk"}, **TORN),
    Fault("closed inside an event", {"cut_after": 4, "cut_inside": "event"}, **TORN),
    Fault("closed inside a character", {"cut_after": 4, "cut_inside": "utf8"}, **TORN),
    Fault("shorter than its content-length", {"truncate_length": 100}, "transient", stream=Fate.WHOLE),
    Fault("closed after a whole reply", {"keepalive_close": True}, "ok", stream=Fate.WHOLE, plain=Fate.WHOLE),
]
CONTENT = [
    Fault("not HTTP", {"garbage": b"\x00\x01 what?\r\n\r\n"}, "protocol"),
    Fault("a web page with 200", {"html": True}, "protocol"),
    Fault("an empty reply with 200", {"empty": True}, "protocol"),
    Fault("an error event at once", {"error_in_stream": 0}, "transient", plain=Fate.WHOLE),
    Fault("an error event in mid-stream", {"error_in_stream": 4}, "ok", stream=Fate.TOLD, plain=Fate.WHOLE),
    Fault(
        "an event that is not JSON",
        {"malformed_event": 3},
        "ok",
        stream=Fate.WHOLE,
        plain=Fate.WHOLE,
        text="one two four five six seven eight",
    ),
    Fault("no [DONE]", {"missing_done": True}, "ok", stream=Fate.WHOLE, plain=Fate.WHOLE),
    Fault("no finish reason", {"missing_finish": True}, "ok", stream=Fate.WHOLE, plain=Fate.WHOLE),
    Fault(
        "neither finish reason nor [DONE]",
        {"missing_finish": True, "missing_done": True},
        "ok",
        stream=Fate.BROKEN,
        plain=Fate.WHOLE,
    ),
    Fault("compressed unasked", {"encoding": "gzip"}, "ok", stream=Fate.WHOLE, plain=Fate.WHOLE),
    Fault("a hundred 103s first", {"informational": 100}, "ok", stream=Fate.WHOLE, plain=Fate.WHOLE),
]
STATUSES = [
    refusal("400", 400, "client", 400, "invalid_request", fate=Fate.REFUSED),
    refusal("401", 401, "auth", 502, "provider_unavailable"),
    refusal("402", 402, "quota", 502, "provider_unavailable"),
    refusal("403", 403, "auth", 502, "provider_unavailable"),
    refusal("404", 404, "missing", 404, "not_found"),
    refusal("408", 408, "timeout", 504, "timeout"),
    refusal("409", 409, "transient", 502, "provider_unavailable"),
    refusal("413", 413, "client", 413, "payload_too_large", fate=Fate.REFUSED),
    refusal("422", 422, "client", 422, "unprocessable", fate=Fate.REFUSED),
    refusal("429", 429, "limit", 429, "rate_limit_exceeded"),
    refusal("429, Retry-After in seconds", 429, "limit", 429, "rate_limit_exceeded", retry_after="7"),
    refusal(
        "429, Retry-After as a date", 429, "limit", 429, "rate_limit_exceeded",
        retry_after="Wed, 01 Jan 2200 00:00:00 GMT",
    ),
    refusal(
        "429, the account is empty", 429, "quota", 502, "provider_unavailable",
        message=QUOTA_TEXT, code="insufficient_quota",
    ),
    refusal("500", 500, "transient", 502, "provider_unavailable"),
    refusal("502", 502, "transient", 502, "provider_unavailable"),
    refusal("503", 503, "overload", 503, "provider_overloaded"),
    refusal("504", 504, "timeout", 504, "timeout"),
    refusal("529", 529, "overload", 503, "provider_overloaded"),
    refusal(
        "content refused", 400, "client", 400, "content_policy_violation",
        message="Your request was flagged by our content policy", code="content_policy_violation", fate=Fate.REFUSED,
    ),
    refusal(
        "prompt too long here", 400, "context", 400, "context_length_exceeded",
        message="This model's maximum context length is 10 tokens", code="context_length_exceeded",
    ),
    refusal(
        "model gone here", 404, "missing", 404, "not_found",
        message="The model `m` does not exist", code="model_not_found",
    ),
]  # fmt: skip
FAULTS = [*CONNECTION, *SILENCE, *BREAKS, *CONTENT, *STATUSES]
