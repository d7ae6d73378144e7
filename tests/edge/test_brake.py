import pytest

from fairlead.edge.brake import BURST, INTERVAL_S, MAX_ADDRESSES, Brake
from fairlead.errors import ApiError

NOW = 1_000.0


def is_held(brake, address, now):
    try:
        brake.check(address, now)
    except ApiError as error:
        return error.status == 429 and int(error.headers["retry-after"]) >= 1
    return False


class TestBrake:
    def test_a_few_wrong_keys_are_nothing(self):
        brake = Brake()
        for _ in range(BURST):
            brake.refused("a", NOW)
        assert not is_held(brake, "a", NOW)

    def test_then_it_takes_time(self):
        brake = Brake()
        for _ in range(BURST + 1):
            brake.refused("a", NOW)
        assert is_held(brake, "a", NOW)
        assert not is_held(brake, "b", NOW)
        assert is_held(brake, "a", NOW + INTERVAL_S - 0.1)
        assert not is_held(brake, "a", NOW + INTERVAL_S + 0.1)

    def test_who_goes_on_gets_one_guess_for_each_interval(self):
        brake, guesses = Brake(), 0
        for tenth in range(6_000):
            now = NOW + tenth / 10.0
            if not is_held(brake, "a", now):
                brake.refused("a", now)
                guesses += 1
        assert guesses == pytest.approx(BURST + 600.0 / INTERVAL_S, abs=2)

    def test_its_memory_is_bounded(self):
        brake = Brake()
        for n in range(2 * MAX_ADDRESSES):
            brake.refused(str(n), NOW)
        assert len(brake._free_at) == MAX_ADDRESSES
        brake.refused("later", NOW + 3600.0)
        assert len(brake._free_at) == 1
