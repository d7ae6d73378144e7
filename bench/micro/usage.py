"""Finding the token counts of a reply."""

from collections.abc import Sequence

from bench.micro.timing import Case
from bench.upstream import STREAM_END, canned_body
from fairlead.wire.usage import last_usage, usage_of_reply


def cases() -> Sequence[Case]:
    """Of a whole reply, and of the end of a stream."""
    small, large, tail = canned_body(600), canned_body(100_000), STREAM_END
    return [
        Case("of a 600 B reply", lambda: usage_of_reply(small)),
        Case("of a 100 KB reply", lambda: usage_of_reply(large)),
        Case(f"of the last {len(tail)} B of a stream", lambda: last_usage(tail)),
    ]
