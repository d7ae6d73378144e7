"""Against a simple writer: it does in one step what the store's script does in one step."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.audit import NEVER, SKEW_S, WINDOWS_KEPT, Audit, Difference, Entry, whole_from
from fairlead.access.rollup import Amounts, field_of
from fairlead.access.windows import windows_at

DAY_S = 86_400
MIDNIGHT = 1_795_219_200
"""2026-11-21 00:00 UTC."""


def day_name(day):
    return f"{datetime.datetime.fromtimestamp(MIDNIGHT + day * DAY_S, datetime.UTC):%Y%m%d}"


class Books:
    """Ledger and counters, as `money.lua` writes them."""

    def __init__(self):
        self.entries = []
        self.places = {}

    @property
    def last(self):
        return self.entries[-1].at if self.entries else (0, 0)

    def write(self, day, key, model, amounts):
        at = (self.last[0] + 1, 0)
        self.entries.append(Entry(at, day_name(day), key, model, "acme", amounts))
        for metric, amount in amounts._asdict().items():
            self.add(f"day:{day_name(day)}", field_of(key, model, "acme", metric), amount)
        for account in {key, "*"} - {""}:
            for window in windows_at(MIDNIGHT + day * DAY_S).values():
                self.add(f"spent:{account}", window, amounts.usd_nanos)
            self.add(f"spent:{account}", "n", amounts.requests)
            self.prune(self.places.setdefault(f"spent:{account}", {}))

    def add(self, place, field, amount):
        if amount:
            counters = self.places.setdefault(place, {})
            counters[field] = counters.get(field, 0) + amount

    def prune(self, counters):
        for kind in ("d:", "w:", "m:"):
            for field in sorted(field for field in counters if field.startswith(kind))[:-WINDOWS_KEPT]:
                del counters[field]

    def read(self, audit, place, fields=None):
        counters = self.places.get(place, {})
        found = {field: value for field, value in counters.items() if fields is None or fields(field)}
        audit.take_readings(place, found, self.last)

    def repair(self, differences):
        for one in differences:
            counters = self.places.setdefault(one.place, {})
            if one.stored is None or one.field in counters:
                counters[one.field] = counters.get(one.field, 0) - one.excess
                if not counters[one.field]:
                    del counters[one.field]


def differences(books, first_whole="", until=None):
    """What an audit finds that nobody disturbs."""
    audit = Audit(until or books.last)
    for place in books.places:
        books.read(audit, place)
    for entry in books.entries:
        audit.take_entry(entry)
    return audit.differences(first_whole)


def audited_while_written(books, writes, first_whole=""):
    """What an audit finds between whose steps there are writes; roll-ups are read in two pieces."""
    writes = iter(writes)

    def somebody_writes():
        books.write(*next(writes, (0, "k1", "m", Amounts(1, 1))))

    audit = Audit(books.last)
    for place in [place for place in books.places if place.startswith("day:")]:
        for is_first in (True, False):
            somebody_writes()
            books.read(audit, place, lambda field, is_first=is_first: field.endswith("s") is is_first)
    for place in [place for place in books.places if place.startswith("spent:")]:
        somebody_writes()
        books.read(audit, place)
    for entry in list(books.entries):
        audit.take_entry(entry)
        somebody_writes()
    return audit.differences(first_whole)


amounts = st.builds(
    Amounts, st.sampled_from([1, 1, 1, 0]), *[st.integers(-(10**12), 10**12)] * 3, st.just(0), st.just(0)
)
writes = st.lists(
    st.tuples(st.integers(-40, 0), st.sampled_from(["k1", "k2", ""]), st.sampled_from(["m", "a|b", ""]), amounts),
    max_size=12,
)


def books_of(written):
    books = Books()
    for one in sorted(written, key=lambda one: one[0]):
        books.write(*one)
    return books


@given(writes)
def test_what_is_written_in_one_step_agrees(written):
    assert differences(books_of(written)) == []


@given(writes, writes)
def test_nothing_that_arrives_meanwhile_looks_like_a_difference(written, meanwhile):
    assert audited_while_written(books_of(written), sorted(meanwhile, key=lambda one: one[0])) == []


@given(writes.filter(bool), st.data())
def test_each_counter_that_was_changed_is_found_and_nothing_else(written, data):
    books = books_of(written)
    counters = [(place, field) for place, fields in sorted(books.places.items()) for field in sorted(fields)]
    if not counters:
        return
    changed = data.draw(st.lists(st.sampled_from(counters), min_size=1, unique=True))
    by = data.draw(st.integers(1, 10**12))
    expected = []
    for place, field in sorted(changed):
        books.places[place][field] += by
        expected.append(Difference(place, field, books.places[place][field], books.places[place][field] - by))
    found = differences(books)
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert {one.excess for one in found} == {by}


@given(writes.filter(bool), writes, st.data())
def test_a_repair_is_right_whatever_is_written_meanwhile(written, meanwhile, data):
    books = books_of(written)
    for place in sorted(books.places):
        for field in sorted(books.places[place]):
            # Not the windows: without them nobody can tell whether one is missing or was dropped.
            if place.startswith("day:") or field in ("total", "n"):
                what = data.draw(st.sampled_from(["leave", "change", "lose"]))
                if what == "change":
                    books.places[place][field] += 7
                elif what == "lose":
                    del books.places[place][field]
    books.add(f"day:{day_name(-3)}", "k9|m|acme|usd_nanos", 5)
    found = audited_while_written(books, sorted(meanwhile, key=lambda one: one[0]))
    assert found
    books.repair(found)
    assert differences(books) == []


def test_a_lost_window_is_found_unless_it_is_old():
    books = books_of([(day, "k1", "m", Amounts(1, 5)) for day in range(-5, 1)])
    kept = sorted(field for field in books.places["spent:k1"] if field.startswith("d:"))
    assert kept == [f"d:{day_name(day)}" for day in (-2, -1, 0)]
    del books.places["spent:k1"][f"d:{day_name(0)}"]
    assert [(one.place, one.field, one.stored) for one in differences(books)][-1:] == [
        ("spent:k1", f"d:{day_name(0)}", None)
    ]


def test_an_account_that_is_gone_altogether():
    books = books_of([(0, "k1", "m", Amounts(1, 5))])
    del books.places["spent:k1"]
    assert {(one.place, one.field, one.ledger) for one in differences(books)} == {
        ("spent:k1", field, value) for field, value in books.places["spent:*"].items()
    }


def test_of_days_that_are_not_whole_the_roll_ups_count():
    books = books_of([(-2, "k1", "m", Amounts(1, 5)), (-1, "k1", "m", Amounts(1, 7)), (0, "k1", "m", Amounts(1, 9))])
    del books.entries[0]
    assert differences(books, first_whole=day_name(-1)) == []
    del books.entries[0]
    assert differences(books, first_whole=day_name(0)) == []
    assert differences(books, first_whole=NEVER) == []
    assert {one.place for one in differences(books, first_whole=day_name(-1))} >= {f"day:{day_name(-1)}", "spent:k1"}


def test_a_wrong_roll_up_makes_no_account_look_wrong():
    books = books_of([(0, "k1", "m", Amounts(1, 5))])
    books.places[f"day:{day_name(0)}"]["k1|m|acme|usd_nanos"] = 6
    assert differences(books) == [Difference(f"day:{day_name(0)}", "k1|m|acme|usd_nanos", 6, 5)]


def test_what_is_no_counter_of_ours_is_a_difference_in_a_roll_up():
    books = books_of([(0, "k1", "m", Amounts(1, 5))])
    books.add(f"day:{day_name(0)}", "junk", 3)
    assert differences(books) == [Difference(f"day:{day_name(0)}", "junk", 3, 0)]
    assert differences(books, first_whole=NEVER) == []


def test_places_of_what_was_read():
    audit = Audit((0, 0))
    audit.take_readings("spent:*", {}, (1, 0))
    audit.take_readings("day:20261121", {"x": 1}, (3, 0))
    audit.take_readings("day:20261121", {"y": 1}, (2, 0))
    assert audit.places == {"spent:*", "day:20261121"}
    assert audit.last == (3, 0)


@pytest.mark.parametrize(
    ("first_s", "day"),
    [(0, 1), (1, 1), (DAY_S - SKEW_S, 1), (DAY_S - SKEW_S + 1, 2), (DAY_S - 1, 2), (-SKEW_S, 0), (-SKEW_S + 1, 1)],
)
def test_the_first_whole_day(first_s, day):
    assert whole_from(((MIDNIGHT + first_s) * 1000, 0), is_complete=False) == day_name(day)


def test_a_ledger_that_has_lost_nothing_holds_every_day_whole():
    assert whole_from((MIDNIGHT * 1000, 0), is_complete=True) <= "19700101"
