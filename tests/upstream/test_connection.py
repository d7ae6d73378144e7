"""One connection: bytes in, messages out; limits of size and time; what may be served next, what was stale."""

import errno
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead import clock
from fairlead.catalog.model import Timeouts
from fairlead.errors import StaleConnection, Truncated, UpstreamError, UpstreamTimeout
from fairlead.upstream.connection import GREEDY_BYTES, WRITELINES_BYTES, Limits
from fairlead.upstream.reply import HIGH_WATER_BYTES
from upstream.corpus import CASES, LIMITS
from upstream.messages import cuts, messages
from upstream.peer import OK
from upstream.tape import Deck, HandLoop, MoreToComeError, done


def play(case, pieces):
    """Feed the pieces of a reply, and return what a reader sees."""
    deck = Deck(LIMITS)
    deck.send()
    deck.feed(*pieces)
    if case.is_closed:
        deck.end()
    return deck.outcome()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
class TestCorpus:
    def test_in_one_read(self, case):
        assert play(case, [case.wire]) == case.outcome

    def test_split_in_two_anywhere(self, case):
        for at in range(1, len(case.wire)):
            assert play(case, [case.wire[:at], case.wire[at:]]) == case.outcome, at

    def test_byte_by_byte(self, case):
        assert play(case, [case.wire[at : at + 1] for at in range(len(case.wire))]) == case.outcome


@given(st.data())
def test_any_replies_in_a_row_come_out_as_they_were_meant(data):
    deck = Deck()
    for message in data.draw(st.lists(messages(), min_size=1, max_size=4)):
        deck.send()
        deck.feed(*data.draw(cuts(message.wire())))
        if message.framing == "close":
            deck.end()
        assert deck.outcome() == message.outcome(is_kept=message.framing != "close")
        if message.framing == "close":
            return
    assert deck.lost == 0


class TestRequest:
    def test_a_small_body_is_written_with_its_head(self):
        deck = Deck()
        deck.send(b"{", memoryview(b"}"))
        assert deck.tape.writes == [b"POST / HTTP/1.1\r\n\r\n{}"]

    def test_a_large_body_is_not_copied(self):
        deck, body = Deck(), bytes(WRITELINES_BYTES + 1)
        deck.send(b"{", body)
        assert deck.tape.writes[2] is body


class TestReuse:
    def test_one_request_after_another(self):
        deck = Deck()
        for served in range(3):
            assert deck.connection.served == served
            deck.send()
            deck.feed(OK)
        assert (deck.kept, deck.lost) == (3, 0)

    def test_not_while_the_request_is_still_being_written(self):
        deck = Deck()
        deck.send()
        deck.tape.unsent_bytes = 1
        deck.feed(OK)
        assert deck.outcome().body == b"ok"
        assert not deck.is_kept

    def test_not_before_the_request_has_been_written(self):
        """What came is no answer to it, and it is not to go out any more."""
        deck = Deck()
        deck.send(is_held=True)
        deck.feed(OK)
        deck.turn.end()
        assert deck.tape.writes == []
        assert not deck.is_kept

    @pytest.mark.parametrize("wire", [OK, b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n", b"\r\n", b"x"])
    def test_not_after_bytes_nobody_asked_for(self, wire):
        deck = Deck()
        deck.send()
        deck.feed(OK)
        assert deck.connection.is_usable
        deck.feed(wire)
        assert not deck.connection.is_usable

    def test_what_comes_behind_a_reply_is_none_of_it(self):
        """Also if it is broken, after some content of its own."""
        deck = Deck()
        deck.send()
        deck.feed(OK + b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx\0")
        outcome = deck.outcome()
        assert (outcome.error, b"x" in outcome.body) == ("", False)
        assert deck.tape.is_aborted

    def test_not_after_the_provider_has_closed(self):
        deck = Deck()
        deck.send()
        deck.feed(OK)
        deck.connection.eof_received()
        assert not deck.connection.is_usable

    def test_not_after_an_aborted_reply(self):
        deck = Deck()
        deck.send().abort()
        assert not deck.connection.is_usable
        with pytest.raises(Truncated):
            done(deck.reply.head())


class TestLimits:
    def test_content_that_came_with_the_head_is_not_counted_as_head(self):
        deck = Deck(Limits(max_head_bytes=100))
        deck.send()
        deck.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n" + bytes(2000))
        assert deck.outcome().body == bytes(2000)

    def test_framing_is_counted_between_content(self):
        deck = Deck(Limits(max_framing_bytes=100))
        deck.send()
        deck.feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(50):
            deck.feed(b"1;" + b"x" * 40 + b"\r\n", b"a", b"\r\n")
        deck.feed(b"0\r\n\r\n")
        assert deck.outcome().body == b"a" * 50

    def test_reading_pauses_for_a_slow_reader(self):
        deck = Deck()
        deck.send()
        deck.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", bytes(HIGH_WATER_BYTES))
        assert not deck.tape.is_paused
        deck.feed(b"x")
        assert deck.tape.is_paused
        assert len(done(deck.reply.read())) == HIGH_WATER_BYTES + 1
        assert not deck.tape.is_paused

    @pytest.mark.parametrize("is_closed", [False, True])
    def test_after_a_read_of_much_others_have_their_turn(self, loop, is_closed):
        """However fast its reader is."""
        deck = Deck(loop=loop)
        got = []
        reading = deck.send()
        reading._sink = lambda data: got.append(len(data)) or True
        deck.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", bytes(GREEDY_BYTES - 1))
        assert not deck.tape.is_paused
        deck.feed(bytes(GREEDY_BYTES))
        assert deck.tape.is_paused
        if is_closed:
            deck.connection.abort()
        loop.turn()
        assert deck.tape.is_paused == is_closed
        assert got == [GREEDY_BYTES - 1, GREEDY_BYTES]

    def test_reading_goes_on_when_a_reply_is_complete_and_unread(self):
        deck = Deck()
        deck.send()
        deck.feed(
            b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (HIGH_WATER_BYTES + 2), bytes(HIGH_WATER_BYTES + 1)
        )
        deck.feed(b"x")
        assert deck.is_kept
        assert not deck.tape.is_paused
        assert len(done(deck.reply.read())) == HIGH_WATER_BYTES + 2


@pytest.fixture
def loop(monkeypatch):
    loop = HandLoop()
    monkeypatch.setattr(clock, "monotonic", lambda: loop.now)
    return loop


class TestTimeouts:
    """First content within 10 s, silence of at most 5 s after that, everything within 60 s."""

    CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

    @pytest.fixture
    def deck(self, loop):
        deck = Deck(loop=loop)
        deck.send(timeouts=Timeouts(first_byte_s=10.0, idle_s=5.0, total_s=60.0), total_s=60.0)
        return deck

    @staticmethod
    def phase(deck):
        """The limit that ran out, or None."""
        try:
            done(deck.reply.head())
            while not deck.reply.is_drained:
                done(deck.reply.read())
        except UpstreamTimeout as error:
            assert deck.tape.is_aborted
            return error.phase, error.limit_s
        except MoreToComeError:
            assert not deck.tape.is_aborted
        return None

    def test_no_reply(self, loop, deck):
        loop.advance(9.9)
        assert self.phase(deck) is None
        loop.advance(0.2)
        assert self.phase(deck) == ("first_byte", 10.0)

    @pytest.mark.parametrize("wire", [b"HTTP/1.1 103 Early Hints\r\n\r\n", CHUNKED, CHUNKED + b"5;ext"])
    def test_head_and_framing_are_not_content(self, loop, deck, wire):
        loop.advance(9.9)
        deck.feed(wire)
        loop.advance(0.2)
        assert self.phase(deck) == ("first_byte", 10.0)

    def test_silence_after_content(self, loop, deck):
        loop.advance(9.0)
        deck.feed(self.CHUNKED, b"1\r\na\r\n")
        loop.advance(4.9)
        assert self.phase(deck) is None
        deck.feed(b"5;framing")
        loop.advance(0.2)
        assert self.phase(deck) == ("idle", 5.0)

    @pytest.mark.parametrize("after_s", [0.0, 1.0, 3.5, 8.0])
    def test_silence_begins_at_any_time(self, loop, deck, after_s):
        """Though no timer is moved for content."""
        deck.connection.abort()
        deck = Deck(loop=loop)
        deck.send(timeouts=Timeouts(first_byte_s=10.0, idle_s=3.0))
        loop.advance(after_s)
        deck.feed(self.CHUNKED, b"1\r\na\r\n")
        loop.advance(2.9)
        assert self.phase(deck) is None
        loop.advance(0.2)
        assert self.phase(deck) == ("idle", 3.0)

    def test_a_drip_keeps_it_alive_until_the_deadline(self, loop, deck):
        deck.feed(self.CHUNKED)
        for _ in range(13):
            deck.feed(b"1\r\na\r\n")
            loop.advance(4.5)
            assert self.phase(deck) is None
        deck.feed(b"1\r\na\r\n")
        loop.advance(1.6)
        assert self.phase(deck) == ("total", 60.0)

    def test_a_pause_of_the_reader_is_not_the_providers(self, loop, deck):
        deck.feed(self.CHUNKED, b"fffff\r\n", bytes(HIGH_WATER_BYTES + 1))
        assert deck.tape.is_paused
        loop.advance(32.0)
        done(deck.reply.read())
        assert not deck.tape.is_paused
        loop.advance(4.9)
        assert self.phase(deck) is None
        loop.advance(0.2)
        assert self.phase(deck) == ("idle", 5.0)

    def test_the_deadline_holds_for_a_paused_reader(self, loop, deck):
        deck.feed(self.CHUNKED, b"fffff\r\n", bytes(HIGH_WATER_BYTES + 1))
        loop.advance(60.1)
        done(deck.reply.read())
        assert self.phase(deck) == ("total", 60.0)

    def test_an_upload_that_moves_is_waited_for(self, loop, deck):
        for unsent_bytes in (4000, 3000, 2000, 0):
            deck.tape.unsent_bytes = unsent_bytes
            loop.advance(9.9)
        assert self.phase(deck) is None  # the last of it left less than 10 s ago
        loop.advance(0.5)
        assert self.phase(deck) == ("first_byte", 10.0)

    def test_an_upload_that_stops_is_not(self, loop, deck):
        deck.tape.unsent_bytes = 4000
        loop.advance(10.1)
        assert self.phase(deck) is None
        loop.advance(10.1)
        assert self.phase(deck) == ("first_byte", 10.0)

    def test_nothing_runs_out_after_the_end(self, loop, deck):
        deck.feed(OK)
        loop.advance(100.0)
        assert deck.outcome().error == ""
        assert deck.is_kept

    def test_one_that_takes_its_time_is_not_cut_off_by_what_was_set_for_an_earlier_one(self, loop, deck):
        for _ in range(3):
            deck.feed(OK)
            loop.advance(1.3)
            deck.send(timeouts=Timeouts(first_byte_s=10.0, idle_s=5.0))
        loop.advance(9.9)
        assert self.phase(deck) is None
        loop.advance(0.2)
        assert self.phase(deck) == ("first_byte", 10.0)

    def test_however_many_there_were_one_timer_is_left_and_none_after_the_connection(self, loop, deck):
        for first_byte_s in (10.0, 2.0, 10.0, 1.0, 3.0):
            deck.feed(OK)
            deck.send(timeouts=Timeouts(first_byte_s=first_byte_s, idle_s=5.0))
        assert sum(not timer.cancelled() for timer in loop._timers) == 1
        deck.break_off()
        assert all(timer.cancelled() for timer in loop._timers)

    def test_every_request_has_its_own(self, loop, deck):
        deck.feed(OK)
        loop.advance(9.0)
        deck.send(timeouts=Timeouts(first_byte_s=2.0))
        loop.advance(1.9)
        assert self.phase(deck) is None
        loop.advance(0.2)
        assert self.phase(deck) == ("first_byte", 2.0)


@pytest.mark.skipif(sys.platform != "linux", reason="the proof is in Linux' TCP_INFO")
class TestStale:
    """Who closed first? The kernel's socket is real, and the tape above it sends unless the test holds it back."""

    @pytest.fixture
    def deck(self, tcp_pair):
        deck = Deck(sock=tcp_pair.ours)
        deck.tape.send = tcp_pair.send
        for _ in range(20):  # until the kernel takes them for talkers, whose acknowledgements wait for an answer
            deck.send()
            tcp_pair.answer(OK)
            deck.feed(OK)
        return deck

    @pytest.fixture(params=[0.0, 1.0], ids=["at once", "after a while"])
    def idle(self, request, deck):
        """The connection, after it has been kept for some time."""
        deck.connection.idle_since -= request.param
        return deck

    @staticmethod
    def error(deck):
        with pytest.raises(UpstreamError) as caught:
            done(deck.reply.head())
        return caught.type

    @pytest.mark.parametrize("how", ["close", "reset"])
    def test_closed_before_we_send(self, deck, tcp_pair, how):
        deck.connection.idle_since -= 1.0
        getattr(tcp_pair, how)()
        deck.tape.writes.clear()
        with pytest.raises(StaleConnection):
            deck.send()
        assert (deck.tape.writes, deck.connection.is_usable) == ([], False)

    def test_closed_while_the_request_was_under_way(self, idle, tcp_pair):
        idle.tape.send = None
        idle.send()
        tcp_pair.close()
        idle.end()
        assert self.error(idle) is StaleConnection

    def test_closed_before_the_request_left(self, idle, tcp_pair):
        idle.tape.writes.clear()
        idle.send(is_held=True)
        tcp_pair.close()
        idle.end()
        idle.turn.end()
        assert self.error(idle) is StaleConnection
        assert idle.tape.writes == []

    def test_closed_and_then_written_to(self, deck, tcp_pair):
        """The loop would have reported an older close, so a young one is not looked for."""
        tcp_pair.close()
        deck.tape.send = tcp_pair.ours.sendall
        deck.send()
        deck.end()
        assert self.error(deck) is StaleConnection

    def test_closed_after_the_request_had_come(self, idle, tcp_pair):
        idle.send()
        tcp_pair.close()
        idle.end()
        assert self.error(idle) is Truncated

    def test_closed_after_a_part_of_it_had_come(self, idle, tcp_pair):
        idle.tape.send = lambda data: tcp_pair.send(data[:1000])
        idle.send(bytes(100_000))
        tcp_pair.close()
        idle.end()
        assert self.error(idle) is Truncated

    def test_reset_after_the_request_had_come(self, idle, tcp_pair):
        idle.send()
        tcp_pair.reset()
        idle.break_off(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
        assert self.error(idle) is Truncated

    def test_closed_after_some_of_a_reply(self, idle, tcp_pair):
        idle.tape.send = None
        idle.send()
        tcp_pair.close()
        idle.feed(b"HTTP/1.1 100 Continue\r\n\r\n")
        idle.end()
        assert self.error(idle) is Truncated

    def test_a_fresh_connection_never_is(self, tcp_pair):
        deck = Deck(sock=tcp_pair.ours)
        deck.send()
        tcp_pair.close()
        deck.end()
        assert self.error(deck) is Truncated

    @pytest.mark.parametrize("idle_s", [0.0, 1.0])
    def test_not_where_the_kernel_does_not_count(self, idle_s):
        class Uncounted:
            @staticmethod
            def getsockopt(level, option, size):
                return bytes([1]) + bytes(size - 1)

        deck = Deck(sock=Uncounted())
        deck.send()
        deck.feed(OK)
        deck.connection.idle_since -= idle_s
        deck.send()
        deck.end()
        assert self.error(deck) is Truncated
