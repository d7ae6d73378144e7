"""YAML, as read by whichever Python of this machine has a parser: the project needs none, and locks none."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "deploy" / "tools" / ".venv" / "bin"
"""Where `make tools` puts programs."""

_PROGRAM = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout, default=str)"
_PYTHONS = (str(TOOLS / "python"), sys.executable, "/usr/bin/python3", "python3")


def documents(text):
    """The documents of a YAML text. The test is skipped where nobody can read YAML."""
    for python in filter(None, map(shutil.which, _PYTHONS)):
        environ = {"PATH": "/usr/bin:/bin"}
        if subprocess.run([python, "-c", "import yaml"], env=environ, capture_output=True, check=False).returncode == 0:
            done = subprocess.run(
                [python, "-c", _PROGRAM], env=environ, input=text, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            return [document for document in json.loads(done.stdout) if document is not None]
    pytest.skip("no Python with PyYAML on this machine (make tools)")
