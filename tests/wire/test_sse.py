import pytest

from fairlead.wire.sse import is_only_comments


@pytest.mark.parametrize(
    "data",
    [b"", b": ping", b": ping\n", b": ping\n\n", b":\r\n\r\n: OPENROUTER PROCESSING\r\n\r\n", b"\n\n", b":a\r:b\r"],
)
def test_signs_of_life(data):
    assert is_only_comments(data)


@pytest.mark.parametrize(
    "data", [b"data: {}\n\n", b": ping\n\ndata: {}\n\n", b": ping\n\nd", b"event: error\n", b"{}", b" : no comment\n"]
)
def test_content(data):
    assert not is_only_comments(data)


def test_a_megabyte_of_comments_takes_no_time():
    assert is_only_comments(b": ping\n\n" * 100_000)
    assert not is_only_comments(b":" * 1_000_000 + b"\n" + b"\n" * 100_000 + b"x")
