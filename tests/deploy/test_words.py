"""deploy/README.md: its commands run, where they can, and name what there is."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from fairlead import __version__
from fairlead.cli import commands
from fairlead.config import SETTINGS
from harness.balancers import KINDS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "README.md").read_text()
LINES = [
    line for block in re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]

CHECKS = {
    "haproxy -c": [],
    "kubectl kustomize": [],
    "kubectl create secret": ["--dry-run=client", "--output=yaml"],
}
"""Commands that change nothing anywhere, with what makes them so."""


@pytest.mark.parametrize("beginning", CHECKS)
def test_the_ones_that_change_nothing_run(beginning, tmp_path):
    [line] = [line for line in LINES if line.startswith(beginning)]
    path = "/usr/sbin:/usr/local/bin:/usr/bin:/bin"
    if shutil.which(line.split()[0], path=path) is None:
        pytest.skip(f"no {line.split()[0]} on this machine")
    done = subprocess.run(
        ["sh", "-c", f"{line} {shlex.join(CHECKS[beginning])}"],
        cwd=ROOT, env={"PATH": path, "HOME": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [line for line in LINES if re.match(r"fairlead ", line)])
def test_the_ones_of_fairlead_parse(line):
    command = commands
    words = shlex.split(line)[1:]
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words)


def test_what_they_name_is_there():
    named = set(re.findall(r"(?:deploy|tests)/[\w./-]*\w", TEXT)) - {"deploy/.env"}
    assert len(named) > 10
    for path in named:
        assert (ROOT / path).exists(), path
    assert (ROOT / ".env.example").exists()
    assert set(re.findall(r"fairlead-(\d+\.\d+\.\d+)-", TEXT)) == {__version__}
    assert set(re.findall(r"fairlead:(\d+\.\d+\.\d+)", TEXT)) == {__version__}
    targets = re.findall(r"`make (\w+)`", TEXT)
    assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in targets)


def test_the_variables_exist():
    named = set(re.findall(r"\bFAIRLEAD_[A-Z_]+", TEXT))
    assert named <= {setting.variable for setting in SETTINGS}


def test_every_way_is_told():
    ways = {path.name for path in (ROOT / "deploy").iterdir()} - {"README.md", "Dockerfile.dockerignore", "catalog"}
    assert {way for way in ways if f"deploy/{way}" not in TEXT} == set()
    assert all(f"`deploy/{kind.file}`" in TEXT for kind in KINDS)
    for kind in KINDS:
        asks = re.search(rf"`deploy/{kind.file}`[^|]*\| (yes|no)", TEXT)[1]
        assert asks == ("yes" if kind.has_health_checks else "no")


def test_the_paths_of_the_unit_are_those_of_its_installation():
    unit = (ROOT / "deploy" / "systemd" / "fairlead.service").read_text()
    [program] = re.findall(r"^ExecStart=(\S+)/bin/fairlead serve$", unit, re.MULTILINE)
    [settings] = re.findall(r"^EnvironmentFile=-(\S+)$", unit, re.MULTILINE)
    assert f"python3 -m venv {program}\n" in TEXT
    assert f".env.example {settings}\n" in TEXT
