"""Other gateways, each in its own folder of `bench/.peers`, from its lock. What cannot be installed says why."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.targets import HERE, PEERS

ENVIRONMENTS = HERE / "peers" / "environments"
_AT_MOST_S = 900.0
_READY = ".ready"
"""Its content tells from which lock the folder was made."""


def ensure(name: str, environments: Path = ENVIRONMENTS, peers: Path = PEERS) -> str:
    """Install one environment unless it is there already. Return why that was not possible, "" if it was."""
    source, place = environments / name, peers / name
    lock = next(
        (source / file for file in ("requirements.lock", "package-lock.json") if (source / file).exists()), None
    )
    if lock is None:
        return f"bench/peers/environments has no lock for {name}"
    made_from = hashlib.sha256(lock.read_bytes()).hexdigest()
    ready = place / _READY
    if ready.exists() and ready.read_text() == made_from:
        return ""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        why = _python(lock, place) if lock.suffix == ".lock" else _node(source, place)
    except (OSError, subprocess.SubprocessError) as problem:
        why = str(problem)
    if not why:
        ready.write_text(made_from)
    return why


def _python(lock: Path, place: Path) -> str:
    pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    return _run([sys.executable, "-m", "venv", str(place)]) or _run([*pip, "--require-hashes", "-r", str(lock)])


def _node(source: Path, place: Path) -> str:
    npm = shutil.which("npm")
    if npm is None:
        return "there is no npm: install Node.js 20 or newer"
    for file in ("package.json", "package-lock.json"):
        shutil.copy(source / file, place)
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    return _run([npm, "ci", "--prefix", str(place), *options])


def _run(command: Sequence[str]) -> str:
    """Return the last line of what it had to say if it failed, else nothing."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_AT_MOST_S, check=False
    )
    if not done.returncode:
        return ""
    lines = (done.stderr or done.stdout).strip().splitlines()
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [f"{command[0]} ended with status {done.returncode}"])[-1]
