"""How many tokens some bytes are, where no provider tells: before a request is sent, and of a reply without usage.

Reckoned per endpoint from what its replies with usage have shown: tokenizers differ, and so do the chunks that tokens
come in. An average of bytes over an average of tokens, so that long texts count for more than short ones, which are
mostly envelope. Hidden reasoning is part of it: who bills for it makes fewer bytes per token.
"""

import math
import re

from fairlead.catalog.pricing import Usage

TOKENS_PER_IMAGE = 1_000
"""Roughly what providers count for a picture of a megapixel."""
BASE64_BYTES_PER_TOKEN = 64
"""Of sound, video and documents: between a densely written PDF (some 30) and speech in MP3 (some 300)."""

_BYTES_PER_TOKEN = 4
"""JSON of a prompt per token: English and code are at 3.5 to 4.5, a little of that for the envelope."""
_STREAM_BYTES = 250.0
"""Events per token, of a provider that sends a token at a time: OpenAI's are 295 bytes, smaller engines' 200 to 240."""
_WHOLE_BYTES = 4.5
"""Text in JSON per token of a reply, without its envelope."""
WHOLE_ENVELOPE_BYTES = 500
"""A reply of OpenAI's kind has 520 bytes with no text in it."""

_WEIGHT = 1 / 50
_PRIOR_TOKENS = 100.0
"""How much the first guess is worth, as if it had been seen once."""


class _Ratio:
    """Bytes per token, between `least` and `most` whatever is said."""

    __slots__ = ("_bytes", "_least", "_most", "_observations", "_tokens")

    def __init__(self, guess: float, least: float, most: float) -> None:
        self._tokens = _PRIOR_TOKENS
        self._bytes = guess * _PRIOR_TOKENS
        self._least, self._most = least, most
        self._observations = 1

    def observe(self, size: int, tokens: int) -> None:
        if size <= 0 or tokens <= 0:
            return
        observations = self._observations = self._observations + 1
        weight = 1 / observations if observations * _WEIGHT < 1.0 else _WEIGHT
        least, most = size / self._most, size / self._least
        possible = least if tokens < least else min(tokens, most)
        self._bytes += (size - self._bytes) * weight
        self._tokens += (possible - self._tokens) * weight

    def tokens(self, size: int) -> int:
        return math.ceil(size * self._tokens / self._bytes) if size > 0 else 0


class _Endpoint:
    __slots__ = ("prompt", "stream", "whole")

    def __init__(self) -> None:
        self.prompt = _Ratio(_BYTES_PER_TOKEN, 1.0, 16.0)
        self.stream = _Ratio(_STREAM_BYTES, 2.0, 2_000.0)
        self.whole = _Ratio(_WHOLE_BYTES, 0.05, 2_000.0)


_UNSEEN = _Endpoint()


class TokenEstimates:
    """What is known of each endpoint, by its id. Sizes are in bytes; of a request, as `text_bytes` counts it."""

    __slots__ = ("_endpoints",)

    def __init__(self) -> None:
        self._endpoints: dict[str, _Endpoint] = {}

    def observe(self, endpoint_id: str, usage: Usage, request_bytes: int, reply_bytes: int, is_stream: bool) -> None:
        """Learn from a complete reply whose provider has told its usage."""
        endpoint = self._endpoints.get(endpoint_id)
        if endpoint is None:
            endpoint = self._endpoints[endpoint_id] = _Endpoint()
        endpoint.prompt.observe(request_bytes, usage.prompt_tokens)
        if is_stream:
            endpoint.stream.observe(reply_bytes, usage.completion_tokens)
        else:
            endpoint.whole.observe(_content_bytes(reply_bytes), usage.completion_tokens)

    def prompt_tokens(self, endpoint_id: str, request_bytes: int) -> int:
        """Tokens of a request, rounded up."""
        return self._endpoints.get(endpoint_id, _UNSEEN).prompt.tokens(request_bytes)

    def completion_tokens(self, endpoint_id: str, reply_bytes: int, is_stream: bool) -> int:
        """Tokens of a reply, or of the part of it that has come, rounded up; at least 1 if any byte has come."""
        endpoint = self._endpoints.get(endpoint_id, _UNSEEN)
        if is_stream:
            return endpoint.stream.tokens(reply_bytes)
        return endpoint.whole.tokens(_content_bytes(reply_bytes))


def _content_bytes(reply_bytes: int) -> int:
    return max(reply_bytes - WHOLE_ENVELOPE_BYTES, 1) if reply_bytes > 0 else 0


_BLOCK_BYTES = 4_096
LEAST_ATTACHMENT_BYTES = 2 * _BLOCK_BYTES
"""Less base64 counts as text, which by its length it might be: it is at most twice what a picture counts."""
_DATA_URL = re.compile(rb'data:(image)?[^",]{0,200};base64,')
_OF_DATA_URL = re.compile(rb'"(?:\w{0,16}_)?(?:url|data)"\s{0,8}:\s{0,8}"\Z')
_OF_AUDIO = re.compile(rb'"input_audio"\s{0,8}:\s{0,8}\{[^{}]{0,64}"data"\s{0,8}:\s{0,8}"\Z')
_LOOK_BACK_BYTES = 160


def text_bytes(raw: bytes) -> int:
    """Size of a request with so much text in place of each attachment (base64) as has about as many tokens.

    A picture counts as TOKENS_PER_IMAGE; anything else by its length, and at least as much. Only what stands where a
    provider looks for an attachment is one: text that has base64 in it is text.
    """
    size, at = len(raw), 0
    # Where there is a quote or a space in each block there is none. Thirty times as fast as to search for `;base64,`.
    while at + _BLOCK_BYTES <= len(raw):
        block_end = at + _BLOCK_BYTES
        if raw.find(b'"', at, block_end) < 0 and raw.find(b" ", at, block_end) < 0:
            start, block_end = raw.rfind(b'"', 0, at) + 1, raw.find(b'"', block_end)
            if block_end < 0:
                break
            size += _as_text(raw, start, block_end) - (block_end - start)
        at = block_end
    return size


def _as_text(raw: bytes, start: int, end: int) -> int:
    """The size in text of the string between `start` and `end`: its own if it is no attachment."""
    url = _DATA_URL.match(raw, start, end)
    before = _OF_AUDIO if url is None else _OF_DATA_URL
    if end - start < LEAST_ATTACHMENT_BYTES or before.search(raw, max(0, start - _LOOK_BACK_BYTES), start) is None:
        return end - start
    if url is not None and url[1]:
        return TOKENS_PER_IMAGE * _BYTES_PER_TOKEN
    return max(TOKENS_PER_IMAGE, (end - start) // BASE64_BYTES_PER_TOKEN) * _BYTES_PER_TOKEN
