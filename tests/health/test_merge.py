import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.health import sums
from fairlead.health.breaker import BreakerLimits
from fairlead.health.merge import WORKER_S, Group, Probe, merge, report_probe
from fairlead.health.record import Flush, Increment, State, Why

LIMITS = BreakerLimits(jitter=0.0)
LIMIT, AUTH = 8, 6


class Store:
    """A group on a clock that a test moves, and what was answered last."""

    def __init__(self, limits=LIMITS):
        self.group = Group("m")
        self.now = 1_000.0
        self.limits = limits
        self.numbers = {}
        self.changes = []
        self.granted = {}
        self.workers = 0

    def tell(self, *, worker="w", number=None, can_probe=False, after_s=0.0, **endpoints):
        """Merge what a worker says of some endpoints. Returns the kinds of change."""
        self.now += after_s
        if number is None:
            number = self.numbers[worker] = self.numbers.get(worker, 0) + 1
        flush = Flush("m", worker, number, can_probe, 0.0, endpoints)
        snapshot, self.changes = merge(self.group, flush, self.now, self.limits)
        assert (snapshot.now, snapshot.records) == (self.now, self.group.records)
        self.granted, self.workers = dict(snapshot.granted), snapshot.workers
        return [change.kind for change in self.changes]

    def ask(self, worker="w", after_s=0.0):
        """What a worker gets that has traffic and nothing to say: a probe lease, or none."""
        self.tell(worker=worker, can_probe=True, after_s=after_s)
        return self.granted.get("a")

    def report(self, epoch, result, after_s=0.0):
        self.now += after_s
        self.changes = report_probe(self.group, "a", epoch, result, self.now, 0.0, self.limits)
        return [change.kind for change in self.changes]

    def __getitem__(self, endpoint):
        return self.group.records[endpoint]


def news(tail=0, *, ok=False, **known):
    return Increment(sums.zeros(), has_success=ok, tail=tail, **known)


def ejected(**limits):
    store = Store(BreakerLimits(jitter=0.0, **limits))
    assert store.tell(a=news(5)) == ["ejected"]
    return store


def probed():
    """A store that has just granted a lease, and the epoch of it."""
    store = ejected()
    return store, store.ask("w", after_s=1.0)


class TestSums:
    def test_what_was_known_has_decayed_by_the_time_of_the_next(self):
        store = Store()
        store.tell(a=Increment([8.0] * sums.COUNT))
        store.tell(a=Increment([1.0] * sums.COUNT), after_s=20.0)
        assert store["a"].sums[sums.A20] == pytest.approx(5.0)
        assert store["a"].sums[sums.G] == pytest.approx(8.0 * 2.0 ** (-20 / 30) + 1.0)
        assert store["a"].at == store.now

    def test_endpoints_of_which_nothing_is_said_stay_as_they_are(self):
        store = Store()
        store.tell(a=Increment([8.0] * sums.COUNT), b=Increment([8.0] * sums.COUNT))
        store.tell(a=news(), after_s=20.0)
        assert (store["b"].at, store["b"].sums) == (store.now - 20.0, [8.0] * sums.COUNT)

    def test_a_clock_that_steps_back_neither_decays_nor_stops_the_decay(self):
        """A replica that takes over may have another clock. Nothing decayed until it had caught up."""
        store = Store()
        store.tell(a=Increment([8.0] * sums.COUNT))
        store.tell(a=news(), after_s=-3_600.0)
        assert store["a"].sums == [8.0] * sums.COUNT
        store.tell(a=news(), after_s=20.0)
        assert store["a"].sums[sums.A20] == pytest.approx(4.0)


class TestOnce:
    def test_a_number_that_was_seen_is_not_applied_again(self):
        store = Store()
        for _ in range(3):
            store.tell(a=Increment([1.0] * sums.COUNT), number=1)
        assert store["a"].sums == [1.0] * sums.COUNT

    def test_nor_one_that_comes_late(self):
        store = Store()
        store.tell(a=Increment([1.0] * sums.COUNT), number=2)
        store.tell(a=Increment([1.0] * sums.COUNT), number=1)
        assert store["a"].sums == [1.0] * sums.COUNT

    def test_it_is_answered_all_the_same(self):
        store = Store()
        store.tell(a=news(), number=1)
        store.tell(a=news(), number=1)
        assert store.workers == 1

    def test_numbers_are_each_workers_own(self):
        store = Store()
        for worker in ("v", "w"):
            store.tell(worker=worker, a=Increment([1.0] * sums.COUNT), number=1)
        assert store["a"].sums == [2.0] * sums.COUNT

    def test_a_reading_applies_nothing_and_is_no_worker(self):
        store = Store()
        store.tell(a=Increment([1.0] * sums.COUNT), number=0)
        assert (store.group.records, store.workers) == ({}, 0)
        store.tell(number=3)
        store.tell(number=0)
        store.tell(a=Increment([1.0] * sums.COUNT), number=3)
        assert store.group.records == {}

    @given(
        st.lists(
            st.tuples(st.sampled_from("vwx"), st.integers(0, 9), st.sampled_from([0.0, 0.05, 2.0])),
            min_size=1,
            max_size=40,
        )
    )
    def test_whatever_is_repeated(self, told):
        """Each step a new flush, or one of before once more: the same as without the repetitions."""
        once, often = Store(), Store()
        sent = []
        for worker, again, pause_s in told:
            once.now += pause_s
            often.now += pause_s
            if again < 5 or not sent:
                number = len(sent) + 1
                sent.append((worker, number))
                for store in (once, often):
                    store.tell(worker=worker, number=number, a=Increment([float(number)] * sums.COUNT, tail=number % 3))
            else:
                worker, number = sent[again % len(sent)]
                often.tell(worker=worker, number=number, a=Increment([float(number)] * sums.COUNT, tail=number % 3))
        assert often.group.records == once.group.records

    def test_the_fleet_is_who_has_flushed_lately(self):
        store = Store()
        for worker in ("v", "w", "x"):
            store.tell(worker=worker)
        assert store.workers == 3
        store.tell(worker="x", after_s=WORKER_S)
        assert store.workers == 3
        store.tell(worker="x", after_s=0.1)
        assert store.workers == 1


class TestRow:
    @given(st.lists(st.lists(st.booleans(), min_size=1, max_size=4), max_size=12), st.data())
    def test_failures_in_a_row_are_counted_over_all_workers(self, runs, data):
        """As long as each worker's run of outcomes comes as one piece, it is the row that one observer would count."""
        store, row = Store(BreakerLimits(in_a_row=1e9, share=2.0)), 0
        for run in runs:
            one = news()
            for is_success in run:
                one.add(news(0 if is_success else 1, ok=is_success))
                row = 0 if is_success else row + 1
            store.tell(worker=data.draw(st.sampled_from("vw")), a=one)
            assert store["a"].failures_in_row == row

    def test_five_of_three_workers(self):
        store = Store()
        assert store.tell(worker="v", a=news(2)) == []
        assert store.tell(worker="w", a=news(2)) == []
        assert store.tell(worker="x", a=news(1)) == ["ejected"]
        change = store.changes[0]
        assert (change.group, change.endpoint, change.seconds, change.why) == ("m", "a", 1.0, Why.IN_A_ROW)
        assert change.epoch == store["a"].epoch == 1

    def test_a_success_of_another_breaks_the_row(self):
        store = Store()
        for worker in "vw" * 10:
            assert store.tell(worker=worker, a=news(3) if worker == "v" else news(ok=True)) == []

    def test_failures_while_it_is_out_do_not_prolong_it(self):
        """Requests that were under way when it was ejected fail together."""
        store = ejected()
        for _ in range(50):
            assert store.tell(a=news(1), after_s=0.01) == []
        assert store["a"].until == pytest.approx(store.now + 0.5)

    def test_two_are_enough_of_a_suspect(self):
        store = Store()
        assert store.tell(a=news(1, is_suspect=True)) == []
        assert store.tell(a=news(1, is_suspect=True)) == ["ejected"]


class TestProbe:
    def test_none_before_the_ejection_is_over(self):
        assert ejected().ask(after_s=0.99) is None

    def test_one_worker_in_the_fleet_gets_it(self):
        store = ejected()
        assert store.ask("v", after_s=1.0) == 2
        assert [change.kind for change in store.changes] == ["probing"]
        assert [store.ask(worker) for worker in "vwx" * 5] == [None] * 15

    def test_not_one_without_traffic(self):
        store = ejected()
        store.tell(worker="v", can_probe=False, after_s=2.0)
        assert store.granted == {}

    def test_not_twice_when_the_request_for_it_is_delivered_twice(self):
        store = ejected()
        store.tell(number=7, can_probe=True, after_s=1.0)
        assert store.granted == {"a": 2}
        store.tell(number=7, can_probe=True)
        assert store.granted == {}

    def test_a_holder_that_dies_loses_it(self):
        store, epoch = probed()
        assert store.ask("v", after_s=0.99) is None
        assert store.ask("v", after_s=0.01) == epoch + 1

    def test_one_whose_request_is_under_way_has_as_long_as_that_may_take(self):
        store, epoch = probed()
        store.tell(a=news(used_epoch=epoch), after_s=0.5)
        assert store.ask("v", after_s=LIMITS.probe_s - 0.1) is None
        assert store.ask("v", after_s=0.2) == epoch + 1

    def test_the_word_of_an_older_lease_prolongs_nothing(self):
        store, epoch = probed()
        store.tell(a=news(used_epoch=epoch - 1), after_s=0.5)
        assert store.ask("v", after_s=0.5) == epoch + 1

    def test_success(self):
        store, epoch = probed()
        store["a"].failures_in_row = 4.0
        assert store.report(epoch, Probe.OK) == ["recovered"]
        assert (store["a"].state, store["a"].failures_in_row) == (State.HEALTHY, 0)
        assert store.changes[0].epoch == store["a"].epoch

    def test_failure(self):
        store, epoch = probed()
        assert store.report(epoch, Probe.FAILED) == ["ejected"]
        change = store.changes[0]
        assert (change.seconds, change.why, change.epoch) == (2.0, Why.PROBE, store["a"].epoch)
        assert (store["a"].why, store["a"].last_why) == (Why.IN_A_ROW, Why.PROBE)

    def test_what_tells_nothing_of_the_endpoint_leaves_it_to_be_probed_at_once(self):
        store, epoch = probed()
        level = store["a"].level
        assert store.report(epoch, Probe.VOID) == ["ejected"]
        assert (store.changes[0].seconds, store.changes[0].why) == (0.0, Why.IN_A_ROW)
        assert store["a"].level == level
        assert store.ask("v") == epoch + 2

    @pytest.mark.parametrize("result", Probe)
    def test_a_result_counts_once_and_only_under_its_own_epoch(self, result):
        store, epoch = probed()
        before = copy.deepcopy(store["a"])
        for other in (0, epoch - 1, epoch + 1):
            assert store.report(other, result) == []
        assert store["a"] == before
        assert len(store.report(epoch, result)) == 1
        after = copy.deepcopy(store["a"])
        assert store.report(epoch, result) == []
        assert store["a"] == after

    def test_a_result_that_comes_when_the_next_has_the_lease_is_not_heard(self):
        store, epoch = probed()
        store.ask("v", after_s=1.0)
        assert store.report(epoch, Probe.OK) == []
        assert store["a"].state == State.PROBING

    def test_of_an_endpoint_that_nobody_knows(self):
        assert report_probe(Group("m"), "a", 1, Probe.OK, 0.0, 0.0, LIMITS) == []

    def test_a_chain_of_failures_and_a_success(self):
        """1, 2, 4, 8, 8 seconds; and then a second of grace for each level that is left."""
        store = ejected()
        times = [store["a"].until - store.now]
        for _ in range(4):
            epoch = store.ask(after_s=times[-1])
            store.report(epoch, Probe.FAILED)
            times.append(store["a"].until - store.now)
        assert times == [1.0, 2.0, 4.0, 8.0, 8.0]
        store.report(store.ask(after_s=8.0), Probe.OK)
        assert store.tell(a=news(5), after_s=1e4) == ["ejected"]
        assert store["a"].until - store.now == 1.0, "forgiven"


class TestCoolDown:
    def test_it_is_told(self):
        store = Store()
        assert store.tell(a=news(cool_s=7.5, cool_why=LIMIT)) == ["cooling"]
        change = store.changes[0]
        assert (change.seconds, change.why) == (7.5, LIMIT)
        assert store["a"].state == State.HEALTHY
        assert store.tell(a=news(cool_s=5.0, cool_why=LIMIT), after_s=1.0) == []

    def test_a_success_after_it_starts_anew(self):
        store = Store()
        for seconds in (60.0, 120.0):
            store.tell(a=news(cool_s=60.0, cool_why=AUTH, does_cool_grow=True))
            assert store.changes[0].seconds == seconds
            store.tell(after_s=seconds)
        store.tell(a=news(ok=True))
        store.tell(a=news(cool_s=60.0, cool_why=AUTH, does_cool_grow=True))
        assert store.changes[0].seconds == 60.0

    def test_a_success_of_a_request_that_was_under_way_does_not(self):
        store = Store()
        store.tell(a=news(cool_s=60.0, cool_why=AUTH, does_cool_grow=True))
        store.tell(a=news(ok=True), after_s=1.0)
        store.tell(a=news(cool_s=60.0, cool_why=AUTH, does_cool_grow=True), after_s=59.0)
        assert store.changes[0].seconds == 120.0

    def test_a_limit_teaches_the_rate(self):
        store = Store()
        store.tell(a=Increment([100.0] * sums.COUNT, limited=1))
        assert store["a"].cap_rate == pytest.approx(50.0 * sums.LN2)


class TestReminder:
    """A worker believes in an ejection of which the store knows nothing."""

    def test_the_store_takes_it_over(self):
        store = Store()
        store.tell(a=news(epoch=9, ejected_s=6.0))
        record = store["a"]
        assert (record.state, record.epoch, record.until - store.now) == (State.EJECTED, 9, 6.0)
        assert store.ask(after_s=6.0) == 10

    @pytest.mark.parametrize("seconds", [0.0, 6.0])
    def test_not_from_before_what_it_knows(self, seconds):
        store, epoch = probed()
        store.report(epoch, Probe.OK)
        store.tell(a=news(epoch=epoch, ejected_s=seconds))
        assert store["a"].state == State.HEALTHY

    def test_not_what_is_over(self):
        store = Store()
        store.tell(a=news(epoch=9, ejected_s=0.0))
        assert store["a"].state == State.HEALTHY

    def test_of_several_the_first_counts(self):
        store = Store()
        for worker in "vwx":
            store.tell(worker=worker, a=news(epoch=9, ejected_s=6.0), after_s=0.1)
        assert (store["a"].epoch, store["a"].until) == (9, pytest.approx(store.now - 0.2 + 6.0))

    def test_it_does_not_end_a_probe(self):
        store, epoch = probed()
        store.tell(worker="v", a=news(epoch=99, ejected_s=6.0))
        assert (store["a"].state, store["a"].epoch) == (State.PROBING, epoch)


class TestClockStepsBack:
    """A machine's time was set, or a replica with another clock has taken over. No time is as long as the step."""

    BACK_S = -3_600.0

    def test_an_ejection_ends(self):
        store = ejected()
        assert store.ask(after_s=self.BACK_S) is None
        assert store.ask(after_s=1.0) == 2

    def test_a_lease_ends(self):
        store, epoch = probed()
        assert store.ask("v", after_s=self.BACK_S) is None
        assert store.ask("v", after_s=LIMITS.lease_s + 1.0) == epoch + 1

    def test_a_cool_down_ends(self):
        store = ejected()
        store.tell(a=news(cool_s=30.0, cool_why=LIMIT))
        assert store.ask(after_s=self.BACK_S) is None
        assert store.ask(after_s=30.0) == 2

    def test_what_was_ejected_last_was_before_now(self):
        store = ejected()
        store.tell(after_s=self.BACK_S)
        assert store["a"].last_ejected_at <= store.now

    def test_who_is_gone_counts_no_more(self):
        store = Store()
        store.tell(worker="v")
        store.tell(worker="w", after_s=self.BACK_S)
        assert store.workers == 2
        store.tell(worker="w", after_s=WORKER_S + 0.1)
        assert store.workers == 1

    def test_what_the_store_lost_is_told_by_its_birth_alone(self):
        store = Store()
        store.tell(a=news())
        born = store["a"].born
        store.tell(a=news(), after_s=self.BACK_S)
        assert store["a"].born == born
