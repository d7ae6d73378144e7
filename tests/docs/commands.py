"""What the commands in a block name, and whether there is such a thing. Nothing is run but `--help`."""

import functools
import re
import shlex
import subprocess
import sys

from click.testing import CliRunner

from docs.pages import ROOT
from fairlead import __version__
from fairlead.cli import commands
from harness.process import SOURCE

PROGRAMS = {
    "cd", "cp", "curl", "docker", "echo", "export", "git", "grep", "haproxy", "helm", "install", "kubectl", "mkdir",
    "systemctl", "tar", "test", "valkey-cli", "valkey-server",
}  # fmt: skip
"""Others' programs, about which nothing is known here: a misspelt name is not among them."""

_ASSIGNMENT = re.compile(r"[A-Z][A-Z_]*=.*", re.DOTALL)
_PATH = re.compile(r"(?:src|tests|bench|deploy)/[\w./-]*\w")
_OURS = re.compile(r"fairlead[-:](\d+\.\d+\.\d+)")


def lines(block):
    """Each command as words, without the variables set before it and what its output goes to.

    One in `$(…)`, or behind `&&`, `;` or `|`, is a command of its own.
    """
    text = re.sub(r"^\w+=\$\((.*?)\)$", r"\1", block.text.replace("\\\n", " "), flags=re.MULTILINE | re.DOTALL)
    lexer = shlex.shlex(text.replace("\n", "\n;\n"), posix=True, punctuation_chars=";&|")
    lexer.whitespace_split, lexer.commenters = True, "#"
    found, words = [], []
    for token in [*lexer, ";"]:
        if token and set(token) <= set(";&|"):
            while words and _ASSIGNMENT.fullmatch(words[0]):
                words = words[1:]
            if words:
                found.append(words)
            words = []
        else:
            words.append(token)
    return found


def faults(words):
    """What is wrong with a command, in words; nothing if nothing is."""
    program = words[0].rpartition("/")[2]
    if program == "fairlead":
        yield from _of_fairlead(words[1:])
    elif program == "make":
        yield from (f"there is no make {name}" for name in words[1:] if "=" not in name and name not in targets())
    elif program in ("python", "python3", "pip"):
        if words[1:2] == ["-m"] and words[2] != "venv":
            yield from _of_module(words[2], words[3:])
    elif program not in PROGRAMS:
        yield f"{program} is no program that is known here"
    for word in words:
        for path in _PATH.findall(word):
            if not (ROOT / path).exists() and path not in _MADE:
                yield f"there is no {path}"
        yield from (f"{word} is not of this version" for version in _OURS.findall(word) if version != __version__)


_MADE = {"deploy/.env", "bench/.venv/bin/locust"}
"""What is there only once somebody has made it."""


@functools.cache
def targets():
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def _of_fairlead(words):
    result = CliRunner().invoke(commands, [*words, "--help"])
    if result.exit_code:
        yield result.output.strip().splitlines()[-1]


def _of_module(module, rest):
    sub = [word for word in rest[:1] if re.fullmatch(r"[a-z]+", word)]
    said = _help(module, *sub)
    if not said:
        yield f"there is no python -m {' '.join([module, *sub])}"
    options = re.findall(r"--[a-z-]+", " ".join(rest))
    yield from (f"python -m {module} has no {name}" for name in options if name not in said)


@functools.cache
def _help(*words):
    command = [sys.executable, "-m", *words, "--help"]
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{SOURCE}:{ROOT / 'tests'}:{ROOT}"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout if done.returncode == 0 else ""
