"""`python -m bench.policies`, but for the processes that it starts."""

import contextlib
import io
import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from bench.policies.__main__ import main
from bench.policies.busy import Busy
from bench.policies.fleet import Run
from bench.policies.rehearsal import run
from bench.processes import NotReady
from bench.simulate.policies import PRODUCT
from bench.simulate.seven import SEVEN

BUSY = Busy({"gateway 0": 0.2, "store": 0.1}, {"gateway 0": 0.05, "store": 0.0}, [0.3, 0.7], 0.7)


def rehearsed(scenario, policy, round_):
    """What the simulator says takes the place of what was measured."""
    return Run(run(scenario, policy, round_), BUSY)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    words = ["--policies", "round-robin", "random", "--seconds", "7", "--results", str(folder)]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert main(words, rehearsed) == 0
    assert said.getvalue() == (folder / "policies.md").read_text()
    return said.getvalue(), json.loads((folder / "policies.json").read_text()), folder


def test_all_that_was_run_is_in_the_table_the_worst_too(stored):
    said, raw, folder = stored
    assert list(raw["scenarios"]) == list(SEVEN)
    for name, by_policy in raw["scenarios"].items():
        assert list(by_policy) == [PRODUCT, "round-robin", "random"]
        assert f"| {name} " in said
    assert said.count("| random ") == 1 + len(SEVEN)
    assert ElementTree.parse(folder / "policies.svg").getroot().tag.endswith("svg")


def test_what_was_paid_is_shown_where_prices_differ(stored):
    said, raw, _ = stored
    heads = [line for line in said.splitlines() if " paid " in line and line.startswith("|")]
    assert [head.split("|")[1].strip() for head in heads] == ["price mix"]
    paid = {policy: one["measured"]["paid_nanos"] for policy, one in raw["scenarios"]["price mix"].items()}
    assert paid[PRODUCT] < paid["random"]


def test_the_state_of_the_machine_and_the_command_are_told(stored):
    said, raw, _ = stored
    assert raw["facts"]["command"].startswith("python -m bench.policies --policies round-robin random --seconds 7")
    assert "| gateway 0 " in said
    assert any("a core was 70 % busy" in warning for warning in raw["warnings"])
    assert any("others used 70 % of a core" in warning for warning in raw["warnings"])


def test_whose_numbers_are_the_machines_as_well_is_said(tmp_path, capsys):
    def play(scenario, policy, round_):
        late_s = 0.05 if policy == "round-robin" else 0.001
        answers = run(scenario, policy, round_)
        return Run([replace(answer, late_s=late_s) for answer in answers], BUSY)

    assert main(["--quick", "--scenarios", "steady", "--results", str(tmp_path)], play) == 0
    said = capsys.readouterr().out
    assert "the machine was in the way: steady, round-robin: callers asked up to 50 ms late" in said
    assert "in the way: steady, fairlead" not in said


def test_what_could_not_be_run_is_named_and_ends_with_1(tmp_path, capsys):
    def play(scenario, policy, round_):
        if policy == "round-robin":
            raise NotReady("the store: nothing in 60 s")
        return rehearsed(scenario, policy, round_)

    assert main(["--quick", "--results", str(tmp_path)], play) == 1
    assert "**could not be run: steady, round-robin: the store: nothing in 60 s**" in capsys.readouterr().out


def test_a_quick_run_is_kept_nowhere_unless_it_is_told_where(capsys):
    assert main(["--quick", "--scenarios", "steady"], rehearsed) == 0
    assert "command: python -m bench.policies --quick --scenarios steady" in capsys.readouterr().out
