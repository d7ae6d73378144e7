"""The table and the chart leave nobody out, and say why a cell is empty."""

from bench.peers.summary import Outcome, chart, direct, notes, plain, table
from bench.report import DIRECT
from bench.rounds import Problem

OURS = {"requests_per_core_s": 4000.0, "cpu_us_per_request": 250.0, "p50_ms": 0.5}
BETTER = {"requests_per_core_s": 8000.0, "cpu_us_per_request": 125.0}
WHY = "gate ended with status 1\nTraceback\n  File /srv/gate/lib/x.py\nNo module named gate"


def outcome(**members):
    rounds = [{"fairlead": OURS, "swift": BETTER, DIRECT: {"p50_ms": 0.2}}] * 3
    return Outcome(["swift", "fairlead", "gate"], rounds, [Problem(1, "start", "gate", WHY)], **members)


def line_of(target, text):
    return next(line for line in text.splitlines() if line.startswith(f"| {target} "))


def test_who_is_faster_is_shown_to_be():
    cells = line_of("swift", table(outcome())).split("|")
    assert cells[2].strip() == "8,000"
    assert cells[-2].strip() == "0.50 ×"


def test_latency_is_what_was_added_to_the_direct_way():
    assert " 0.30 |" in line_of("fairlead", table(outcome()))


def test_what_the_direct_way_takes_is_told():
    found = Outcome([], [{DIRECT: {"p50_ms": 0.2, "p99_ms": 1.0}}, {DIRECT: {"p50_ms": 0.4, "p99_ms": 3.0}}], [])
    assert direct(found) == "Without a gateway (direct) p50 and p99 are 0.30 and 2.00 ms at 300/s."
    assert direct(Outcome([], [], [])) == "The direct way was not measured."


def test_who_did_not_start_is_a_line_with_the_reason():
    assert "not measured: gate ended with status 1; No module named gate" in line_of("gate", table(outcome()))
    assert "ended with status 1" in chart(outcome(), "")


def test_who_is_not_installed_is_a_line_with_the_reason():
    found = outcome(missing={"gate": "cannot be installed: no such version"})
    assert "cannot be installed: no such version" in line_of("gate", table(found))


def test_a_reason_is_told_once_with_the_number_of_rounds():
    problems = [Problem(number, "latency", "swift", f"{number} wait") for number in (1, 3)]
    assert notes(Outcome(["swift"], [{}, {}, {}], problems)) == ["swift, latency: 1 wait (in 2 of 3 rounds)"]


def test_nobodys_folders_are_told():
    assert plain("cannot read /srv/of/somebody/file.py: http://127.0.0.1:80/v1 gone") == (
        "cannot read file.py: http://127.0.0.1:80/v1 gone"
    )
