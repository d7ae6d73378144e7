import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.wire.sse import HELD_BYTES, HELD_FRAMES, first_error, is_only_frame, last_error
from harness.jsontext import damaged

ROLE = b'data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}\n\n'
AZURE = b'data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}\n\n'


def chunk(**delta):
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b": ping",
        b": ping\n",
        b": ping\n\n",
        b":\r\n\r\n: OPENROUTER PROCESSING\r\n\r\n",
        b"\n\n",
        b":a\r:b\r",
        ROLE,
        AZURE + ROLE,
        b": ping\n\n" + ROLE + b": ping\n\n",
        ROLE.replace(b"\n", b"\r\n"),
        ROLE + b"da",
        b"d",
        b"\r\neven",
        ROLE[:40],
        chunk(role="assistant", content=None, tool_calls=[], reasoning="", refusal=None),
        b"event: ping\ndata: {}\n\n",
    ],
)
def test_nothing_that_another_could_not_give_as_well(data):
    assert is_only_frame(data)


@pytest.mark.parametrize(
    "data",
    [
        chunk(content="a"),
        chunk(role="assistant", content=" "),
        chunk(tool_calls=[{"index": 0}]),
        chunk(reasoning="hm"),
        chunk(tomorrow=1),
        ROLE + chunk(content="a"),
        b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n',
        b'data: {"error":{"message":"no"}}\n\n',
        b"data: [DONE]\n\n",
        b"data: broken\n\n",
        b": ping\n\nx",
        b"{}",
        b" : no comment\n",
        ROLE * (HELD_FRAMES + 1),
        b"data: " + b" " * HELD_BYTES,
    ],
)
def test_content(data):
    assert not is_only_frame(data)


def test_a_megabyte_takes_no_time():
    assert is_only_frame(b": ping\n\n" * 100_000)
    assert not is_only_frame(b":" * 1_000_000 + b"\n" + b"\n" * 100_000 + b"x")
    assert not is_only_frame(chunk(content="a") + b"data: x\n\n" * 100_000)


ERROR = b'{"error":{"message":"no","code":429}}'


@pytest.mark.parametrize("before", [b"", b": ping\n\n", AZURE + ROLE])
def test_an_error_before_any_content(before):
    assert first_error(before + b"data: " + ERROR + b"\n\n") == ERROR
    assert first_error(b" " + ERROR) == b" " + ERROR


@pytest.mark.parametrize(
    "data",
    [
        chunk(content="a") + b"data: " + ERROR + b"\n\n",
        chunk(content='"error"'),
        b'data: {"error":null,"choices":[{"delta":{"content":"a"}}]}\n\n',
        b'{"choices":[],"error":null}',
        ROLE,
        b"",
    ],
)
def test_no_error_before_it(data):
    assert first_error(data) is None


SAID_SO = b'{"choices":[{"delta":{},"finish_reason":"error"}]}'


@pytest.mark.parametrize("error", [ERROR, SAID_SO], ids=["error", "finish reason"])
@pytest.mark.parametrize("after", [b"", b"data: [DONE]\n\n", b'data: {"choices":[],"usage":{}}\n\ndata: [DONE]\n\n'])
def test_an_error_after_content(error, after):
    assert last_error(b'lf of one"}}]}\n\n' + chunk(content="a") + b"data: " + error + b"\n\n" + after) == error


@pytest.mark.parametrize(
    "data",
    [
        chunk(content='"error"'),
        b'data: {"error":null,"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n',
        b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop","error":null}]}\n\n',
        b'"error" ' * 1000,
        b'data: {"x":"error"}\n\n',
        b"",
    ],
)
def test_no_error_after_it(data):
    assert last_error(data) is None


FRAMES = [
    ROLE,
    AZURE,
    b": ping\n\n",
    b"event: ping\ndata: {}\n\n",
    b"\n\n",
    b":\r\n\r\n",
    b"data: [DONE]\n\n",
    b"da",
    b"x",
]
CONTENT = [
    chunk(content="Hi"),
    chunk(tool_calls=[{"id": "a"}]),
    b'data: {"error":{"message":"no"}}\n\n',
    b"{",
    b"data: {\n\n",
]
streams = st.lists(
    st.sampled_from(FRAMES + CONTENT) | damaged().map(b"data: %b\n\n".__mod__) | st.binary(max_size=8), max_size=6
)


@given(streams.map(b"".join))
def test_what_has_content_goes_on_having_it(stream):
    """A stream may be cut anywhere: what was taken for content once is not a frame with more of it behind it."""
    seen = [is_only_frame(stream[:end]) for end in range(len(stream) + 1)]
    assert seen == sorted(seen, reverse=True)


@given(streams.map(b"".join), st.sampled_from([b"data: ", b"data:", b"event: error\ndata: "]), damaged())
def test_an_error_is_found_at_either_end(stream, opening, said):
    event = b'%b{"error":%b}\n\n' % (opening, said.replace(b"\n", b" ").replace(b"\r", b" "))
    frames = stream if is_only_frame(stream) and stream.endswith(b"\n\n") else b""
    for found in (first_error(frames + event), last_error(stream + b"\n\n" + event)):
        assert found is None or found in stream + event
    try:
        is_told = msgspec.json.decode(said) is not None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    if is_told:
        assert last_error(stream + b"\n\n" + event) == event.partition(b"data:")[2].strip()
