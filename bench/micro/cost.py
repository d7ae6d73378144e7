"""Putting the cost into a reply, and reading how it ended."""

from collections.abc import Sequence
from functools import partial

from bench.micro.timing import Case
from bench.upstream import canned_body
from fairlead.catalog.model import Price
from fairlead.catalog.pricing import bill_of
from fairlead.wire.cost import CostSplicer, with_cost
from fairlead.wire.ending import finish_reason, reply_id

_EVENT = (
    b'data: {"id":"chatcmpl-bench000000000000000000000000","object":"chat.completion.chunk","created":1700000000,'
    b'"model":"bench/echo","service_tier":"default","system_fingerprint":"fp_bench00000","choices":[%b]%b}\n\n'
)
_WORD = b'{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}'
_END = b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}'
_USAGE = b'"usage":{"prompt_tokens":190,"completion_tokens":24,"total_tokens":214}'


def cases() -> Sequence[Case]:
    """Of a stream's chunks with and without usage, whole and in halves; of whole replies."""
    bill = partial(bill_of, Price(prompt=1_250_000, completion=10_000_000, cache_read=125_000))
    null, word, usage = _EVENT % (_WORD, b',"usage":null'), _EVENT % (_WORD, b""), _EVENT % (b"", b"," + _USAGE)
    tail = null + _EVENT % (_END, b',"usage":null') + usage + b"data: [DONE]\n\n"
    first, second = null[:150], null[150:]
    small, large = canned_body(600), canned_body(100_000)
    feed = CostSplicer(bill).feed
    return [
        Case(f"a chunk of {len(null)} B with usage null", lambda: feed(null)),
        Case(f"a chunk of {len(word)} B without usage", lambda: feed(word)),
        Case("a chunk in two halves", lambda: (feed(first), feed(second))),
        Case("the chunk with the usage", lambda: feed(usage)),
        Case("into a 600 B reply", lambda: with_cost(small, bill)),
        Case("into a 100 KB reply", lambda: with_cost(large, bill)),
        Case("finish reason of a stream's end", lambda: finish_reason(tail)),
        Case("id of a stream's end", lambda: reply_id(tail)),
        Case("id of a 100 KB reply", lambda: reply_id(large)),
    ]
