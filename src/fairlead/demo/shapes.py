"""The JSON and the events of OpenAI's chat API, from values."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson

from fairlead.demo.personality import DemoModel

DONE: Final = b"data: [DONE]\n\n"

SUPPORTED: Final = (
    "frequency_penalty", "logit_bias", "max_completion_tokens", "max_tokens", "parallel_tool_calls", "presence_penalty",
    "reasoning_effort", "response_format", "seed", "stop", "structured_outputs", "temperature", "tool_choice", "tools",
    "top_k", "top_p",
)  # fmt: skip
"""What may be sent. Only the limits change the text; it never calls a tool."""

_FLOOD_BLOCK_BYTES: Final = 16 * 1024

_ERROR_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}
_ERROR_CODES: Final = {401: "invalid_api_key", 429: "rate_limit_exceeded", 503: "overloaded"}


@dataclass(slots=True)
class Envelope:
    """The members that a completion and all chunks of a stream share."""

    id: str
    created: int
    model: bytes
    """As JSON."""

    def open(self, kind: bytes) -> bytes:
        """The JSON object up to its next member."""
        return b'{"id":"%b","object":"%b","created":%d,"model":%b,' % (self.id.encode(), kind, self.created, self.model)


def usage_of(prompt_tokens: int, completion_tokens: int) -> dict[str, object]:
    """The `usage` member."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def completion(words: Sequence[str], finish: str, usage: Mapping[str, object]) -> bytes:
    """The body of a reply that is no stream, after its envelope."""
    return b"".join(
        (
            b'"choices":[{"index":0,"message":{"role":"assistant","content":',
            orjson.dumps("".join(words)),
            b',"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"%b"}],"usage":' % finish.encode(),
            orjson.dumps(usage),
            b',"system_fingerprint":null}',
        )
    )


@dataclass(slots=True)
class Events:
    """Writes the events of one stream."""

    opening: bytes
    ending: bytes
    """What follows the choices: `usage` is null in all chunks but the last once it was asked for."""

    @classmethod
    def of(cls, envelope: Envelope, *, includes_usage: bool) -> "Events":
        return cls(
            opening=b"data: " + envelope.open(b"chat.completion.chunk"),
            ending=b'],"usage":null}\n\n' if includes_usage else b"]}\n\n",
        )

    def _chunk(self, delta: bytes, finish: bytes = b"null") -> bytes:
        choice = b'"choices":[{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}' % (delta, finish)
        return self.opening + choice + self.ending

    def role(self) -> bytes:
        return self._chunk(b'{"role":"assistant","content":"","refusal":null}')

    def words(self, words: Iterable[str]) -> list[bytes]:
        before = self.opening + b'"choices":[{"index":0,"delta":{"content":'
        after = b'},"logprobs":null,"finish_reason":null}' + self.ending
        return [before + orjson.dumps(word) + after for word in words]

    def finish(self, reason: str) -> bytes:
        return self._chunk(b"{}", b'"%b"' % reason.encode())

    def usage(self, usage: Mapping[str, object]) -> bytes:
        return self.opening + b'"choices":[],"usage":%b}\n\n' % orjson.dumps(usage)

    def malformed(self) -> bytes:
        return self.opening + b'"choices":[{"index":0,"delta":{"content":"\n\n'


def error_event(provider: str) -> bytes:
    """The event with which a stream that was promised a 200 says that it failed."""
    return b"data: %b\n\n" % error_body(500, f"demo provider {provider} failed in the middle of its answer")


def flood_events(events: Events, last: Sequence[bytes], total: int) -> Iterator[bytes]:
    """A stream of `total` bytes from the role to `last`; the greater part is one long word in blocks."""
    yield events.role()
    frame = len(events.words([""])[0])
    (block,) = events.words(["x" * (_FLOOD_BLOCK_BYTES - frame)])
    blocks, rest = divmod(total - len(events.role()) - sum(map(len, last)), _FLOOD_BLOCK_BYTES)
    for _ in range(blocks):
        yield block
    if rest > frame:
        yield from events.words(["x" * (rest - frame)])
    elif rest:  # too little for an event: a comment
        yield b":" * (rest - 2) + b"\n\n" if rest > 2 else b"\n" * rest
    yield from last


def flood_body(body: bytes, total: int) -> Iterator[bytes]:
    """JSON `body` grown to `total` bytes by white space before its last brace."""
    yield body[:-1]
    blocks, rest = divmod(total - len(body), _FLOOD_BLOCK_BYTES)
    block = b" " * _FLOOD_BLOCK_BYTES
    for _ in range(blocks):
        yield block
    yield b" " * rest + body[-1:]


def endless(events: Events, what: str, words: Sequence[str] = ()) -> Iterator[bytes]:
    """A stream, or what came in the place of one, that has no end; it may have some words before."""
    yield {"body": b"{", "comments": b": wait\n\n"}.get(what, events.role())
    if what == "event":
        yield from events.words(words)
    (block,) = events.words(["x" * _FLOOD_BLOCK_BYTES])
    start = len(events.words([""])[0]) - len(b'"},"logprobs":null,"finish_reason":null}') - len(events.ending)
    again = {
        "event": block[start : start + _FLOOD_BLOCK_BYTES],
        "comments": b": wait\n\n" * (_FLOOD_BLOCK_BYTES // 8),
        "text": block,
        "body": b" " * _FLOOD_BLOCK_BYTES + b"\n\n",
    }
    if what == "event":
        yield block[:start]
    while True:
        yield again[what]


def error_body(status: int, message: str, *, code: str | None = None, param: str | None = None) -> bytes:
    """An error as OpenAI writes it."""
    kind = _ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    members = {"message": message, "type": kind, "param": param, "code": code or _ERROR_CODES.get(status)}
    return orjson.dumps({"error": members})


def phrase(status: int) -> str:
    """The reason phrase of a status, `Unknown` for those nobody registered."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def model_list(provider: str, models: Iterable[DemoModel], created: int) -> bytes:
    """`GET /models`: OpenAI's list with OpenRouter's prices and lengths."""
    return orjson.dumps(
        {"object": "list", "data": [_model_item(provider, model, created) for model in models]},
    )


def _model_item(provider: str, model: DemoModel, created: int) -> dict[str, object]:
    return {
        "id": model.id,
        "object": "model",
        "created": created,
        "owned_by": provider,
        "name": model.name,
        "description": f"DEMO: simulated text from {provider}. No model stands behind it.",
        "context_length": model.context_length,
        "architecture": {
            "modality": "text->text",
            "input_modalities": ["text"],
            "output_modalities": ["text"],
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": {"prompt": _per_token(model.prompt_price), "completion": _per_token(model.completion_price)},
        "supported_parameters": list(SUPPORTED),
    }


def _per_token(price: int) -> str:
    """Micro-USD per million tokens as USD per token: 250_000 → "0.00000025"."""
    return f"{price // 10**12}.{price % 10**12:012d}".rstrip("0").rstrip(".")
