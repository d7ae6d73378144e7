import math
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.health import record, sums
from fairlead.health.board import HealthBoard
from fairlead.health.outcome import OK
from fairlead.health.record import HEADER, Increment, Record, Snapshot, Why, is_plausible, pack, pack_increment, unpack

NUMBERS = st.floats(allow_nan=False)


def increment(**known):
    return Increment(sums.zeros(), **known)


class TestPacking:
    @given(
        st.lists(NUMBERS, min_size=len(HEADER), max_size=len(HEADER)),
        st.lists(NUMBERS, min_size=sums.COUNT, max_size=sums.COUNT),
    )
    def test_there_and_back(self, header, vector):
        known = Record(*header, sums=vector)
        assert unpack(pack(known)) == known

    @given(st.data())
    def test_what_is_plausible_can_be_reckoned_with(self, data):
        """Whatever stands in a record: either it is refused, or no estimate and no decision fails by it."""
        odd = st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 1e308, 1e-320, 1e18, 3.0, 0.5])
        usual = st.floats(0.0, 1e6)
        spoilt = data.draw(st.sets(st.integers(0, len(HEADER) + sums.COUNT - 1), max_size=2))
        numbers = [data.draw(odd if at in spoilt else usual) for at in range(len(HEADER) + sums.COUNT)]
        known = Record(*numbers[: len(HEADER)], sums=numbers[len(HEADER) :])
        known.state, known.why, known.last_why, known.cool_why = data.draw(
            st.tuples(*[st.sampled_from([0.0, 1.0, 2.0]) | odd] * 3, st.sampled_from([0.0, 1.0]))
        )
        known.sums[sums.RX] = data.draw(st.floats(0.0, 10.0)) * known.sums[sums.R0]
        if not is_plausible(known):
            return
        board, now = HealthBoard(rng=random.Random(0)), 1_000.0
        attempt = board.of("p:m", now).begin(now, is_stream=False)
        board.end(attempt, OK, now)
        for flush in board.flushes(now + 1.0):
            board.learn(flush, Snapshot(data.draw(st.floats(0.0, 1e9)), 1, {"p:m": known}, {}), now + 1.0)
        for later in (now + 1.0, now + 2.0, now + 1e6):
            health = board.of("p:m", later)
            assert health.estimate.first_token_s >= 0.0
            assert isinstance(health.is_out(later), bool)
            health.why_not(later)
            board.go_alone(later)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("state", 3.0), ("state", 0.5), ("why", 9.0), ("last_why", -1.0), ("cap_rate", -1.0), ("until", math.nan),
            ("at", math.inf), ("level", 1e300),
        ],
    )  # fmt: skip
    def test_what_is_not(self, name, value):
        known = Record(1.0, 2.0)
        assert is_plausible(known)
        setattr(known, name, value)
        assert not is_plausible(known)

    def test_the_header_names_every_member_in_order(self):
        assert (*HEADER, "sums") == tuple(Record.__dataclass_fields__)

    @pytest.mark.parametrize("data", [b"", b"\0" * 8, pack(Record(1.0, 2.0))[:-1], pack(Record(1.0, 2.0)) + b"\0"])
    def test_what_nobody_packed(self, data):
        with pytest.raises(struct.error):
            unpack(data)

    def test_an_increment_is_its_header_and_its_sums(self):
        news = increment(
            has_success=True, tail=2, cool_s=3.5, cool_why=4, does_cool_grow=True, limited=5, used_epoch=6,
            is_suspect=True, epoch=7, ejected_s=8.5,
        )  # fmt: skip
        values = struct.unpack(f"<{record.INCREMENT_HEADER + sums.COUNT}d", pack_increment(news))
        assert values[: record.INCREMENT_HEADER] == (1.0, 2.0, 3.5, 4.0, 1.0, 5.0, 6.0, 1.0, 7.0, 8.5)
        assert values[record.INCREMENT_HEADER :] == (0.0,) * sums.COUNT

    def test_every_reason_has_its_words(self):
        assert set(record.WHY_TEXT) == set(Why)
        assert len(set(record.WHY_TEXT.values())) == len(Why)


class TestIncrement:
    """What happened one after the other, told as one."""

    @given(st.lists(st.lists(st.booleans(), max_size=6), max_size=8))
    def test_the_row_of_failures_goes_on_over_any_cut(self, parts):
        joined, has_success, row = increment(), False, 0
        for part in parts:
            one = increment()
            for is_success in part:
                one.add(increment(has_success=is_success, tail=0 if is_success else 1))
                row = 0 if is_success else row + 1
                has_success |= is_success
            joined.add(one)
        assert (joined.has_success, joined.tail) == (has_success, row)

    def test_limits_are_counted(self):
        news = increment(limited=2)
        news.add(increment(limited=3))
        assert news.limited == 5

    def test_the_longer_cool_down_stands(self):
        """A 503 that came a moment after a 429 with Retry-After: 30 took the 30 seconds away."""
        for first, second in ((30.0, 1.0), (1.0, 30.0)):
            news = increment(cool_s=first, cool_why=int(first))
            news.add(increment(cool_s=second, cool_why=int(second)))
            assert (news.cool_s, news.cool_why) == (30.0, 30)

    def test_none_leaves_the_one_that_was(self):
        news = increment(cool_s=60.0, cool_why=7, does_cool_grow=True)
        news.add(increment())
        assert (news.cool_s, news.cool_why, news.does_cool_grow) == (60.0, 7, True)


class TestAge:
    def test_sums_decay(self):
        news = Increment([2.0] * sums.COUNT)
        news.age(20.0)
        assert news.sums == pytest.approx(sums.decayed([2.0] * sums.COUNT, 20.0))

    def test_what_ends_comes_nearer(self):
        news = increment(cool_s=30.0, ejected_s=5.0)
        news.age(4.0)
        assert (news.cool_s, news.ejected_s) == (26.0, 1.0)
        news.age(40.0)
        assert (news.cool_s, news.ejected_s) == (0.0, 0.0)

    def test_the_measure_of_one_that_grows_stays_until_it_would_be_over(self):
        """The store doubles it by its own count, so that it must be told the whole."""
        news = increment(cool_s=60.0, does_cool_grow=True)
        news.age(59.0)
        assert news.cool_s == 60.0
        news.age(2.0)
        assert news.cool_s == 0.0

    def test_a_later_one_is_young(self):
        news = increment(cool_s=60.0, does_cool_grow=True)
        news.age(59.0)
        news.add(increment(cool_s=60.0, does_cool_grow=True))
        news.age(59.0)
        assert news.cool_s == 60.0

    def test_one_without_sums_ages_too(self):
        """What is owed to the store while it is away."""
        news = Increment([], cool_s=3.0)
        news.age(1.0)
        assert (news.sums, news.cool_s) == ([], 2.0)
