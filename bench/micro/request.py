"""Reading a chat request and making the provider's body of it."""

from collections.abc import Sequence

from bench.micro.timing import Case
from bench.request import chat_body
from fairlead.wire.request import ChatRequest, body_bytes

_MODEL = b'"bench-echo-large"'


def _through(raw: bytes) -> int:
    request = ChatRequest.parse(raw)
    return body_bytes(request.spliced(request.upstream_edits(_MODEL, wants_usage=True)))


def cases() -> Sequence[Case]:
    """Parse and splice: the way most clients write it, with white space, and by size."""
    small, stream = chat_body(1024), chat_body(1024, stream_events=100)
    spaced = small.replace(b'","', b'", "').replace(b'":', b'": ')
    parsed = ChatRequest.parse(small)
    edits = parsed.upstream_edits(_MODEL, wants_usage=True)
    large, huge = chat_body(100_000), chat_body(4_000_000)
    return [
        Case("parse, 1 KB", lambda: ChatRequest.parse(small)),
        Case("splice, 1 KB", lambda: parsed.spliced(edits)),
        Case("both, 1 KB", lambda: _through(small)),
        Case("both, 1 KB, a stream", lambda: _through(stream)),
        Case("both, 1 KB, white space", lambda: _through(spaced)),
        Case("both, 100 KB", lambda: _through(large)),
        Case("both, 4 MB", lambda: _through(huge)),
    ]
