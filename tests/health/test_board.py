from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.health.board import FAILURES_TO_EJECT, MAX_REST_S, HealthBoard
from fairlead.health.outcome import GONE, OK, RULES, Outcome, Verdict

V = Verdict
FAILURE = Outcome(V.TRANSIENT, 500, "no")


class Story:
    """One endpoint's life on a clock of its own."""

    def __init__(self, **bounds):
        self.board = HealthBoard(**bounds)
        self.now = 1000.0

    @property
    def health(self):
        return self.board.of("p:m")

    def see(self, *outcomes, after_s=0.0):
        for outcome in outcomes:
            self.now += after_s
            self.board.observe("p:m", outcome, self.now)
        return self

    def out_s(self):
        """How long it gets no traffic from now on."""
        return self.health.available_at(self.now) - self.now

    def wait(self):
        self.now = self.health.available_at(self.now)
        return self


class TestEjection:
    def test_a_new_endpoint_is_healthy(self):
        story = Story()
        assert story.health.why_not(story.now) is None
        assert story.out_s() == 0

    def test_five_failures_in_a_row(self):
        story = Story().see(*[FAILURE] * (FAILURES_TO_EJECT - 1))
        assert story.out_s() == 0
        assert story.see(FAILURE).out_s() == 1.0
        assert story.health.why_not(story.now) == "ejected for 1.0 s more"

    def test_a_success_between_them_starts_the_row_anew(self):
        story = Story().see(*([FAILURE] * 4 + [OK]) * 10)
        assert story.out_s() == 0

    @pytest.mark.parametrize("kind", [kind for kind in V if kind is not V.OK and not RULES[kind].is_failure])
    def test_what_is_not_its_fault_does_not_count(self, kind):
        story = Story().see(*[Outcome(kind)] * 100)
        assert story.health.failures_in_row == 0
        assert story.health.ejected_until == 0

    @pytest.mark.parametrize("kind", [kind for kind in V if RULES[kind].is_failure])
    def test_every_kind_of_failure_counts(self, kind):
        assert Story().see(*[Outcome(kind)] * FAILURES_TO_EJECT).health.ejected_until > 0

    def test_who_is_not_to_blame_does_not_break_the_row(self):
        story = Story().see(*[FAILURE] * 4, GONE, Outcome(V.CLIENT, 400), FAILURE)
        assert story.out_s() > 0

    def test_it_may_try_again_and_one_more_failure_doubles_the_time(self):
        story = Story(eject_min_s=1, eject_max_s=10).see(*[FAILURE] * FAILURES_TO_EJECT)
        times = [story.out_s()]
        for _ in range(6):
            assert story.wait().health.why_not(story.now) is None
            times.append(story.see(FAILURE).out_s())
        assert times == [1, 2, 4, 8, 10, 10, 10]

    def test_failures_while_it_is_out_do_not_prolong_it(self):
        """Requests that were under way when it was ejected fail together."""
        story = Story().see(*[FAILURE] * 50)
        assert story.out_s() == 1.0

    def test_a_success_forgets_it_all(self):
        story = Story().see(*[FAILURE] * FAILURES_TO_EJECT).wait().see(FAILURE).wait().see(OK)
        assert story.see(*[FAILURE] * 4).out_s() == 0
        assert story.see(FAILURE).out_s() == 1.0

    def test_the_time_does_not_overflow(self):
        story = Story(eject_min_s=1, eject_max_s=60)
        for _ in range(3000):
            story.see(*[FAILURE] * FAILURES_TO_EJECT).wait()
        assert story.health.ejected_until < story.now + 61


class TestRest:
    def test_a_limit_rests_as_long_as_was_asked(self):
        assert Story().see(Outcome(V.LIMIT, 429, "", 7.5)).out_s() == 7.5
        assert Story().see(Outcome(V.LIMIT, 429)).out_s() == 1.0

    def test_the_reason_is_told(self):
        story = Story().see(Outcome(V.LIMIT, 429, "", 7.5))
        assert story.health.why_not(story.now) == "resting for 7.5 s more (limit)"

    def test_limits_do_not_add_up(self):
        story = Story().see(*[Outcome(V.LIMIT, 429)] * 100)
        assert story.out_s() == 1.0

    def test_a_shorter_rest_does_not_end_a_longer_one(self):
        story = Story().see(Outcome(V.LIMIT, 429, "", 30.0), Outcome(V.OVERLOAD, 503), after_s=1.0)
        assert story.out_s() == 29.0
        assert story.health.resting_because is V.LIMIT

    @pytest.mark.parametrize("kind", [V.AUTH, V.QUOTA])
    def test_what_only_people_mend_rests_longer_each_time(self, kind):
        story = Story()
        times = [story.see(Outcome(kind, 401)).wait() and story.health.resting_until - 1000.0]
        for _ in range(7):
            times.append(story.see(Outcome(kind, 401)).out_s())
            story.wait()
        assert times == [60, 120, 240, 480, 960, 1920, MAX_REST_S, MAX_REST_S]

    def test_requests_refused_together_count_as_one(self):
        """A key that is revoked under load met a hundred requests and stayed out for an hour."""
        assert Story().see(*[Outcome(V.AUTH, 401)] * 100).out_s() == 60.0

    def test_limits_before_it_do_not_make_it_longer(self):
        story = Story()
        for _ in range(10):
            story.see(Outcome(V.LIMIT, 429)).wait()
        assert story.see(Outcome(V.AUTH, 401)).out_s() == 60.0

    def test_a_success_starts_anew(self):
        story = Story().see(Outcome(V.AUTH, 401)).wait().see(Outcome(V.AUTH, 401)).wait().see(OK)
        assert story.see(Outcome(V.AUTH, 401)).out_s() == 60.0

    def test_overload_is_a_failure_too(self):
        story = Story(eject_min_s=5).see(*[Outcome(V.OVERLOAD, 503)] * FAILURES_TO_EJECT)
        assert story.out_s() == 5.0
        assert story.health.why_not(story.now).startswith("ejected")

    def test_a_missing_model_rests_until_it_may_have_come_back(self):
        assert Story().see(*[Outcome(V.MISSING, 404)] * 3).out_s() == 60.0

    @pytest.mark.parametrize("kind", [V.OK, V.CLIENT, V.GONE, V.CONTEXT, V.UNFIT, V.TRANSIENT, V.TIMEOUT, V.CUT])
    def test_nothing_else_rests(self, kind):
        assert Story().see(Outcome(kind, retry_after_s=30.0)).health.resting_until == 0


class TestBoard:
    def test_endpoints_are_apart(self):
        board = HealthBoard()
        for _ in range(FAILURES_TO_EJECT):
            board.observe("a:m", FAILURE, 1.0)
        assert board.of("a:m").why_not(1.0)
        assert board.of("b:m").why_not(1.0) is None
        assert board.of("a:m") is board.of("a:m")

    def test_what_the_catalogue_no_longer_has_is_forgotten(self):
        board = HealthBoard()
        kept, dropped = board.of("a:m"), board.of("b:m")
        board.forget_all_but({"a:m", "c:m"})
        assert board.of("a:m") is kept
        assert board.of("b:m") is not dropped


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(V)),
            st.none() | st.floats(min_value=0.1, max_value=60.0),
            st.floats(min_value=0.0, max_value=100.0),
        ),
        max_size=60,
    )
)
def test_whatever_happens(events):
    """It is never out for longer than the bounds allow, and says why exactly as long as it is out."""
    board, now, seen = HealthBoard(1.0, 60.0), 0.0, Counter()
    for kind, retry_after_s, pause_s in events:
        now += pause_s
        board.observe("p:m", Outcome(kind, retry_after_s=retry_after_s), now)
        seen[kind] += 1
        health = board.of("p:m")
        until = health.available_at(now)
        assert now <= until <= now + MAX_REST_S
        assert (health.why_not(now) is None) == (until == now)
        assert health.why_not(until) is None
        assert health.failures_in_row <= sum(seen[kind] for kind in V if RULES[kind].is_failure)
