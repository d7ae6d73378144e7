"""Times, pure; the bytes of each fault are proven on a socket in `test_connection.py`."""

from dataclasses import replace

import pytest

from fairlead.demo.performance import PIECE_BYTES, Ending, stage
from fairlead.demo.personality import INSTANT, Pace
from fairlead.demo.reply import Reply, reply_of
from fairlead.demo.script import PLAIN, Script

EVENTS = [b"data: %d\n\n" % n for n in range(5)]
STREAM = Reply(200, "text/event-stream", EVENTS, sum(map(len, EVENTS)), is_stream=True, words=3)
BODY = replace(reply_of(b'{"text":"%b"}' % (b"x" * 90)), words=10)


def play(reply, script=PLAIN, pace=INSTANT, keep_alive=True):
    performance = stage(reply, script, pace, provider="demo", keep_alive=keep_alive)
    return [(round(after_s, 6), data) for after_s, data in performance.steps], performance.ending


def wire(steps):
    return b"".join(data for _, data in steps)


@pytest.mark.parametrize("reply", [STREAM, BODY])
def test_without_delays_a_reply_is_one_write(reply):
    (step,), ending = play(reply)
    assert step[0] == 0.0
    assert step[1].startswith(b"HTTP/1.1 200 OK\r\n")
    assert ending is Ending.KEEP


@pytest.mark.parametrize("reply", [STREAM, BODY])
def test_the_short_way_and_the_long_way_send_the_same(reply):
    assert play(reply) == play(reply, Script(cut_after=None, first_byte_delay_s=0.0))


def test_a_peer_that_closes_is_told_so():
    ((_, data),), ending = play(BODY, keep_alive=False)
    assert b"\r\nconnection: close\r\n" in data
    assert ending is Ending.CLOSE


def test_the_pace_of_a_stream_is_first_token_then_one_event_at_a_time():
    steps, _ = play(STREAM, pace=Pace(0.2, 0.01))
    assert [after_s for after_s, _ in steps] == [0.2, 0.01, 0.01, 0.01, 0.01]
    assert steps[0][1].endswith(b"\r\n\r\n9\r\ndata: 0\n\n\r\n")
    assert steps[-1][1].endswith(b"0\r\n\r\n")


def test_the_pace_of_a_whole_reply_is_the_time_to_generate_it():
    ((after_s, _),), _ = play(BODY, pace=Pace(0.2, 0.01))
    assert after_s == 0.3


def test_scripted_delays_replace_the_pace():
    script = Script(first_byte_delay_s=1, first_token_delay_s=2, token_delay_s=3)
    steps, _ = play(STREAM, script, Pace(0.2, 0.01))
    assert [after_s for after_s, _ in steps] == [1, 2, 3, 3, 3, 3]
    assert steps[0][1].endswith(b"\r\n\r\n")


def test_a_whole_reply_drips_in_pieces():
    steps, _ = play(BODY, Script(token_delay_s=3))
    assert [after_s for after_s, _ in steps] == [0, *[3] * (BODY.length // PIECE_BYTES)]
    assert wire(steps).endswith(b"\r\n\r\n" + BODY.pieces[0])


def test_slow_headers_come_byte_by_byte():
    steps, _ = play(BODY, Script(slow_headers=0.5, first_byte_delay_s=2))
    head, body = wire(steps).split(b"\r\n\r\n")
    assert [after_s for after_s, _ in steps] == [2, *[0.5] * (len(head) + 3)]
    assert steps[-1][1] == b"\n" + body


def test_informational_replies_do_not_wait_for_the_head():
    (first, second), _ = play(BODY, Script(informational=2, first_byte_delay_s=1))
    assert (first[0], first[1].count(b"HTTP/1.1 103 Early Hints\r\n")) == (0, 2)
    assert second[0] == 1


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("reply", [STREAM, BODY])
def test_recutting_loses_nothing_and_each_piece_is_its_own_write(reply, size):
    steps, ending = play(reply, Script(chunk_bytes=size))
    assert {len(data) for _, data in steps[:-1]} == {size}
    assert {after_s for after_s, _ in steps} == {0}
    assert ending is Ending.KEEP
    assert wire(steps).startswith(b"HTTP/1.1 200 OK\r\n")


def test_recutting_keeps_the_sum_of_the_delays():
    steps, _ = play(STREAM, Script(chunk_bytes=11, token_delay_s=0.25))
    assert sum(after_s for after_s, _ in steps) == 1.0


@pytest.mark.parametrize(
    ("script", "ending"),
    [
        (Script(hang=True), Ending.SILENCE),
        (Script(head_then_hang=True), Ending.SILENCE),
        (Script(stall_after=2), Ending.SILENCE),
        (Script(stall_after=2, cut_after=3), Ending.SILENCE),
        (Script(stall_after=3, cut_after=2), Ending.CLOSE),
        (Script(cut_after=2), Ending.CLOSE),
        (Script(cut_after=2, cut="reset"), Ending.RESET),
        (Script(reset_on_accept=True), Ending.RESET),
        (Script(garbage=b"?"), Ending.CLOSE),
        (Script(truncate_length=1), Ending.CLOSE),
        (Script(close_delimited=True), Ending.CLOSE),
        (Script(keepalive_close=True), Ending.CLOSE),
        (Script(trailers=(("a", "b"),)), Ending.KEEP),
    ],
)
def test_endings(script, ending):
    assert play(STREAM, script)[1] is ending


def test_a_flood_is_made_as_it_is_taken():
    taken = 0

    def blocks():
        nonlocal taken
        for _ in range(1_000_000):
            taken += 1
            yield b"x" * 16384

    flood = Reply(200, "text/event-stream", blocks(), 16384 * 1_000_000, is_stream=True)
    performance = stage(flood, Script(flood_bytes=1024), INSTANT, provider="demo", keep_alive=True)
    for _ in range(10):
        next(performance.steps)
    assert taken < 60
