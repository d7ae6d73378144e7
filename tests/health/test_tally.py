import math

import pytest

from fairlead.health import sums as ix
from fairlead.health.estimate import estimate, prior_of
from fairlead.health.tally import Tally

LN2 = math.log(2.0)


class TestSums:
    def test_each_count_goes_where_it_belongs(self):
        tally = Tally(
            waited_s=1.5, arrived_s=1.25, first_tokens=2, attempts=3, failures=4, ended=5, cut=6, generation_s=7.5,
            tokens=8, loads=9, load=10.5, load_squared=11.5, wait=12.5, load_wait=13.5,
        )  # fmt: skip
        found = tally.sums(0.1)
        expected = {
            1.5: (ix.E1, ix.E5, ix.E20, ix.E120), 1.25: (ix.U120,), 2: (ix.N1, ix.N5, ix.N20, ix.N120),
            3: (ix.A2, ix.A20), 4: (ix.F2, ix.F20), 5: (ix.S3, ix.S60), 6: (ix.M3, ix.M60), 7.5: (ix.G,), 8: (ix.K,),
            9: (ix.R0,), 10.5: (ix.RX,), 11.5: (ix.RXX,), 12.5: (ix.RY,), 13.5: (ix.RXY,), 0.0: (ix.C, ix.C3, ix.W),
        }  # fmt: skip
        assert sorted(index for places in expected.values() for index in places) == list(range(ix.COUNT))
        for value, places in expected.items():
            assert [found[index] for index in places] == [value] * len(places)

    def test_areas_become_levels(self):
        found = Tally(area_in_flight=4.0 * 0.1, area_waiting=3.0 * 0.1).sums(0.1)
        for index, level in ((ix.C, 4.0), (ix.C3, 4.0), (ix.W, 3.0)):
            half_life = ix.HALF_LIVES_S[index]
            assert found[index] * LN2 / half_life == pytest.approx(level * (1.0 - 2.0 ** (-0.1 / half_life)))

    @pytest.mark.parametrize("fleet", [1.0, 4.0, 16.0])
    def test_a_calm_endpoint_looks_no_more_crowded_to_a_worker_that_stands_for_the_fleet(self, fleet):
        """Ten requests a second, each of which waits for half a second: five wait, and no queue is to be seen."""
        found = ix.zeros()
        for _ in range(600):
            tally = Tally(waited_s=0.5, arrived_s=0.5, first_tokens=1, attempts=1, area_in_flight=2.0, area_waiting=0.5)
            found = ix.added(ix.decayed(found, 0.1), tally.sums(0.1, fleet))
        known = estimate(found, prior_of([found]))
        assert known.waiting == pytest.approx(5.0, rel=0.02)
        assert known.waiting < known.waiting_limit

    def test_a_worker_that_stands_for_the_fleet_multiplies_what_is_in_flight_and_nothing_else(self):
        """What waits is compared with the first tokens, and those are its own."""
        tally = Tally(waited_s=1.0, attempts=2, failures=1, area_in_flight=4.0, area_waiting=1.0)
        alone, fleet = tally.sums(1.0), tally.sums(1.0, 8.0)
        for index in range(ix.COUNT):
            factor = 8.0 if index in (ix.C, ix.C3) else 1.0
            assert fleet[index] == pytest.approx(factor * alone[index])

    def test_the_rounding_of_large_clocks_leaves_no_negative_load(self):
        """Areas are differences of products with the time."""
        assert min(Tally(area_in_flight=-1e-7, area_waiting=-1e-7).sums(0.1)) == 0.0


def test_regression_sums():
    tally = Tally()
    points = [(0.5, -1.0), (1.5, 0.25), (2.0, 1.0)]
    for load, wait in points:
        tally.regress(load, wait)
    assert tally.loads == 3
    assert tally.load == pytest.approx(sum(x for x, _ in points))
    assert tally.load_squared == pytest.approx(sum(x * x for x, _ in points))
    assert tally.wait == pytest.approx(sum(y for _, y in points))
    assert tally.load_wait == pytest.approx(sum(x * y for x, y in points))
