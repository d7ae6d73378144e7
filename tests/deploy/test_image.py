"""The Dockerfile, without a daemon that could build it: what it names is there, and what it copies is enough."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fairlead import __version__
from fairlead.cli import commands
from fairlead.config import SETTINGS, Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
IGNORED = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def instructions():
    """(instruction, words) in order, continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, rest = line.partition(" ")
        yield name, rest.strip()


def of(name):
    return [rest for known, rest in instructions() if known == name]


def copied():
    """(sources, target) of what comes from the tree."""
    for words in map(str.split, of("COPY")):
        if not words[0].startswith("--from"):
            yield words[:-1], words[-1]


def is_sent(path):
    """Whether .dockerignore lets this path through; the last line that matches decides."""
    verdict = True
    for line in IGNORED:
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and (path == pattern or path.startswith(f"{pattern}/") or pattern == "*"):
            verdict = line.startswith("!")
    return verdict


def test_what_it_copies_is_there_and_nothing_else_is_sent():
    sources = {source for several, _ in copied() for source in several}
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert is_sent(source), source
    allowed = {line[1:] for line in IGNORED if line.startswith("!")}
    assert allowed == sources
    assert not is_sent(".env")
    assert not is_sent("deploy/.env")


def test_what_it_copies_is_enough_to_build_the_package(tmp_path):
    for sources, target in copied():
        for source in sources:
            to = tmp_path / (target if len(sources) == 1 and not target.endswith("/") else Path(target) / source)
            to.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / source).is_dir() else shutil.copy)(ROOT / source, to)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "dist").iterdir()] == [f"fairlead-{__version__}-py3-none-any.whl"]


def test_its_steps_are_shell_and_use_what_was_copied(tmp_path):
    for step in of("RUN"):
        done = subprocess.run(["sh", "-nc", step], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    [lock] = re.findall(r"-r (\S+)", DOCKERFILE.read_text())
    assert ([lock], lock) in list(copied())
    assert "--require-hashes" in DOCKERFILE.read_text()


def test_its_python_is_one_that_is_supported():
    pythons = {words.split()[0] for words in of("FROM")}
    assert len(pythons) == 1, "the environment is copied from one stage to the other"
    version = re.fullmatch(r"python:(3\.\d+)-slim", pythons.pop())[1]
    assert f"Programming Language :: Python :: {version}" in PYPROJECT["project"]["classifiers"]


def test_its_variables_port_and_version_are_current():
    environment = dict(word.partition("=")[::2] for words in of("ENV") for word in shlex.split(words))
    ours = {name for name in environment if name.startswith("FAIRLEAD_")}
    assert ours <= {setting.variable for setting in SETTINGS}
    assert environment["FAIRLEAD_HOST"] == "0.0.0.0", "a container's loopback is nobody else's"
    assert of("EXPOSE") == [str(Settings(data_dir=Path("nowhere")).port)]
    assert of("ARG") == [f"VERSION={__version__}"]
    assert environment["FAIRLEAD_DATA_DIR"] in of("VOLUME")
    labels = dict(word.partition("=")[::2] for words in of("LABEL") for word in shlex.split(words))
    assert labels["org.opencontainers.image.licenses"] == PYPROJECT["project"]["license"]


def test_its_commands_exist():
    [entry] = map(json.loads, of("ENTRYPOINT"))
    [command] = map(json.loads, of("CMD"))
    [check] = (json.loads(words[words.index("[") :]) for words in of("HEALTHCHECK"))
    assert entry == ["fairlead"]
    assert "fairlead" in PYPROJECT["project"]["scripts"]
    assert command[0] in commands.commands
    assert (check[0], check[1] in commands.commands) == ("fairlead", True)
    [patience] = re.findall(r"--timeout=(\d+)s", DOCKERFILE.read_text())
    [asks] = [option for option in commands.commands["healthcheck"].params if option.name == "timeout_s"]
    assert int(patience) > asks.default, "its own answer is the better one"


def test_it_runs_as_nobody_in_particular():
    [user] = of("USER")
    uid, gid = map(int, user.split(":"))
    assert uid
    assert gid
    names = [name for name, _ in instructions()]
    assert names.index("USER") > max(n for n, name in enumerate(names) if name in ("RUN", "COPY"))
    assert of("STOPSIGNAL") == ["SIGTERM"], "it is SIGTERM that drains"


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="no hadolint on this machine")
def test_hadolint_finds_nothing(tmp_path):
    done = subprocess.run(["hadolint", DOCKERFILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
