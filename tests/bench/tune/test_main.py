"""`python -m bench.tune --quick`, with as little of everything as there can be."""

import json
from xml.etree import ElementTree

from bench.tune.__main__ import main
from bench.tune.contest import OTHERS

from bench.tune import kept


def test_a_quick_run_writes_its_tables_and_plots(tmp_path, capsys):
    words = ["--quick", "--no-locust", "--seconds", "6.5", "--processes", "1", "--scenarios", "steady"]
    assert main([*words, "--results", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said == (tmp_path / "tune.md").read_text()
    assert all(f"| {name} " in said for name in OTHERS)
    assert "(as it is)" in said
    raw = json.loads((tmp_path / "tune.json").read_text())
    assert raw["alone"].keys() == {"half_life_s", "in_flight", "explore", "gamma"}
    assert raw["contest"]["simulator"]["steady"].keys() >= set(OTHERS)
    plots = sorted(tmp_path.glob("*.svg"))
    assert len(plots) == 5
    assert all(ElementTree.parse(plot).getroot().tag.endswith("svg") for plot in plots)
    alone, combined, scores = kept.load(tmp_path / "tune.json")
    kept.write(tmp_path / "again.json", alone, combined, scores)
    assert (tmp_path / "again.json").read_text() == (tmp_path / "tune.json").read_text()
