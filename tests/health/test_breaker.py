import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.health import breaker, sums
from fairlead.health import sums as ix
from fairlead.health.breaker import BreakerLimits, deviance, why_eject
from fairlead.health.estimate import Prior, estimate
from fairlead.health.record import Record, State, Why

LIMITS = BreakerLimits()
NOW = 1_000.0
LN2 = math.log(2.0)
WINDOWS = ((1, ix.E1, ix.N1), (5, ix.E5, ix.N5), (20, ix.E20, ix.N20))


def record(known=(), **members):
    """A healthy endpoint of which these sums are known."""
    found = Record(born=0.0, at=NOW, good_at=NOW, **members)
    for index, value in dict(known).items():
        found.sums[index] = value
    return found


def running(first_token_s, rate=10.0, usual_s=None):
    """Sums of an endpoint that has been at this pace for long; `usual_s` was its pace until 10 s ago."""
    known = {}
    for half_life, waited, came in (*WINDOWS, (120, ix.E120, ix.N120), (120, ix.U120, ix.N120)):
        whole = rate * half_life / LN2
        old = 2.0 ** (-10.0 / half_life) if usual_s else 0.0
        known[came] = whole
        known[waited] = whole * (old * (usual_s or 0.0) + (1.0 - old) * first_token_s)
    return known


def why(one, *others, is_suspect=False, limits=LIMITS):
    return why_eject(one, others, limits, is_suspect=is_suspect)


class TestFailures:
    def test_a_new_endpoint_stays(self):
        assert why(record()) is Why.NOTHING

    @pytest.mark.parametrize(("row", "is_suspect", "expected"), [
        (4, False, Why.NOTHING), (5, False, Why.IN_A_ROW), (1, True, Why.NOTHING), (2, True, Why.IN_A_ROW),
    ])  # fmt: skip
    def test_in_a_row(self, row, is_suspect, expected):
        assert why(record(failures_in_row=row), is_suspect=is_suspect) is expected

    @pytest.mark.parametrize(("attempts", "failures", "expected"), [
        (6.0, 3.0, Why.SHARE), (6.0, 2.9, Why.NOTHING), (5.9, 5.9, Why.NOTHING), (100.0, 50.0, Why.SHARE),
        (100.0, 49.0, Why.NOTHING),
    ])  # fmt: skip
    def test_share_of_the_short_window(self, attempts, failures, expected):
        assert why(record({ix.A2: attempts, ix.F2: failures})) is expected

    @pytest.mark.parametrize(("attempts", "failures", "expected"), [
        (12.0, 6.0, Why.SHARE), (12.0, 5.9, Why.NOTHING), (11.9, 11.9, Why.NOTHING),
    ])  # fmt: skip
    def test_share_of_the_long_window(self, attempts, failures, expected):
        assert why(record({ix.A20: attempts, ix.F20: failures})) is expected

    def test_failures_may_eject_the_last_one(self):
        assert why(record(failures_in_row=5), record(state=State.EJECTED)) is Why.IN_A_ROW


class TestBrokenReplies:
    @pytest.mark.parametrize(("broken", "ended", "expected"), [
        (4.0, 4.0, Why.BROKEN_OFF), (3.9, 3.9, Why.NOTHING), (4.0, 13.0, Why.BROKEN_OFF), (4.0, 13.4, Why.NOTHING),
    ])  # fmt: skip
    def test_so_many_of_so_many(self, broken, ended, expected):
        assert why(record({ix.M3: broken, ix.S3: ended}), record()) is expected

    @pytest.mark.parametrize("others", [(), ("EJECTED",), ("PROBING", "EJECTED")])
    def test_the_last_healthy_one_stays(self, others):
        broken = record({ix.M3: 100.0, ix.S3: 100.0})
        assert why(broken, *(record(state=State[other]) for other in others)) is Why.NOTHING


class TestSlowness:
    GOOD = record(running(0.5))

    def test_six_times_the_usual(self):
        assert why(record(running(3.0, usual_s=0.5)), self.GOOD) is Why.SLOW

    def test_twice_the_usual(self):
        assert why(record(running(1.0, usual_s=0.5)), self.GOOD) is Why.NOTHING

    def test_the_first_to_come_are_the_fast_ones(self):
        """Ten were sent at once; two came after 0.2 s, and eight still wait, as many others of this endpoint will."""
        waited_s = 2 * 0.2 + 8 * 0.9
        one = record(dict.fromkeys((ix.E1, ix.E5, ix.E20, ix.E120), waited_s) | {ix.U120: 0.4})
        for index in (ix.N1, ix.N5, ix.N20, ix.N120):
            one.sums[index] = 2.0
        assert why(one, record(running(0.1))) is Why.NOTHING

    def test_a_black_hole(self):
        """Nothing has come for two seconds, and those who wait (20 by now) are counted as they wait."""
        known = running(0.5)
        for half_life, waited, came in WINDOWS:
            known[came] *= 2.0 ** (-2.0 / half_life)
            known[waited] = known[waited] * 2.0 ** (-2.0 / half_life) + 14.0
        assert why(record(known), self.GOOD) is Why.SLOW

    @given(st.floats(0.01, 20.0), st.floats(0.1, 100.0), st.floats(0.01, 20.0))
    def test_the_last_healthy_one_stays(self, first_token_s, rate, usual_s):
        slow = record(running(first_token_s, rate, usual_s))
        assert why(slow) is Why.NOTHING
        assert why(slow, record(running(0.01), state=State.EJECTED)) is Why.NOTHING
        assert why(slow, record()) is Why.NOTHING, "nobody knows whether the other is any faster"

    @given(st.floats(0.01, 20.0), st.floats(0.1, 100.0), st.floats(0.01, 20.0), st.floats(1.0, 3.0))
    def test_a_slow_best_is_still_the_best(self, first_token_s, rate, usual_s, worse):
        slow = record(running(first_token_s, rate, usual_s))
        paces = [
            slow.sums[waited] / slow.sums[came]
            for waited, came in ((ix.E1, ix.N1), (ix.E5, ix.N5), (ix.E20, ix.N20))
        ]  # fmt: skip
        assert why(slow, record(running(max(paces) * worse + 1e-6))) is Why.NOTHING

    def test_at_most_half_of_them(self):
        slow = record(running(6.0, usual_s=0.5))
        out = record(state=State.EJECTED, why=Why.SLOW)
        for others, expected in (
            ([self.GOOD], Why.SLOW),
            ([self.GOOD, out], Why.NOTHING),
            ([self.GOOD, self.GOOD, out], Why.SLOW),
            ([self.GOOD, self.GOOD, out, out], Why.NOTHING),
        ):
            assert why(slow, *others) is expected

    def test_those_out_for_failures_do_not_count_among_the_slow(self):
        out = record(state=State.EJECTED, why=Why.IN_A_ROW)
        assert why(record(running(6.0, usual_s=0.5)), self.GOOD, out) is Why.SLOW

    def test_one_that_is_probed_for_its_slowness_still_counts(self):
        probed = record(state=State.PROBING, why=Why.SLOW)
        assert why(record(running(6.0, usual_s=0.5)), self.GOOD, probed) is Why.NOTHING

    def test_too_little_to_tell(self):
        """Two slow first tokens of a rarely used endpoint are bad luck."""
        assert why(record(running(6.0, 0.02, usual_s=0.5)), self.GOOD) is Why.NOTHING

    def test_first_tokens_that_take_no_time(self):
        """A clock may not have moved on."""
        timeless = dict.fromkeys((ix.N1, ix.N5, ix.N20, ix.N120), 100.0)
        assert why(record(timeless), self.GOOD) is Why.NOTHING
        assert why(record(running(6.0, usual_s=0.5)), record(timeless), self.GOOD) is Why.SLOW

    @given(st.lists(st.floats(0.0, 1e6), min_size=sums.COUNT, max_size=sums.COUNT), st.floats(0.0, 1e5))
    def test_any_sums_of_any_age(self, vector, seconds):
        one = record()
        one.sums = sums.decayed(vector, seconds)
        assert why(one, self.GOOD, record()) in Why


class TestDeviance:
    def test_as_many_as_expected(self):
        assert deviance(7.0, 7.0) == 0.0

    @given(st.floats(1e-9, 1e9), st.floats(0.0, 1e9))
    def test_it_is_never_negative(self, expected, came):
        assert deviance(expected, came) >= -1e-5

    @given(st.floats(10.0, 1e4))
    def test_near_the_expected_it_is_twice_the_square_of_the_standard_errors(self, expected):
        assert deviance(expected, expected + math.sqrt(expected)) == pytest.approx(2.0, rel=0.15)

    def test_nearly_nothing_of_what_came_is_left(self):
        """After eighteen minutes of silence the sums are the smallest numbers that there are."""
        assert deviance(10.0, 5e-324) == pytest.approx(40.0)
        assert deviance(10.0, 0.0) == 40.0


class TestEjection:
    def ejected(self, one, jitter=0.0, limits=LIMITS, now=NOW):
        breaker.eject(one, Why.SHARE, now, jitter, limits)
        return one.until - now

    def test_what_is_noted(self):
        one = record(failures_in_row=9, epoch=3)
        self.ejected(one)
        assert (one.state, one.why, one.last_why, one.last_ejected_at) == (State.EJECTED, Why.SHARE, Why.SHARE, NOW)
        assert (one.epoch, one.failures_in_row) == (4, 0)

    def test_the_time_doubles_to_the_bound(self):
        one = record()
        assert [self.ejected(one) for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]

    @given(st.floats(0.0, 1.0, exclude_max=True), st.integers(0, 40))
    def test_jitter_only_lengthens_and_by_a_fifth_at_most(self, jitter, before):
        one = record()
        for _ in range(before):
            self.ejected(one)
        plain = min(LIMITS.max_s, LIMITS.min_s * 2.0**before)
        assert plain <= self.ejected(one, jitter) < 1.2 * plain + 1e-9

    def test_it_does_not_overflow(self):
        one = record()
        for _ in range(2_000):
            self.ejected(one)
        assert self.ejected(one) == LIMITS.max_s

    def test_a_failed_probe_leaves_the_reason_as_it_was(self):
        """What the next probe has to show depends on it; people are told what happened last."""
        one = record()
        breaker.eject(one, Why.SLOW, NOW, 0.0, LIMITS)
        breaker.grant(one, NOW + 1.0, LIMITS)
        breaker.eject(one, Why.PROBE, NOW + 2.0, 0.0, LIMITS)
        assert (one.why, one.last_why) == (Why.SLOW, Why.PROBE)


class TestForgiving:
    @pytest.mark.parametrize(("good_s", "level"), [(0.0, 4), (19.9, 4), (20.0, 3), (59.0, 2), (1e9, 0), (-50.0, 4)])
    def test_one_level_for_each_twenty_seconds(self, good_s, level):
        one = record(level=4)
        breaker.forgive(one, NOW + good_s, LIMITS)
        assert one.level == level

    def test_looking_often_is_no_different(self):
        one = record(level=4)
        for i in range(1, 401):
            breaker.forgive(one, NOW + i / 10.0, LIMITS)
        assert one.level == 2

    @pytest.mark.parametrize("state", [State.EJECTED, State.PROBING])
    def test_time_out_of_use_is_not_good_time(self, state):
        one = record(level=4, state=state)
        breaker.forgive(one, NOW + 1_000.0, LIMITS)
        assert one.level == 4

    def test_the_next_ejection_is_as_long_as_the_level_says(self):
        one = record(level=3)
        breaker.eject(one, Why.SHARE, NOW + 40.0, 0.0, LIMITS)
        assert one.until - NOW - 40.0 == 2.0


class TestProbes:
    def test_due_when_the_ejection_is_over(self):
        one = record()
        breaker.eject(one, Why.SHARE, NOW, 0.0, LIMITS)
        assert not breaker.is_probe_due(one, NOW + 0.99)
        assert breaker.is_probe_due(one, NOW + 1.0)

    def test_never_for_a_healthy_one(self):
        assert not breaker.is_probe_due(record(), NOW + 1e6)

    def test_not_while_the_provider_wants_to_be_left_alone(self):
        """A lease that cannot be used would go round the fleet once a second."""
        one = record(cool_until=NOW + 30.0)
        breaker.eject(one, Why.SHARE, NOW, 0.0, LIMITS)
        assert not breaker.is_probe_due(one, NOW + 29.0)
        assert breaker.is_probe_due(one, NOW + 30.0)

    def test_one_lease_at_a_time(self):
        one = record()
        breaker.eject(one, Why.SHARE, NOW, 0.0, LIMITS)
        breaker.grant(one, NOW + 1.0, LIMITS)
        assert (one.state, one.epoch, one.why) == (State.PROBING, 2, Why.SHARE)
        assert not breaker.is_probe_due(one, NOW + 1.99)
        assert breaker.is_probe_due(one, NOW + 2.0), "whoever had it has not been heard of"

    def test_recovery_forgets_nearly_all_of_the_outage(self):
        one = record(dict.fromkeys(range(sums.COUNT), 100.0), state=State.PROBING, why=Why.SLOW, epoch=7, level=2)
        breaker.recover(one, NOW + 5.0, LIMITS)
        assert (one.state, one.why, one.epoch, one.level, one.good_at) == (State.HEALTHY, Why.NOTHING, 8, 2, NOW + 5.0)
        left = {index: one.sums[index] for index in range(sums.COUNT) if one.sums[index] != 100.0}
        errors = dict.fromkeys((ix.F2, ix.F20, ix.M3, ix.M60), pytest.approx(20.0))
        latency = dict.fromkeys((ix.E1, ix.E5, ix.E20, ix.N1, ix.N5, ix.N20, ix.G, ix.K), pytest.approx(2.0))
        assert left == errors | latency

    def test_recovery_forgets_who_waited_in_vain(self):
        one = record(running(0.4) | {ix.E120: 1e6}, state=State.PROBING, why=Why.SLOW)
        breaker.recover(one, NOW, LIMITS)
        assert estimate(one.sums, Prior()).first_token_s == pytest.approx(0.4, rel=0.01)

    def test_what_is_left_does_not_keep_the_traffic_away(self):
        """A fifth of the failures among all the attempts; were both forgotten alike, their share would stay."""
        one = record({ix.A2: 10.0, ix.F2: 9.0, ix.A20: 60.0, ix.F20: 30.0, ix.S60: 50.0, ix.M60: 25.0})
        one.state = State.PROBING
        before = estimate(one.sums, Prior())
        breaker.recover(one, NOW, LIMITS)
        after = estimate(one.sums, Prior())
        assert after.failure < 0.25 * before.failure
        assert after.cut < 0.25 * before.cut

    @given(st.floats(0.0, 50.0), st.floats(0.0, 1.0))
    def test_what_is_left_does_not_eject_at_once(self, attempts, share):
        """Whatever the windows held: a share needs so many attempts, and a fifth of fifty is less than twelve."""
        failures = attempts * share
        one = record({ix.A2: min(attempts, 29.0), ix.F2: min(failures, 29.0), ix.A20: attempts, ix.F20: failures})
        one.state = State.PROBING
        breaker.recover(one, NOW, LIMITS)
        assert why(one, record()) is Why.NOTHING


class TestCoolDown:
    AUTH, LIMIT, OVERLOAD = 6, 8, 9

    def cooled(self, one, now, seconds, reason, does_grow):
        has_changed = breaker.cool(one, now, seconds, reason, LIMITS, does_grow=does_grow)
        return one.cool_until - now if has_changed else None

    def test_as_long_as_was_asked(self):
        one = record()
        assert self.cooled(one, NOW, 7.5, self.LIMIT, False) == 7.5
        assert (one.cool_why, one.state) == (self.LIMIT, State.HEALTHY)

    def test_a_shorter_one_does_not_end_a_longer_one(self):
        one = record()
        self.cooled(one, NOW, 30.0, self.LIMIT, False)
        assert self.cooled(one, NOW + 1.0, 1.0, self.OVERLOAD, False) is None
        assert (one.cool_until, one.cool_why) == (NOW + 30.0, self.LIMIT)

    @pytest.mark.parametrize(("seconds", "reason", "expected"), [
        (60.0, AUTH, [60, 120, 240, 480, 960, 1920, 3600, 3600]),
        (1.0, LIMIT, [1, 2, 4, 8, 16, 32, 60, 60]),
    ])  # fmt: skip
    def test_each_repetition_doubles_it_up_to_sixty_times(self, seconds, reason, expected):
        """An hour for what people must mend, a minute for a rate limit (routing-reference, 3.4)."""
        one, now, times = record(), NOW, []
        for _ in expected:
            times.append(self.cooled(one, now, seconds, reason, True))
            now = one.cool_until
        assert times == expected

    def test_requests_refused_together_count_as_one(self):
        one = record()
        self.cooled(one, NOW, 60.0, self.AUTH, True)
        assert all(self.cooled(one, NOW + i / 10.0, 60.0, self.AUTH, True) is None for i in range(100))
        assert (one.cool_level, one.cool_until) == (1, NOW + 60.0)

    def test_what_went_before_for_another_reason_does_not_make_it_longer(self):
        """Ten limits in a row, and then a key that is refused for this one model."""
        one, now = record(), NOW
        for _ in range(10):
            self.cooled(one, now, 1.0, self.LIMIT, True)
            now = one.cool_until
        assert self.cooled(one, now, 60.0, self.AUTH, True) == 60.0

    def test_limits_and_overload_in_turns_are_one_burst(self):
        one = record()
        for i in range(50):
            self.cooled(one, NOW + i / 100.0, 1.0, self.OVERLOAD if i % 2 else self.LIMIT, not i % 2)
        assert one.cool_until <= NOW + 1.5

    def test_another_that_comes_to_nothing_leaves_the_measure(self):
        one, now = record(), NOW
        for _ in range(3):
            self.cooled(one, now, 60.0, self.AUTH, True)
            now = one.cool_until
        self.cooled(one, now - 100.0, 1.0, self.LIMIT, True)
        assert self.cooled(one, now, 60.0, self.AUTH, True) == 480.0

    def test_it_does_not_overflow(self):
        one, now = record(), NOW
        for _ in range(3_000):
            assert self.cooled(one, now, 60.0, self.AUTH, True) <= 3600.0
            now = one.cool_until


class TestRateCap:
    def limited(self, rate, one=None, now=NOW):
        one = one or record()
        one.sums[ix.A2] = rate * 2.0 / LN2
        breaker.learn_cap(one, now)
        return one

    def test_unlimited_until_it_was_limited(self):
        assert breaker.rate_cap(record(), NOW) == math.inf

    def test_of_a_trickle_nothing_is_learned(self):
        assert breaker.rate_cap(self.limited(0.9), NOW) == math.inf

    def test_a_little_less_than_was_too_much(self):
        assert breaker.rate_cap(self.limited(40.0), NOW) == pytest.approx(0.92 * 40.0)

    def test_it_grows_slowly_near_the_limit_and_fast_beyond(self):
        one = self.limited(40.0)
        caps = [breaker.rate_cap(one, NOW + seconds) / 40.0 for seconds in (0, 10, 20, 50, 100)]
        assert caps == pytest.approx([0.92, 1.024, 1.512, 9.12, 65.32])
        assert caps == sorted(caps)

    def test_a_clock_that_steps_back(self):
        assert breaker.rate_cap(self.limited(40.0), NOW - 100.0) == pytest.approx(0.92 * 40.0)

    def test_of_one_burst_only_the_first_counts(self):
        one = self.limited(40.0)
        for i in range(9):
            self.limited(38.0, one, NOW + 0.1 * i)
        assert (one.cap_rate, one.cap_at) == (pytest.approx(40.0), NOW)

    def test_a_refusal_far_below_it_is_the_providers_own_trouble(self):
        one = self.limited(40.0)
        self.limited(10.0, one, NOW + 5.0)
        assert one.cap_rate == pytest.approx(40.0)

    def test_a_limit_that_was_lowered_is_found(self):
        one, now = self.limited(40.0), NOW
        for _ in range(12):
            now += 2.0
            self.limited(min(20.0, breaker.rate_cap(one, now)), one, now)
            if one.cap_at < now:  # what is let through while the cap is above the limit is refused at the limit
                self.limited(0.9 * breaker.rate_cap(one, now), one, now + 1.0)
        assert breaker.rate_cap(one, now) < 40.0
