import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.edge.body import SMALL_BYTES, read_body
from fairlead.errors import ApiError, ClientGone
from harness.listener import chunked, listening, post

pytestmark = pytest.mark.anyio

GONE = {"type": "http.disconnect"}


def receiving(*messages):
    """A `receive` that returns `messages`; bytes stand for a part of the body, the last ones for its end."""
    left = list(messages)

    async def receive():
        message = left.pop(0)
        if isinstance(message, bytes):
            return {"type": "http.request", "body": message, "more_body": bool(left)}
        return message

    receive.left = left
    return receive


@pytest.mark.parametrize("parts", [[b""], [b"whole"], [b"in ", b"three ", b"parts"], [b"", b"a", b""]])
async def test_the_whole_body_is_returned(parts):
    assert await read_body(receiving(*parts), {}, 100) == b"".join(parts)


async def test_a_body_in_one_part_is_not_copied():
    body = b"whole"
    assert await read_body(receiving(body), {}, 100) is body


SIZES = st.sampled_from([0, 1, 2, SMALL_BYTES - 1, SMALL_BYTES, 3 * SMALL_BYTES])


@given(sizes=st.lists(SIZES, min_size=1, max_size=12))
async def test_parts_of_any_size_stay_in_order(sizes):
    parts = [bytes([number]) * size for number, size in enumerate(sizes)]
    assert await read_body(receiving(*parts), {}, 1_000_000) == b"".join(parts)


async def test_a_body_in_tiny_parts_takes_little_more_memory_than_itself():
    size, body = 100_000, b"ab"

    async def receive():
        nonlocal size
        size -= 2
        return {"type": "http.request", "body": body[:1] + body[1:], "more_body": size > 0}

    tracemalloc.start()
    try:
        received = await read_body(receive, {}, 1_000_000)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert received == b"ab" * 50_000
    assert peak_bytes < 4 * len(received)


async def test_one_that_says_it_is_too_large_is_not_read():
    receive = receiving(b"x" * 11)
    with pytest.raises(ApiError, match="larger than 10 bytes") as caught:
        await read_body(receive, {b"host": b"x", b"content-length": b"11"}, 10)
    assert (caught.value.status, caught.value.error_type) == (413, "payload_too_large")
    assert receive.left == [b"x" * 11]


@pytest.mark.parametrize(
    ("parts", "left"),
    [([b"x" * 11], 0), ([b"x" * 6, b"x" * 5], 0), ([b"x" * 6, b"x" * 6, b"x", b""], 2)],
    ids=["at once", "with its last part", "before its end"],
)
async def test_one_that_turns_out_too_large_is_read_no_further(parts, left):
    receive = receiving(*parts)
    with pytest.raises(ApiError) as caught:
        await read_body(receive, {b"transfer-encoding": b"chunked"}, 10)
    assert caught.value.status == 413
    assert len(receive.left) == left


@pytest.mark.parametrize("parts", [[b"x" * 10], [b"x" * 5, b"x" * 5]])
async def test_one_of_just_the_limit_is_read(parts):
    assert await read_body(receiving(*parts), {b"content-length": b"10"}, 10) == b"x" * 10


@pytest.mark.parametrize("parts", [[], [b"half"]])
async def test_a_caller_who_leaves_is_told_of(parts):
    with pytest.raises(ClientGone):
        await read_body(receiving(*parts, GONE), {}, 100)


@pytest.mark.parametrize(
    ("request_bytes", "told"),
    [
        (post("/body", b"0123456789"), b"0123456789"),
        (post("/body", b"0123456789x"), b"413"),
        (chunked("/body", b"5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"), b"0123456789"),
        (chunked("/body", b"5\r\n01234\r\n6\r\n56789x\r\n0\r\n\r\n"), b"413"),
    ],
)
async def test_over_a_socket(request_bytes, told):
    async def answer(scope, receive, send):
        try:
            body = await read_body(receive, dict(scope["headers"]), 10)
        except ApiError as refusal:
            body = b"%d" % refusal.status
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async with listening() as listener:
        listener.app.body = answer
        client = await listener.connect()
        await client.send(request_bytes)
        (response,) = await client.responses(1)
        assert response.body == told
