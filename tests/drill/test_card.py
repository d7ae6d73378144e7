import json

import msgspec
import pytest

from fairlead.drill.card import REPORT, Card, lines, members, progress, remedy
from fairlead.drill.expect import Wrong
from fairlead.drill.faults import FAULTS, Fault
from fairlead.drill.run import Result
from fairlead.drill.stand_in import rows_of

HANG = next(fault for fault in FAULTS if fault.name == "accepts and says nothing")
WRONG = [Wrong("status", "200", "504")]


@pytest.fixture
def card(operator):
    def made(wrong_ways=(), fault: Fault = HANG, **changes):
        settings, catalog = operator()
        rows, _ = rows_of(settings, catalog, [fault])
        results = [Result(row, WRONG if row.way in wrong_ways else []) for row in rows]
        return Card(msgspec.structs.replace(settings, **changes), results, took_s=3.0)

    return made


def test_all_is_well(card):
    made = card()
    assert made.has_passed
    assert [line.split() for line in lines(made)[1:2]] == [[*HANG.name.split(), "ok", "ok", "ok", "ok"]]
    assert lines(made)[-1] == "4 of 4 passed in 3 s"
    assert members(made)["passed"] is True


def test_what_failed_is_told_with_what_to_set(card):
    made = card(["stream"], max_attempts=1)
    assert not made.has_passed
    text = "\n".join(lines(made))
    assert "FAILED" in text
    assert "status: expected 200, seen 504" in text
    assert "set: FAIRLEAD_MAX_ATTEMPTS=2" in text
    row = json.loads(json.dumps(members(made)))["rows"][0]
    assert (row["passed"], row["wrong"]) == (False, [{"what": "status", "expected": "200", "seen": "504"}])
    assert "FAIRLEAD_MAX_ATTEMPTS" in row["set"]


def test_time_for_two_is_a_matter_of_settings_and_the_rest_is_not(card):
    made = card()
    brief = msgspec.structs.replace(made.settings, timeouts=type(made.settings.timeouts)(total_s=12.0))
    assert "FAIRLEAD_TIMEOUT_TOTAL_S" in remedy(made.results[0], brief)
    assert remedy(made.results[0], made.settings) == REPORT
    assert remedy(made.results[2], brief) == REPORT  # asked alone


def test_nobody_to_go_on_with_is_a_failure(card):
    made = card()
    alone = Card(made.settings, made.results[2:], ["alpha: no other provider serves its models"], ["certificate"])
    assert not alone.has_passed
    told = lines(alone)
    assert any("second provider" in line for line in told)
    assert told[-3:-1] == ["note: alpha: no other provider serves its models", "not tried: certificate"]
    assert members(alone)["gaps"]


def test_colour_only_where_it_is_wanted(card):
    made = card(["plain"])
    assert "\x1b" not in "".join(lines(made))
    assert "\x1b[31mFAILED" in "".join(lines(made, use_color=True))


def test_progress_fits_the_terminal():
    assert progress(1, 2, "a fault", 80) == f"[{'#' * 12}{'.' * 12}] 1/2 a fault"
    assert len(progress(1, 2, "a fault", 20)) == 19
    assert progress(0, 0, "", 0) == ""
