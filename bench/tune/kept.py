"""What a run has found, as JSON and back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from bench.tune.contest import Score, Scores
from bench.tune.search import Finding
from bench.tune.setting import read

Alone = Mapping[str, Sequence[Finding]]


def write(path: Path, alone: Alone, combined: Sequence[Finding], scores: Mapping[str, Scores]) -> None:
    """Keep the findings of each constant, those of all together, and the scores by place."""
    kept = {
        "alone": {name: [_row(finding) for finding in found] for name, found in alone.items()},
        "together": [_row(finding) for finding in combined],
        "contest": {
            place: {
                scenario: {name: astuple(score) for name, score in by_name.items()}
                for scenario, by_name in found.items()
            }
            for place, found in scores.items()
        },
    }
    path.write_text(json.dumps(kept, indent=1) + "\n")


def load(path: Path) -> tuple[dict[str, list[Finding]], list[Finding], dict[str, Scores]]:
    """Read what was written."""
    kept = json.loads(path.read_text())
    alone = {name: [_finding(row) for row in rows] for name, rows in kept["alone"].items()}
    scores: dict[str, Scores] = {
        place: {
            scenario: {name: Score(*score) for name, score in by_name.items()} for scenario, by_name in found.items()
        }
        for place, found in kept["contest"].items()
    }
    return alone, [_finding(row) for row in kept["together"]], scores


def _row(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"setting": finding.setting.text()}


def _finding(row: Mapping[str, Any]) -> Finding:
    return Finding(**{**row, "setting": read(row["setting"])})
