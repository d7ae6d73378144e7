"""The wheel, the locks, the Makefile. Nothing here needs a network."""

import email
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from fairlead import __version__
from harness.command import clean_environ

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
GROUPS = PYPROJECT["dependency-groups"]
EXTRAS = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
LOCKS = {
    "deploy/requirements.lock": PROJECT["dependencies"] + EXTRAS,
    "tests/requirements.lock": PROJECT["dependencies"] + EXTRAS + GROUPS["dev"],
    "bench/requirements.lock": GROUPS["bench"],
}
"""Each lock with what it must cover."""


def run(*command, cwd=ROOT, **variables):
    environ = {"PATH": os.defpath, "HOME": str(cwd), "SOURCE_DATE_EPOCH": "1767225600", **variables}
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built as `make wheel` does it."""
    place = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place))
    (found,) = place.iterdir()
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The Python of an environment that has the wheel and nothing else."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place, symlinks=True)
    python = place / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel), cwd=place)
    return python


# The wheel


def test_the_wheel_holds_the_package_and_its_data(wheel):
    assert wheel.name == f"fairlead-{__version__}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src" / "fairlead"
    ours = {f"fairlead/{path.relative_to(source).as_posix()}" for path in source.rglob("*.py")}
    ours |= {"fairlead/py.typed", "fairlead/catalog/data/models.json"}
    ours |= {f"fairlead/store/{name}.lua" for name in ("health", "minutes", "money", "percentiles", "sticky")}
    ours |= {"fairlead/admin/consent.html", "fairlead/admin/consent_form.html"}
    ours |= {f"fairlead/openapi/docs.{suffix}" for suffix in ("css", "html", "js")}
    info = f"fairlead-{__version__}.dist-info"
    assert names == ours | {
        f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }


def test_the_metadata_say_what_pyproject_says(wheel):
    text = zipfile.ZipFile(wheel).read(f"fairlead-{__version__}.dist-info/METADATA").decode()
    metadata = email.message_from_string(text)
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "\n# fairlead\n" in "\n" + metadata.get_payload()
    assert metadata.get_all("Provides-Extra") == list(PROJECT["optional-dependencies"])
    required = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    assert {one.name for one in required if one.marker is None or "extra" not in str(one.marker)} == {
        Requirement(line).name for line in PROJECT["dependencies"]
    }
    assert {one.name for one in required if "extra" in str(one.marker)} == {Requirement(line).name for line in EXTRAS}


def test_the_installed_command_works(installed, tmp_path):
    """With the dependencies of this environment, since there is no network to get them from."""
    environ = clean_environ(tmp_path, PYTHONPATH=sysconfig.get_path("purelib"), OPENAI_API_KEY="sk-0123456789abcdef")
    command = str(installed.parent / "fairlead")
    assert run(command, "--version", cwd=tmp_path, **environ) == f"fairlead {__version__}\n"
    where = run(str(installed), "-c", "import fairlead; print(fairlead.__file__)", cwd=tmp_path, **environ)
    assert Path(where).is_relative_to(installed.parent.parent)
    assert "openai/gpt-" in run(command, "models", "--offline", cwd=tmp_path, **environ)


# The locks


def entries(lock):
    """Each locked requirement with its lines."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[a-zA-Z0-9])", text, flags=re.MULTILINE)
    return [(Requirement(block.partition("\\")[0].strip()), block) for block in blocks if block[:1].isalnum()]


def versions(lock):
    """The one version of each package, by its name as the index writes it."""
    return {re.sub(r"[-_.]+", "-", one.name).lower(): str(one.specifier).removeprefix("==") for one, _ in entries(lock)}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_has_a_version_and_hashes(lock):
    assert len(entries(lock)) > 15
    for requirement, block in entries(lock):
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", block), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_no_entry_says_where_to_get_it(lock):
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^ *--(index|extra-index|find-links|trusted)", text, re.MULTILINE)
    assert not [requirement for requirement, _ in entries(lock) if requirement.url]


@pytest.mark.parametrize(("lock", "needed"), LOCKS.items(), ids=[*LOCKS])
def test_the_lock_covers_what_pyproject_asks_for(lock, needed):
    locked = versions(lock)
    for requirement in map(Requirement, needed):
        assert requirement.name in locked, requirement
        assert requirement.specifier.contains(locked[requirement.name]), requirement


def test_what_is_tested_is_what_is_deployed():
    tested, deployed = versions("tests/requirements.lock"), versions("deploy/requirements.lock")
    assert {name: tested.get(name) for name in deployed} == deployed


def test_floors_are_given_for_every_dependency():
    for line in [*PROJECT["dependencies"], *EXTRAS, *GROUPS["dev"], *GROUPS["bench"]]:
        assert str(Requirement(line).specifier).startswith(">="), line


# The Makefile


def test_make_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    listed = {line.split()[0]: line.split()[1:] for line in run("make", "help").splitlines()}
    assert listed.keys() == phony
    assert all(listed.values())
    assert run("make") == run("make", "help")
    assert {target for target in phony if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()
