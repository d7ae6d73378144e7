"""What `bench.faults` makes of logs and answers."""

import json
from datetime import UTC, datetime

import pytest
from bench.faults import gatewaylog
from bench.faults.figures import Run, measure, troubles
from bench.faults.scenarios import Course
from bench.faults.table import table
from bench.faults.traffic import Answer

START = 1_700_000_000.0
COURSE = Course(START + 10.0, START + 40.0)


def change(at, worker, what, endpoint="quick:acme/large"):
    timestamp = datetime.fromtimestamp(START + at, UTC).isoformat().replace("+00:00", "Z")
    line = {"worker": worker, "endpoint": endpoint, "seconds": 1.0, "why": "failures in a row"}
    return json.dumps(line | {"event": f"endpoint {what}", "timestamp": timestamp})


def request(number, at, *attempts, end="ok", status=200):
    tried = [{"provider": name, "verdict": verdict, "duration_s": seconds} for name, verdict, seconds in attempts]
    line = {"event": "request", "request_id": f"bench-{number:06d}", "time": START + at, "status": status, "end": end}
    return json.dumps(line | {"attempts": tried})


def answer(number, at, wait_s=0.1, how="ok"):
    due_at = START + at
    return Answer(number, due_at, due_at + wait_s if wait_s else 0.0, due_at + 0.2, how)


def run_of(lines, answers=(), store=None, seconds=60.0):
    return Run(COURSE, list(answers), gatewaylog.read("\n".join(lines)), 2, store or {}, seconds)


class TestLog:
    def test_attempts_follow_each_other(self):
        log = gatewaylog.read(request(1, 5.0, ("quick", "transient", 0.25), ("fair", "ok", 0.5)))
        assert [(tried.at - START, tried.provider) for tried in log.tried] == [(5.0, "quick"), (5.25, "fair")]
        assert not log.stories

    def test_changes_of_an_account_are_its_providers(self):
        [heard] = gatewaylog.read(change(1.0, 7, "cooling", "@quick")).heard
        assert (heard.provider, heard.what, heard.worker) == ("quick", "cooling", 7)
        assert heard.at == pytest.approx(START + 1.0)

    def test_what_is_no_json_is_passed_over(self):
        assert not gatewaylog.read("fairlead 0.1\n  listening on …").heard

    def test_the_store(self):
        said = {"worker": 7, "event": "health store away, this worker judges by itself: x", "level": "warning"}
        [heard] = gatewaylog.read(json.dumps(said | {"timestamp": "2026-01-01T00:00:00Z"})).heard
        assert heard.what == "store away"


class TestFigures:
    def test_ejection_is_counted_from_the_fault_to_the_first_line_of_each_worker(self):
        lines = [change(9.0, 1, "ejected")]  # an earlier one is none of it
        lines += [change(10.25, 1, "ejected"), change(10.5, 2, "ejected"), change(12.0, 1, "ejected")]
        lines += [change(41.0, 1, "recovered"), change(42.0, 2, "recovered")]
        numbers = measure(run_of(lines))
        assert (numbers["out_first_s"], numbers["out_last_s"]) == pytest.approx((0.25, 0.5))
        assert (numbers["healthy_first_s"], numbers["healthy_last_s"]) == pytest.approx((1.0, 2.0))
        assert (numbers["workers_told"], numbers["ejections"]) == (2, 2)

    def test_attempts_before_and_after_all_have_learned_of_it(self):
        lines = [change(10.5, 1, "ejected"), change(11.0, 2, "ejected")]
        lines += [request(n, at, ("quick", "transient", 0.1)) for n, at in enumerate([5.0, 10.1, 10.9, 11.5, 50.0])]
        numbers = measure(run_of(lines))
        assert (numbers["to_bad_before_known"], numbers["to_bad_after_known"]) == (2, 1)

    def test_a_stream_cut_off_is_no_failed_request(self):
        answers = [answer(1, 5.0), answer(2, 15.0, how="cut"), answer(3, 15.0, 0.0, how="status 504")]
        answers[1].ended_at += 1.0
        lines = [request(3, 15.0, ("quick", "timeout", 0.1), end="error", status=504)]
        run = run_of(lines, answers)
        numbers = measure(run)
        assert (numbers["requests"], numbers["failed"], numbers["cut"]) == (3, 1, 1)
        assert "1 × status 504 (504 error, after quick: timeout)" in troubles(run)

    def test_waits_belong_to_where_they_began(self):
        numbers = measure(run_of([], [answer(1, 9.9, 0.1), answer(2, 10.1, 2.0), answer(3, 41.0, 0.3)]))
        assert numbers["p50_before_ms"] == pytest.approx(100)
        assert (numbers["max_during_s"], numbers["late_during"]) == (pytest.approx(2.0), 1)
        assert numbers["p99_after_ms"] == pytest.approx(300)

    def test_shares(self):
        there = [request(n, n / 10, ("quick", "ok", 0.1)) for n in range(120)]
        elsewhere = [request(n, n / 10, ("fair", "ok", 0.1)) for n in range(120, 430)]
        back = [request(n, n / 10, ("quick", "ok", 0.1)) for n in range(430, 600)]
        numbers = measure(run_of([*there, *elsewhere, *back], [answer(1, 60.0)]))
        assert numbers["share_before"] == 100
        assert numbers["left_alone_s"] == pytest.approx(2.0, abs=0.1)
        assert numbers["half_share_s"] == pytest.approx(2.5, abs=0.1)

    def test_the_store(self):
        numbers = measure(run_of([], store={"evalsha": {"calls": 1200.0, "usec": 120_000.0}}))
        assert (numbers["store_calls_hz"], numbers["store_call_us"]) == (10.0, 100.0)
        assert numbers["store_busy_percent"] == pytest.approx(0.2)


def test_the_table_shows_medians_and_what_did_not_happen():
    text = table({"kill": [{"failed": 0}, {"failed": 2}, {"failed": 1, "out_last_s": 0.25}], "hang": [{"failed": 0}]})
    assert "| failed | 1 (0–2) | 0 |" in text
    assert "| … slowest worker, s | 0.25 in 1 of 3 | – |" in text
    assert "Redis" not in text
