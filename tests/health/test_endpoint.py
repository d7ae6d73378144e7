import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.health import sums
from fairlead.health import sums as ix
from fairlead.health.bearing import Bearing
from fairlead.health.endpoint import OVERDUE, OVERDUE_WHOLE, VERDICTS, EndpointHealth
from fairlead.health.estimate import Estimate, Prior
from fairlead.health.outcome import OK, RULES, Counts, Outcome, Verdict
from fairlead.health.record import Record, State, Why

V = Verdict
NOW = 1_000.0
OFFSET = -40_000.0
"""This worker's clock minus the store's."""
USUAL_S = 0.5
FAILURE = Outcome(V.TRANSIENT, 500)


def endpoint(now=NOW):
    return EndpointHealth("p:m", now)


def known(now=NOW, fleet=1, **members):
    """One of which the fleet knows that it is in some state."""
    health = endpoint(now)
    learn(health, now, fleet, **members)
    return health


def learn(health, now, fleet=1, **members):
    at = now - OFFSET
    health.learn(Record(born=at, at=at, good_at=at, **members), OFFSET, Prior(USUAL_S, 0.02), fleet, now)


def served(health, now, waited_s=0.5, outcome=OK, *, has_content=True):
    attempt = health.begin(now, is_stream=True)
    if has_content and outcome.rule.counts is not Counts.FAILURE:
        health.first_token(attempt, now + waited_s)
    health.end(attempt, outcome, now + waited_s)


class TestCounting:
    @pytest.mark.parametrize("kind", V)
    @pytest.mark.parametrize("had_content", [False, True])
    def test_what_each_verdict_adds(self, kind, had_content):
        health = endpoint()
        attempt = health.begin(NOW, is_stream=True)
        if had_content:
            health.first_token(attempt, NOW + 0.5)
        health.end(attempt, Outcome(kind), NOW + 1.0)
        news = health.tick(NOW + 1.0)
        counts = RULES[kind].counts
        if counts is Counts.FAILURE and had_content:
            counts = Counts.BREAK
        assert news.sums[ix.A20] == (had_content or counts in (Counts.SUCCESS, Counts.FAILURE))
        assert news.sums[ix.F20] == (counts is Counts.FAILURE)
        assert news.sums[ix.S60] == (counts in (Counts.SUCCESS, Counts.BREAK))
        assert news.sums[ix.M60] == (counts is Counts.BREAK)
        assert news.sums[ix.N120] == had_content
        assert news.has_success == (had_content or counts is Counts.SUCCESS)
        assert news.tail == (counts in (Counts.FAILURE, Counts.BREAK))
        assert news.limited == (kind is V.LIMIT)

    @pytest.mark.parametrize("had_content", [False, True])
    @pytest.mark.parametrize("kind", V)
    def test_for_uptime_each_attempt_counts_once_when_it_is_over(self, kind, had_content):
        health, expected = endpoint(), {None: (0, 0), False: (1, 0), True: (1, 1)}
        attempt = health.begin(NOW, is_stream=True)
        if had_content:
            health.first_token(attempt, NOW + 0.5)
        assert health.take_tried() == (0, 0)
        health.end(attempt, Outcome(kind), NOW + 1.0)
        assert health.take_tried() == expected[RULES[kind].is_up]
        assert health.take_tried() == (0, 0)

    @given(st.lists(st.tuples(st.sampled_from(V), st.booleans()), max_size=30))
    def test_never_more_failures_than_attempts_nor_more_breaks_than_replies(self, attempts):
        health = endpoint()
        for kind, had_content in attempts:
            attempt = health.begin(NOW, is_stream=True)
            if had_content:
                health.first_token(attempt, NOW)
            health.end(attempt, Outcome(kind), NOW)
        s = health.tick(NOW).sums
        assert s[ix.F2] <= s[ix.A2] <= len(attempts)
        assert s[ix.M3] <= s[ix.S3] <= len(attempts)

    def test_the_row_of_failures_is_that_since_the_last_success(self):
        health = endpoint()
        for second, outcome in enumerate((FAILURE, FAILURE, OK, FAILURE, Outcome(V.CLIENT, 400), FAILURE)):
            served(health, NOW + second, outcome=outcome, has_content=outcome is OK)
        news = health.tick(NOW + 9.0)
        assert (news.has_success, news.tail) == (True, 2)

    def test_content_ends_it_at_once_and_a_break_begins_it_anew(self):
        """A long reply says at its beginning that the endpoint works."""
        health = endpoint()
        served(health, NOW, outcome=FAILURE, has_content=False)
        attempt = health.begin(NOW + 1.0, is_stream=True)
        health.first_token(attempt, NOW + 1.5)
        news = health.tick(NOW + 2.0)
        assert (news.has_success, news.tail) == (True, 0)
        health.end(attempt, Outcome(V.CUT), NOW + 3.0)
        news = health.tick(NOW + 4.0)
        assert (news.has_success, news.tail) == (False, 1)

    def test_what_began_before_the_last_failure_does_not_end_it(self):
        """It says nothing of the time since: replies that were under way go on while nothing new is accepted."""
        health = endpoint()
        early = health.begin(NOW, is_stream=True)
        served(health, NOW + 1.0, outcome=FAILURE, has_content=False)
        health.first_token(early, NOW + 2.0)
        health.end(early, OK, NOW + 3.0)
        assert health.news.tail == 1
        late = health.begin(NOW + 3.0, is_stream=False)
        health.end(late, OK, NOW + 4.0)
        assert (health.news.has_success, health.news.tail) == (True, 0)

    @given(st.lists(st.tuples(st.floats(0.0, 3.0), st.booleans()), max_size=40), st.sampled_from([0.0, 1e6, 2e9]))
    def test_what_is_under_way_is_an_integral(self, steps, origin):
        """Whatever begins and ends when, and wherever the ticks cut it."""
        health, now, under_way, level, area = EndpointHealth("p:m", origin), origin, [], 0, 0.0
        told = sums.zeros()
        told_at = origin
        for pause_s, does_begin in steps:
            area += level * pause_s
            now += pause_s
            if does_begin:
                under_way.append(health.begin(now, is_stream=True))
                level += 1
            elif under_way:
                health.end(under_way.pop(0), OK, now)
                level -= 1
            told = sums.added(sums.decayed(told, now - told_at), health.tick(now).sums)
            told_at = now
            assert health.in_flight == len(health.waiting) == level
            assert min(told) >= 0.0
        slack = 1e-6 + 1e-4 * (origin > 1e9)
        assert told[ix.C3] <= area + slack
        if now - origin < 0.05:
            assert told[ix.C3] == pytest.approx(area, rel=0.05, abs=slack)

    def test_nothing_is_left_when_nothing_is_under_way(self):
        health = endpoint()
        for i in range(50):
            served(health, NOW + i, outcome=Outcome(VERDICTS[i % len(VERDICTS)]))
        assert (health.in_flight, health.waiting) == (0, {})
        health.take_news(NOW + 60.0)
        assert not health.is_active
        s = health.tick(NOW + 100.0).sums
        assert s == sums.zeros()

    def test_load_at_the_beginning_is_the_fleets(self):
        health = known(fleet=4)
        health.estimate.in_flight = 9.0
        assert health.begin(NOW, is_stream=True).load == pytest.approx(math.log(10.0))
        assert health.begin(NOW, is_stream=True).load == pytest.approx(math.log(11.0))
        health.estimate.in_flight = 0.0
        health.sent_in_flight = 2
        assert health.begin(NOW, is_stream=True).load == pytest.approx(math.log(3.0)), "its own at least"


class TestWaiting:
    @given(
        st.floats(0.01, 20.0),
        st.lists(st.floats(0.01, 1.0), max_size=30),
        st.booleans(),
    )
    def test_the_whole_wait_is_counted_once(self, waits_s, ticks, is_stream):
        """However much of it while it lasted."""
        health, told = known(), 0.0
        health.estimate.elasticity = 0.0
        attempt = health.begin(NOW, is_stream=is_stream)
        now = NOW
        for pause_s in ticks:
            if now + pause_s < NOW + waits_s:
                now += pause_s
                told += health.tick(now).sums[ix.E120]
        assert told <= now - NOW + 1e-9
        if is_stream:
            health.first_token(attempt, NOW + waits_s)
        else:
            health.end(attempt, OK, NOW + waits_s)
            health.replied(attempt, NOW + waits_s, 0.0, 0)
        s = health.tick(NOW + waits_s).sums
        assert told + s[ix.E120] == pytest.approx(s[ix.U120]) == pytest.approx(waits_s)
        assert s[ix.N120] == 1

    def test_it_counts_from_seven_tenths_of_the_usual_on(self):
        health = known()
        health.begin(NOW, is_stream=True)
        late_at = NOW + OVERDUE * USUAL_S
        assert health.tick(late_at - 0.01).sums[ix.E1] == 0.0
        assert health.tick(late_at + 0.01).sums[ix.E1] == pytest.approx(OVERDUE * USUAL_S + 0.01)
        assert health.tick(late_at + 0.11).sums[ix.E1] == pytest.approx(0.1)

    def test_to_the_usual_only_what_has_come_counts(self):
        """Or an outage would raise what is usual, and the bar for what is slow with it."""
        health = known()
        health.estimate.elasticity = 0.0
        lost, late = health.begin(NOW, is_stream=True), health.begin(NOW, is_stream=True)
        s = health.tick(NOW + 4.0).sums
        assert (s[ix.E120], s[ix.U120]) == (pytest.approx(8.0), 0.0)
        health.first_token(late, NOW + 5.0)
        health.end(lost, FAILURE, NOW + 5.0)
        s = health.tick(NOW + 5.0).sums
        assert (s[ix.E120], s[ix.U120], s[ix.N120]) == (pytest.approx(1.0), pytest.approx(5.0), 1)

    def test_those_who_began_later_are_not_late(self):
        health = known()
        for i in range(10):
            health.begin(NOW + i / 10.0, is_stream=True)
        assert health.tick(NOW + 1.0).sums[ix.E1] == pytest.approx(sum(w / 10.0 for w in range(4, 11)))

    def test_a_reply_in_one_piece_is_given_time_to_be_generated(self):
        health = known()
        late_s = OVERDUE_WHOLE * (USUAL_S + 400.0 * 0.02)
        health.begin(NOW, is_stream=False)
        health.begin(NOW + 1.0, is_stream=True)
        assert health.tick(NOW + late_s - 0.1).sums[ix.E1] == pytest.approx(late_s - 1.1), "the stream's alone"
        assert health.tick(NOW + late_s + 0.1).sums[ix.E1] == pytest.approx(late_s + 0.1 + 0.2)

    def test_the_load_is_taken_out_of_it(self):
        health = known()
        health.estimate.elasticity, health.estimate.reference_load = 0.5, 4.0
        for load, factor in ((4.0, 1.0), (16.0, 2.0), (400.0, 2.0), (1.0, 0.5), (0.01, 0.5)):
            attempt = health.begin(NOW, is_stream=True)
            attempt.load = math.log(load)
            health.first_token(attempt, NOW + 1.0)
            assert health.tick(NOW + 1.0).sums[ix.E120] == pytest.approx(1.0 / factor)


class TestReplies:
    def test_a_stream(self):
        health = endpoint()
        attempt = health.begin(NOW, is_stream=True)
        health.replied(attempt, NOW + 3.0, NOW + 1.0, 101)
        s = health.tick(NOW + 3.0).sums
        assert (s[ix.G], s[ix.K]) == (pytest.approx(2.0), 100)

    @pytest.mark.parametrize("tokens", [0, 1, 7])
    def test_a_short_one_says_more_about_chance(self, tokens):
        health = endpoint()
        health.replied(health.begin(NOW, is_stream=True), NOW + 3.0, NOW + 1.0, tokens)
        s = health.tick(NOW + 3.0).sums
        assert (s[ix.G], s[ix.K]) == (0.0, 0)

    def test_one_that_stood_still_in_an_outage_says_nothing_of_the_speed(self):
        health = endpoint()
        before, after = health.begin(NOW, is_stream=True), health.begin(NOW + 2.0, is_stream=True)
        learn(health, NOW + 3.0, last_ejected_at=NOW + 1.0 - OFFSET)
        health.replied(before, NOW + 30.0, NOW + 0.5, 101)
        assert health.tick(NOW + 30.0).sums[ix.K] == 0
        health.replied(after, NOW + 31.0, NOW + 2.5, 101)
        assert health.tick(NOW + 31.0).sums[ix.K] == 100

    def test_one_whose_clock_did_not_move(self):
        health = endpoint()
        health.replied(health.begin(NOW, is_stream=True), NOW + 1.0, NOW + 1.0, 50)
        assert health.tick(NOW + 3.0).sums[ix.G] < 1e-5

    @pytest.mark.parametrize(("took_s", "tokens", "first_token_s"), [
        (4.5, 200, 0.5), (4.5, 1_000, 0.45), (2.0, 0, 2.0), (0.0, 5, 0.0),
    ])  # fmt: skip
    def test_in_one_piece_what_generation_leaves_is_the_first_token(self, took_s, tokens, first_token_s):
        health = known()
        health.estimate.elasticity = 0.0
        attempt = health.begin(NOW, is_stream=False)
        health.end(attempt, OK, NOW + took_s)
        health.replied(attempt, NOW + took_s, 0.0, tokens)
        s = health.tick(NOW + took_s).sums
        assert (s[ix.E120], s[ix.N120]) == (pytest.approx(first_token_s), 1)
        assert (s[ix.G], s[ix.K]) == (pytest.approx(took_s - first_token_s), tokens)

    def test_in_one_piece_of_unknown_length_it_is_taken_to_be_as_long_as_usual(self):
        health = known()
        health.estimate.elasticity = 0.0
        attempt = health.begin(NOW, is_stream=False)
        health.replied(attempt, NOW + 4.5, 0.0, 0, usual_tokens=200.0)
        s = health.tick(NOW + 4.5).sums
        assert (s[ix.E120], s[ix.N120]) == (pytest.approx(0.5), 1)
        assert (s[ix.G], s[ix.K]) == (0.0, 0), "it says nothing of the speed"

    def test_it_is_told_when_nothing_else_is(self):
        health = endpoint()
        attempt = health.begin(NOW, is_stream=True)
        health.end(attempt, OK, NOW + 1.0)
        health.take_news(NOW + 1.0)
        health.replied(attempt, NOW + 1.0, NOW + 0.5, 50)
        assert health.is_active

    def test_buckets_are_handed_over_once(self):
        health = endpoint()
        for i in range(3):
            attempt = health.begin(NOW, is_stream=True)
            health.first_token(attempt, NOW + 0.5)
            health.end(attempt, OK, NOW + 1.0)
            health.replied(attempt, NOW + 2.5, NOW + 0.5, 101 + 0 * i)
        assert sorted(health.take_buckets().values()) == [3, 3]
        assert health.take_buckets() == {}


class TestCoolDown:
    def test_at_once_here(self):
        health = endpoint()
        health.cool(7.5, V.LIMIT, NOW, does_grow=False)
        assert health.is_out(NOW)
        assert health.why_not(NOW + 1.0) == "cooling down for 6.5 s more (limit)"
        assert health.available_at(NOW) == NOW + 7.5
        assert health.why_not(NOW + 7.5) is None
        assert not health.is_out(NOW + 7.5)

    def test_and_it_is_told(self):
        health = endpoint()
        health.cool(7.5, V.LIMIT, NOW, does_grow=True)
        assert health.is_active
        news = health.take_news(NOW)
        assert (news.cool_s, VERDICTS[news.cool_why], news.does_cool_grow) == (7.5, V.LIMIT, True)

    @pytest.mark.parametrize("order", [(30.0, 1.0), (1.0, 30.0)])
    def test_the_longer_of_two_stands_here_and_for_the_fleet(self, order):
        """A 503 after a 429 with a long Retry-After told the fleet of one second."""
        for does_tick in (False, True):
            health = endpoint()
            for seconds in order:
                health.cool(seconds, V.LIMIT if seconds > 1.0 else V.OVERLOAD, NOW, does_grow=False)
                if does_tick:
                    health.tick(NOW)
            assert health.why_not(NOW) == "cooling down for 30.0 s more (limit)"
            news = health.take_news(NOW)
            assert (news.cool_s, VERDICTS[news.cool_why]) == (30.0, V.LIMIT)

    def test_refusals_of_requests_that_were_under_way_make_it_no_longer(self):
        """One that grows begins anew only when it is over, here as in the fleet."""
        health = endpoint()
        for i in range(100):
            health.cool(60.0, V.AUTH, NOW + i / 10.0, does_grow=True)
        assert health.cool_until == NOW + 60.0
        health.cool(60.0, V.AUTH, NOW + 60.0, does_grow=True)
        assert health.cool_until == NOW + 120.0

    def test_what_the_fleet_says(self):
        health = known(cool_until=NOW - OFFSET + 12.0, cool_why=VERDICTS.index(V.LIMIT))
        assert health.why_not(NOW) == "cooling down for 12.0 s more (limit)"

    def test_an_older_word_of_the_fleet_does_not_end_it(self):
        health = endpoint()
        health.cool(30.0, V.LIMIT, NOW, does_grow=False)
        learn(health, NOW + 1.0, cool_until=NOW - OFFSET + 5.0)
        assert health.available_at(NOW) == NOW + 30.0

    def test_of_the_whole_account(self):
        health = endpoint()
        health.account = EndpointHealth("@p", NOW)
        health.account.cool(60.0, V.QUOTA, NOW, does_grow=True)
        assert health.is_out(NOW)
        assert health.why_not(NOW) == "its account is cooling down for 60.0 s more (quota)"
        assert health.available_at(NOW) == NOW + 60.0
        assert health.why_not(NOW + 60.0) is None

    def test_what_waits_for_the_store_grows_old(self):
        """It was over, and was told ten minutes later as if it had just begun. (News are dated to their tick.)"""
        health = endpoint()
        health.cool(5.0, V.LIMIT, NOW, does_grow=False)
        for second in range(1, 4):
            health.tick(NOW + second)
        assert health.owed.cool_s == 3.0
        assert health.take_news(NOW + 4.0).cool_s == 2.0
        health.cool(5.0, V.LIMIT, NOW + 10.0, does_grow=False)
        health.tick(NOW + 11.0)
        assert health.take_news(NOW + 600.0).cool_s == 0.0


class TestEjection:
    def test_out(self):
        health = known(state=State.EJECTED, why=Why.SHARE, until=NOW - OFFSET + 4.0, epoch=1)
        assert health.state is State.EJECTED
        assert health.why_not(NOW + 1.0) == "ejected for 3.0 s more (share of failures)"
        assert health.available_at(NOW) == NOW + 4.0
        assert health.is_out(NOW)

    def test_it_is_not_back_by_itself(self):
        health = known(state=State.EJECTED, why=Why.SHARE, until=NOW - OFFSET + 4.0, epoch=1)
        assert health.is_out(NOW + 100.0)
        assert health.why_not(NOW + 100.0) == "to be probed (share of failures)"

    def test_probed_by_another(self):
        health = known(state=State.PROBING, why=Why.SHARE, lease_until=NOW - OFFSET + 4.0, epoch=2)
        assert health.is_out(NOW)
        assert health.why_not(NOW) == "being probed (share of failures)"

    def test_of_an_unknown_one_nothing_bad_is_believed(self):
        health = endpoint()
        assert (health.state, health.why_not(NOW), health.available_at(NOW)) == (State.HEALTHY, None, NOW)

    @given(
        st.sampled_from(State), st.floats(-10.0, 10.0), st.floats(-10.0, 10.0), st.booleans(), st.floats(-10.0, 10.0)
    )
    def test_both_ways_of_asking_say_the_same(self, state, until_s, cool_s, holds_lease, account_cool_s):
        health = known(state=state, why=Why.SHARE, until=NOW - OFFSET + until_s, epoch=2)
        health.account = EndpointHealth("@p", NOW)
        health.cool_until, health.account.cool_until = NOW + cool_s, NOW + account_cool_s
        if holds_lease and state is State.PROBING:
            health.lend(2, NOW + 1.0)
        assert health.is_out(NOW) == (health.why_not(NOW) is not None)
        assert health.available_at(NOW) >= NOW


class TestProbe:
    def probing(self, until=NOW + 0.8):
        health = known(state=State.PROBING, why=Why.SHARE, lease_until=NOW - OFFSET + 1.0, epoch=2)
        health.lend(2, until)
        return health

    def test_the_lease_is_good_for_one_request(self):
        health = self.probing()
        assert not health.is_out(NOW)
        assert health.begin(NOW, is_stream=True).probe_epoch == 2
        assert health.is_out(NOW)
        assert health.begin(NOW, is_stream=True).probe_epoch == 0

    def test_it_is_told_that_it_is_used_until_the_fleet_knows_how_it_ended(self):
        health = self.probing()
        health.begin(NOW, is_stream=True)
        for second in range(3):
            assert health.take_news(NOW + second).used_epoch == 2
            learn(health, NOW + second, state=State.PROBING, why=Why.SHARE, epoch=2)
        learn(health, NOW + 5.0, state=State.HEALTHY, epoch=3)
        assert health.take_news(NOW + 5.0).used_epoch == 0

    def test_that_it_is_used_is_urgent(self):
        """The store must hear of it before the lease is over; with many workers flushes may be a second apart."""
        health = self.probing()
        health.take_news(NOW)
        assert not health.is_urgent
        health.begin(NOW, is_stream=True)
        assert health.is_urgent
        health.take_news(NOW)
        assert not health.is_urgent

    def test_nobody_holds_it_for_ever(self):
        """A worker that has lost the store kept it, while the store gave it to others."""
        health = self.probing(NOW + 0.8)
        assert not health.is_out(NOW + 0.79)
        assert health.is_out(NOW + 0.8)
        assert health.why_not(NOW + 0.8) == "being probed (share of failures)"
        assert health.begin(NOW + 0.8, is_stream=True).probe_epoch == 0

    @pytest.mark.parametrize(("state", "epoch"), [
        (State.PROBING, 3), (State.EJECTED, 3), (State.HEALTHY, 3), (State.EJECTED, 2),
    ])  # fmt: skip
    def test_it_goes_when_the_fleet_has_moved_on(self, state, epoch):
        health = self.probing()
        learn(health, NOW, state=state, epoch=epoch)
        assert health.begin(NOW, is_stream=True).probe_epoch == 0
        assert health.take_news(NOW).used_epoch == 0

    def test_a_cool_down_keeps_it_from_being_used(self):
        health = self.probing()
        health.cool(0.5, V.LIMIT, NOW, does_grow=False)
        assert health.is_out(NOW)
        assert not health.is_out(NOW + 0.6)


class TestAllowance:
    """A worker's part of the rate that the provider bears."""

    def test_unlimited_while_nothing_was_refused(self):
        health = known()
        for _ in range(1_000):
            assert health.has_allowance(NOW)
            health.begin(NOW, is_stream=True)

    def limited(self, rate, fleet=1):
        return known(fleet=fleet, cap_rate=rate / 0.92, cap_at=NOW - OFFSET)

    @pytest.mark.parametrize(("rate", "fleet"), [(40.0, 1), (40.0, 4), (3.0, 1), (4.0, 8)])
    def test_over_some_seconds_it_is_the_share_of_the_rate(self, rate, fleet):
        health, begun = self.limited(rate, fleet), 0
        for i in range(2_000):
            now = NOW + i / 400.0
            while health.has_allowance(now):
                health.begin(now, is_stream=True)
                begun += 1
        assert begun == pytest.approx(5.0 * rate / fleet * 1.03, abs=1.0 + rate / fleet / 2.0)

    def test_what_was_not_used_is_saved_for_half_a_second(self):
        health = self.limited(40.0)
        burst = 0
        while health.has_allowance(NOW + 100.0 - 100.0 + 3.0):
            health.begin(NOW + 3.0, is_stream=True)
            burst += 1
        assert burst == pytest.approx(20, abs=2)

    def test_asking_takes_nothing(self):
        health = self.limited(40.0)
        for _ in range(1_000):
            assert health.has_allowance(NOW + 1.0)

    def test_a_small_share_is_one_attempt_now_and_then(self):
        health = self.limited(4.0, fleet=8)
        assert health.has_allowance(NOW)
        health.begin(NOW, is_stream=True)
        assert not health.has_allowance(NOW + 1.9)
        assert health.has_allowance(NOW + 2.1)

    def test_those_that_began_before_the_limit_was_known_are_no_debt(self):
        health = endpoint()
        for _ in range(500):
            health.begin(NOW, is_stream=True)
        learn(health, NOW, cap_rate=40.0, cap_at=NOW - OFFSET)
        assert health.has_allowance(NOW + 0.1)


class TestEvacuation:
    def out(self, why, state=State.EJECTED):
        health = endpoint()
        learn(health, NOW, state=state, why=why, until=NOW - OFFSET + 60.0)
        health.estimate.usual_s = 0.5
        return health

    def begin(self, health, *begun_at, probe=0):
        """Attempts that can leave; returns the list in which they put their times when they do."""
        left = []
        for at in begun_at:
            attempt = health.begin(at, is_stream=True)
            attempt.probe_epoch = probe
            attempt.leave = lambda attempt=attempt, at=at: self.leave(attempt, left, at)
        return left

    def leave(self, attempt, left, at):
        attempt.has_left = True
        left.append(at - NOW)

    def test_who_waits_for_much_longer_than_usual_leaves_once(self):
        health = self.out(Why.SLOW)
        left = self.begin(health, NOW, NOW + 0.1, NOW + 0.2, NOW + 0.3)
        health.begin(NOW - 5.0, is_stream=True)  # it has nowhere to go
        health.evacuate(NOW + 1.0)
        assert left == pytest.approx([0.0, 0.1, 0.2])
        health.evacuate(NOW + 1.0)
        assert len(left) == 3

    def test_and_those_behind_them_when_their_time_has_come(self):
        health = self.out(Why.SLOW)
        left = self.begin(health, NOW, NOW + 0.5)
        health.evacuate(NOW + 1.0)
        assert len(left) == 1
        health.evacuate(NOW + 1.3)
        assert len(left) == 2

    def test_who_could_not_leave_is_asked_again(self):
        """The retry budget could not pay for it the first time."""
        health = self.out(Why.SLOW)
        asked = []
        health.begin(NOW, is_stream=True).leave = lambda: asked.append(NOW)
        health.evacuate(NOW + 1.0)
        health.evacuate(NOW + 1.1)
        assert len(asked) == 2

    def test_a_reply_in_one_piece_is_not_taken_for_stuck_while_it_is_generated(self):
        health = self.out(Why.SLOW)
        health.estimate.token_s = 0.02
        left = []
        attempt = health.begin(NOW, is_stream=False)
        attempt.leave = lambda: self.leave(attempt, left, NOW)
        health.evacuate(NOW + 1.5 * (0.5 + 400 * 0.02) - 0.1)
        assert not left
        health.evacuate(NOW + 1.5 * (0.5 + 400 * 0.02) + 0.1)
        assert left

    def test_nobody_leaves_one_that_is_well(self):
        health = self.out(Why.NOTHING, State.HEALTHY)
        left = self.begin(health, NOW)
        health.evacuate(NOW + 100.0)
        assert not left

    def test_what_one_that_fails_has_accepted_is_mostly_answered(self):
        health = self.out(Why.IN_A_ROW)
        left = self.begin(health, NOW)
        health.evacuate(NOW + 100.0)
        assert not left

    @pytest.mark.parametrize("why", [Why.IN_A_ROW, Why.SLOW])
    def test_a_probe_is_waited_for_a_little_longer(self, why):
        health = self.out(why, State.PROBING)
        left = self.begin(health, NOW, probe=7)
        health.evacuate(NOW + 1.5)
        assert not left
        health.evacuate(NOW + 1.6)
        assert len(left) == 1

    def test_one_that_ends_with_it_does_no_harm(self):
        health = self.out(Why.SLOW)
        attempts = [health.begin(NOW, is_stream=True) for _ in range(3)]
        for attempt in attempts:
            attempt.leave = lambda attempt=attempt: health.end(attempt, Outcome(V.EVACUATED), NOW + 1.0)
        health.evacuate(NOW + 1.0)
        assert health.in_flight == 0


class TestNews:
    def test_nothing_to_tell(self):
        assert not endpoint().is_active

    def test_what_was_handed_over_is_not_told_again(self):
        health = endpoint()
        served(health, NOW, outcome=FAILURE)
        assert health.is_active
        assert health.take_news(NOW + 1.0).sums[ix.F2] == 1.0
        assert not health.is_active
        news = health.take_news(NOW + 1.0)
        assert (news.sums, news.tail) == (sums.zeros(), 0)

    def test_what_is_under_way_is_always_news(self):
        health = endpoint()
        health.begin(NOW, is_stream=True)
        health.take_news(NOW)
        assert health.is_active

    def test_ticks_add_up_to_what_is_handed_over(self):
        health = endpoint()
        for second in range(5):
            served(health, NOW + second, outcome=FAILURE if second % 2 else OK)
            health.tick(NOW + second + 0.5)
        news = health.take_news(NOW + 5.0)
        direct = sum(2.0 ** (-(5.0 - second - 0.5) / 20.0) for second in range(5))
        assert news.sums[ix.A20] == pytest.approx(direct)
        assert (news.has_success, news.tail) == (True, 0)

    def test_a_worker_that_stands_for_all_tells_the_store_only_of_itself(self):
        health = endpoint()
        health.begin(NOW, is_stream=True)
        seen = health.tick(NOW + 1.0, 8.0)
        own = health.take_news(NOW + 1.0)
        assert seen.sums[ix.C] == pytest.approx(8.0 * own.sums[ix.C])
        assert own.sums[ix.C] * ix.LN2 / 0.5 == pytest.approx(0.75)

    def test_one_that_was_begun_is_counted_from_what_was_sent(self):
        health = endpoint()
        for _ in range(3):
            health.begin(NOW, is_stream=True)
        assert (health.in_flight - health.sent_in_flight, health.started) == (3, 3)
        health.take_news(NOW)
        assert (health.in_flight - health.sent_in_flight, health.started) == (0, 0)

    def test_a_store_that_forgot_is_reminded_of_ejection_and_cool_down(self):
        health = known(state=State.EJECTED, why=Why.SHARE, until=NOW - OFFSET + 4.0, epoch=7)
        health.cool(9.0, V.LIMIT, NOW, does_grow=False)
        health.take_news(NOW)
        health.must_remind = True
        news = health.take_news(NOW + 1.0)
        assert (news.epoch, news.ejected_s, news.cool_s) == (7, pytest.approx(3.0), pytest.approx(8.0))
        assert VERDICTS[news.cool_why] is V.LIMIT
        assert not news.does_cool_grow
        news = health.take_news(NOW + 1.0)
        assert (news.epoch, news.ejected_s, news.cool_s) == (0, 0.0, 0.0)

    def test_of_one_whose_ejection_is_over_it_is_reminded_too(self):
        """It has yet to be probed."""
        health = known(state=State.EJECTED, why=Why.SHARE, until=NOW - OFFSET - 4.0, epoch=7)
        health.must_remind = True
        news = health.take_news(NOW)
        assert news.epoch == 7
        assert 0.0 < news.ejected_s <= 0.1

    def test_of_a_healthy_one_there_is_nothing_to_be_reminded(self):
        health = known(epoch=7)
        health.must_remind = True
        news = health.take_news(NOW)
        assert (news.epoch, news.ejected_s) == (0, 0.0)


class TestBearing:
    def laden(self, *, begun, limit=10.0, known=0.0):
        health = EndpointHealth("a:acme/large", 0.0)
        health.bearing = Bearing(limit=limit)
        health.estimate = Estimate(in_flight=known)
        for n in range(begun):
            health.begin(float(n), is_stream=True)
        return health.is_laden()

    def test_it_takes_as_many_as_it_bears(self):
        assert not self.laden(begun=9)
        assert self.laden(begun=10)

    def test_those_of_other_workers_count(self):
        assert self.laden(begun=1, known=9.0)
        assert not self.laden(begun=1, known=7.0)

    def test_each_worker_may_have_one(self):
        assert not self.laden(begun=0, known=50.0)
