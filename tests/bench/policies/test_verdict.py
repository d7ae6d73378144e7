"""What is lost is said, and whether chance may have done it."""

from dataclasses import replace

from bench.policies.figures import measure
from bench.policies.fleet import Answer
from bench.policies.verdict import WHY, losses, reasons, verdicts


def figures(first_s, failures=0, count=400):
    answers = [Answer(6.0, first_s * (0.9 + 0.2 * i / count), "ok") for i in range(count)]
    return measure([*answers, *[Answer(6.0, None, "status 503")] * failures])


FAST, FAIR, SLOW = figures(0.1), figures(0.1001), figures(0.3)
FAILING = figures(0.05, failures=100)


def test_a_verdict_names_the_scenarios_in_which_ours_is_worse():
    found = verdicts({"steady": {"ours": FAST, "theirs": SLOW}, "storm": {"ours": SLOW, "theirs": FAST}}, "ours")
    assert found == [
        "beside theirs: p50 better in 1 of 2 (worse in storm); p99 better in 1 of 2 (worse in storm);"
        " failures no more in 2 of 2; cost better in 1 of 2 (worse in storm)"
    ]


def test_who_fails_more_may_be_faster_all_the_same():
    assert losses({"storm": {"ours": FAST, "theirs": FAILING}}, "ours") == [
        "storm, theirs: p50 50 beside our 100 ms; p99 55 beside our 110 ms"
    ]


def test_a_small_difference_is_called_chance():
    [line] = losses({"steady": {"ours": FAIR, "theirs": FAST}}, "ours")
    assert "p50 100 beside our 100 ms, within chance" in line
    assert not reasons({"steady": {"ours": FAIR, "theirs": FAST}}, "ours")


def test_what_the_machine_has_done_is_nobodys_loss():
    late = {"ours": replace(SLOW, late_s=0.05), "theirs": FAST}
    [line] = losses({"steady": late}, "ours")
    assert "p50 100 beside our 300 ms, the machine was in the way" in line
    assert not reasons({"steady": late}, "ours")
    assert "p50 better in 0 of 1 (worse in steady?)" in verdicts({"steady": late}, "ours")[0]


def test_a_loss_has_its_reason_or_says_that_there_is_none():
    lost = {"ours": SLOW, "theirs": FAST}
    assert reasons({"burst": lost, "brown-out": lost}, "ours") == [
        f"burst: {WHY['burst']}",
        "brown-out: not known yet",
    ]


def test_nothing_is_lost_to_who_is_worse():
    assert losses({"steady": {"ours": FAST, "theirs": SLOW}}, "ours") == []
