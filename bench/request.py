"""What the load asks: 1 KB of chat with the headers of a real SDK."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

ECHO_MODEL = "bench/echo"
HOLD_MODEL = "bench/hold"
"""Sends one event and then nothing more; see `bench.upstream`, also for those that follow."""
BRISK_MODEL = "bench/brisk"
DRIP_MODEL = "bench/drip"
FLOOD_MODEL = "bench/flood"
LARGE_MODEL = "bench/large"
MODELS = (ECHO_MODEL, HOLD_MODEL, BRISK_MODEL, DRIP_MODEL, FLOOD_MODEL, LARGE_MODEL)

_SENTENCE = "You are a careful assistant who answers in one short paragraph and cites every source. "


@dataclass(frozen=True, slots=True)
class Request:
    """What to send and where; built once, sent as it is."""

    host: str
    port: int
    payload: bytes


def chat_body(size_bytes: int = 1024, *, model: str = ECHO_MODEL, stream_events: int = 0) -> bytes:
    """A chat request of exactly `size_bytes` (at least 300); with `stream_events` a streaming one of so many events."""
    body: dict[str, object] = {
        "messages": [{"role": "system", "content": ""}, {"role": "user", "content": "What is a reverse proxy?"}],
        "model": model,
        "max_tokens": stream_events or 256,
        "temperature": 0.2,
    }
    if stream_events:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    missing = size_bytes - len(json.dumps(body, separators=(",", ":")))
    text = (_SENTENCE * (missing // len(_SENTENCE) + 1))[:missing]
    return json.dumps(body, separators=(",", ":")).replace('"content":""', f'"content":"{text}"', 1).encode()


def build_request(url: str, headers: Mapping[str, str], body: bytes) -> Request:
    """A POST of `body` to `url` (http only) with the headers of an OpenAI SDK and `headers` after them."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    lines = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {host}:{port}",
        "Connection: keep-alive",
        "Accept: application/json",
        "Accept-Encoding: gzip, deflate",
        "Content-Type: application/json",
        "User-Agent: AsyncOpenAI/Python 3.51.0",
        "X-Stainless-Lang: python",
        "X-Stainless-Package-Version: 3.51.0",
        "X-Stainless-OS: Linux",
        "X-Stainless-Arch: x64",
        "X-Stainless-Runtime: CPython",
        "X-Stainless-Runtime-Version: 3.12.8",
        "X-Stainless-Async: async:asyncio",
        "x-stainless-retry-count: 0",
        "x-stainless-read-timeout: 600",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"Content-Length: {len(body)}",
    ]
    return Request(host, port, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)
