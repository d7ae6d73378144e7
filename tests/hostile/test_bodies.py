"""JSON at its edges and beyond: it is refused in plain words, or goes on as it came."""

import bisect
import itertools

import pytest

from .bodies import DEPTH, PASSED, REFUSED, chat
from .conftest import LAB_TEXT
from .raw import Raw, ask, chunked, chunks, sized
from .upstream import upstream_body


def is_json(reply):
    return reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("body", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_meant_is_refused(gateway, lab, body, words):
    with Raw(gateway) as raw:
        raw.send(sized(body))
        reply = raw.reply()
        assert (reply.status, is_json(reply)) == (400, True)
        assert words in reply.error["message"]
        assert len(reply.body) < 1_500
        raw.send(sized(chat(), "Connection: close"))
        assert [later.status for later in raw.rest().replies] == [400, 200], "the connection goes on"
    assert [request.body for request in lab.requests] == [upstream_body(chat())]


@pytest.mark.parametrize("body", PASSED.values(), ids=PASSED)
def test_what_is_json_goes_on_as_it_came(gateway, lab, body):
    reply = ask(gateway, chunked(chunks(body[:20], body[20:])))
    assert (reply.status, is_json(reply)) == (200, True)
    assert LAB_TEXT.encode() in reply.body
    assert [request.body for request in lab.requests] == [upstream_body(body)]


def nested(member, depth):
    return chat(b'"%b": {"x": %b}' % (member.encode(), b"[" * depth + b"]" * depth))


@pytest.fixture(scope="module")
def deepest(calm):
    """How deep a member may be nested that nobody looks at."""
    with Raw(calm) as raw:
        asked = itertools.count(1)

        def is_refused(depth):
            raw.send(sized(nested("x", depth)))
            return raw.replies(next(asked))[-1].status == 400

        return bisect.bisect_left(range(DEPTH), True, key=is_refused) - 1


@pytest.mark.parametrize("base", ["/v1", "/api/v1"])
@pytest.mark.parametrize(
    "member", ["debug", "provider", "plugins", "transforms", "stream_options", "reasoning", "n", "user", "tools", "x"]
)
def test_no_depth_is_half_too_deep(gateway, lab, deepest, base, member):
    """Where the decoder draws the line depends on where it is called from: what one call bears the next may not."""
    statuses = set()
    with Raw(gateway) as raw:
        for count, depth in enumerate(range(deepest - 80, deepest + 5), 1):
            raw.send(sized(nested(member, depth), path=f"{base}/chat/completions"))
            statuses.add(raw.replies(count)[-1].status)
    assert 400 in statuses
    assert statuses <= {200, 400}
