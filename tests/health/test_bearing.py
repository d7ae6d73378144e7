import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.health.bearing import LEAST, MOST, Bearing

TICK_S = 0.1
CALM_S = 0.3


def driven(seconds, demand, first_token_s, bearing=None, start=0.0):
    """An endpoint that as many use as want to, and may; `first_token_s(in flight)` is how it responds."""
    bearing = bearing or Bearing()
    for tick in range(round(seconds / TICK_S)):
        in_flight = min(demand, bearing.limit)
        bearing.learn(in_flight, first_token_s(in_flight), start + (tick + 1) * TICK_S)
    return bearing


def engine(slots):
    """First tokens queue for so many slots."""
    return lambda in_flight: CALM_S * max(1.0, in_flight / slots)


@pytest.mark.parametrize("slots", [8, 40, 200])
def test_an_engine_gets_about_twice_what_it_has_slots_for_however_many_want_it(slots):
    for demand in (3 * slots, 100 * slots):
        bearing = driven(600.0, demand, engine(slots))
        assert slots < bearing.limit < 3.5 * slots


def test_an_overload_that_lasts_does_not_pass_for_calm():
    long = driven(3600.0, 10_000, engine(50))
    assert long.limit < 175


def test_one_that_feels_no_load_is_given_all_that_wants_it():
    assert driven(600.0, 500, lambda _: CALM_S).limit > 500


def test_little_traffic_teaches_nothing():
    assert driven(600.0, 1, lambda _: CALM_S).limit == Bearing().limit


def test_a_model_that_has_become_slower_by_itself_is_known_to_be_so_after_a_quiet_while():
    bearing = driven(60.0, 1, lambda _: CALM_S)
    driven(300.0, 1, lambda _: 5.0 * CALM_S, bearing, 60.0)
    assert driven(300.0, 200, lambda _: 5.0 * CALM_S, bearing, 360.0).limit > 200


def test_it_follows_an_engine_that_has_got_more_slots_or_fewer():
    bearing = driven(300.0, 10_000, engine(20))
    more = driven(900.0, 10_000, engine(100), bearing, 300.0).limit
    assert more > 100
    assert driven(900.0, 10_000, engine(20), bearing, 1200.0).limit < 100


@given(st.lists(st.tuples(st.floats(-1e3, 1e6), st.floats(-1.0, 1e4), st.floats(-10.0, 1e6)), max_size=50))
def test_whatever_is_seen_it_stays_a_limit(seen):
    bearing = Bearing()
    for in_flight, recent_s, now in seen:
        bearing.learn(in_flight, recent_s, now)
        assert LEAST <= bearing.limit <= MOST
