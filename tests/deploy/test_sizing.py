"""deploy/SIZING.md: its worked examples follow from its constants, and what it names is there."""

import re
import sys
from dataclasses import fields
from pathlib import Path

from fairlead.config import SETTINGS

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from bench.sizing import table  # noqa: E402 - beside the package, and not in it
from bench.sizing.__main__ import LOADS  # noqa: E402
from bench.sizing.reckon import Constants, needs  # noqa: E402

TEXT = (ROOT / "deploy" / "SIZING.md").read_text(encoding="utf-8")


def constants():
    found = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", TEXT, re.MULTILINE))
    assert found.keys() == {one.name for one in fields(Constants)}
    return Constants(**{one.name: (int if one.type is int else float)(found[one.name]) for one in fields(Constants)})


def test_the_worked_examples_are_those_of_the_formulas():
    assert table.needed([(load, needs(constants(), load)) for load in LOADS]) in TEXT
    assert table.per_core(constants()) in TEXT


def test_the_settings_that_it_names_exist():
    named = set(re.findall(r"\bFAIRLEAD_[A-Z_]+", TEXT))
    assert "FAIRLEAD_UPSTREAM_MAX_CONNECTIONS" in named
    assert named <= {setting.variable for setting in SETTINGS}


def test_the_command_that_it_tells_is_there():
    assert "python -m bench.sizing" in TEXT
    assert (ROOT / "bench" / "sizing" / "__main__.py").is_file()
