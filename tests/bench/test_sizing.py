"""The arithmetic of bench.sizing: from what was measured to constants, from constants to machines."""

from dataclasses import replace

import pytest
from bench.sizing import table
from bench.sizing.__main__ import constants_of
from bench.sizing.commands import Heard, Measured
from bench.sizing.reckon import Constants, Line, Wanted, fit, needs, streams_of_core
from bench.sizing.streams import Held, Paced

CONSTANTS = Constants(
    event_us=30.0, request_us=200.0, stream_kb=40.0, stream_descriptors=2, worker_mb=70.0, supervisor_mb=60.0,
    money_hz=10.0, model_hz=10.0, script_us=100.0, generation_bytes=1_000,
)  # fmt: skip
LOAD = Wanted(10_000, 20, 10, 250, models=5, cores_per_host=4)


def test_a_line_goes_through_points_that_lie_on_one_and_between_others():
    assert fit([(0, 10.0), (5, 20.0), (10, 30.0)]) == Line(10.0, 2.0)
    assert fit([(0, 1.0), (0, 3.0), (2, 4.0), (2, 6.0)]) == Line(2.0, 1.5)
    assert Line(10.0, 2.0).at(3) == 16.0
    with pytest.raises(ValueError, match="two different x"):
        fit([(1, 1.0), (1, 2.0)])


def test_what_a_load_takes():
    """10 000 streams of 20 events: 6 s of CPU for events and 0.2 s for 1 000 new streams, in each second."""
    found = needs(CONSTANTS, LOAD)
    assert found.workers == 11  # 6.2 / 0.6
    assert found.hosts == 3 + 1
    assert found.worker_descriptors == 2 * 910
    assert found.host_gb == pytest.approx((4 * (70 + 910 * 40 / 1024) + 60) / 1024)
    assert (found.events_per_s, found.begun_per_s) == (200_000, 1_000)
    assert found.gbit_per_s == pytest.approx(0.4)
    assert found.scripts_per_s == 11 * (10 + 5 * 10)
    assert found.stores == 1
    assert found.ledger_gb_per_day == pytest.approx(86.4)


def test_a_core_has_room_for_so_many_streams():
    """600 ms of CPU; each takes 600 µs for its events and 20 µs for its part of a request."""
    assert streams_of_core(CONSTANTS, 20, 10.0, 0.6) == 967
    assert streams_of_core(CONSTANTS, 20, 10.0, 1.0) == 1612


def test_more_streams_want_more_workers_and_at_last_more_stores():
    assert needs(CONSTANTS, replace(LOAD, streams=20_000)).workers == 21
    found = needs(CONSTANTS, replace(LOAD, streams=1_000_000))
    assert found.workers == 1_034
    assert found.stores == 11  # 62 040 scripts a second are 6.2 cores


def heard(scripts, server_cpu_ms):
    return Heard(scripts, 10 * scripts, server_cpu_ms, 1.0, 2.0, 3.0)


def test_constants_are_those_of_a_busy_worker_and_the_dearest_of_several():
    found = [
        Measured(workers, models, models, heard(workers * (1 + models), 1.0), heard(scripts, 2 + 0.2 * scripts), 30.0,
                 14_000.0, 900.0 + models)
        for workers, models in ((1, 1), (1, 10), (2, 5))
        for scripts in [workers * (12 + 10 * models)]
    ]  # fmt: skip
    held = [Held(1_000, 30.0, 2.0, 70.0, 55.0, 4.0), Held(5_000, 32.0, 2.0, 71.0, 56.0, 3.0)]
    paced = [Paced(200, 2_000.0, 65.0), Paced(200, 10_000.0, 20.0), Paced(1_000, 10_000.0, 25.0)]
    constants = constants_of(found, held, paced, 212.34)
    assert constants == Constants(
        event_us=25.0, request_us=212.3, stream_kb=35.0, stream_descriptors=2, worker_mb=71.0, supervisor_mb=56.0,
        money_hz=12.0, model_hz=10.0, script_us=200.0, generation_bytes=910,
    )  # fmt: skip
    assert table.at_rest(found) == Line(pytest.approx(1.0), pytest.approx(1.0))


def test_a_table_has_numbers_that_can_be_read():
    assert table.rows(("a", "b", "c"), [(12_345, 0.456, "x"), (7, 1_234.5, 12.34)]).splitlines() == [
        "| a | b | c |", "|---|---|---|", "| 12 345 | 0.46 | x |", "| 7 | 1 234 | 12.3 |",
    ]  # fmt: skip
