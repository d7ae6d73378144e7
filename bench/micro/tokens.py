"""Estimating tokens from bytes."""

from collections.abc import Sequence

from bench.micro.timing import Case
from fairlead.catalog.pricing import Usage
from fairlead.wire.tokens import TokenEstimates, text_bytes

_REQUEST = b'{"model":"bench/echo","messages":[{"role":"user","content":%b}]}'
_IMAGE = b'[{"type":"image_url","image_url":{"url":"data:image/png;base64,%b"}}]'


def cases() -> Sequence[Case]:
    """Learning, asking, and what of a request is text."""
    estimates, usage = TokenEstimates(), Usage(190, 24)
    text = _REQUEST % (b'"%b"' % (b"some words and so on " * 90))
    long = _REQUEST % (b'"%b"' % (b"some words and so on " * 5_000))
    image = _REQUEST % (_IMAGE % (b"A" * 1_000_000))
    estimates.observe("a:b/c", usage, 800, 7_000, is_stream=True)
    return [
        Case("observe a reply", lambda: estimates.observe("a:b/c", usage, 800, 7_000, is_stream=True)),
        Case("tokens of a prompt", lambda: estimates.prompt_tokens("a:b/c", 800)),
        Case("tokens of a stream", lambda: estimates.completion_tokens("a:b/c", 7_000, is_stream=True)),
        Case("text of a 2 KB request", lambda: text_bytes(text)),
        Case("text of a 100 KB request", lambda: text_bytes(long)),
        Case("text of a request with a picture of 1 MB", lambda: text_bytes(image)),
    ]
