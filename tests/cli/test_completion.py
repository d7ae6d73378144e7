import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.cli import commands
from fairlead.cli.completion import SHELLS
from harness.command import LIMIT_S, SOURCE

ASK = """
eval "$(fairlead completion bash)"
complete -p fairlead >&2
COMP_WORDS=({words}); COMP_CWORD={at}; COMP_LINE="${{COMP_WORDS[*]}}"; COMP_POINT=${{#COMP_LINE}}
compopt() {{ :; }}  # only there while a key is pressed
_fairlead_completion fairlead "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def program(tmp_path):
    """A `fairlead` on PATH that runs this source."""
    script = tmp_path / "bin" / "fairlead"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nPYTHONPATH={SOURCE} exec {sys.executable} -m fairlead "$@"\n')
    script.chmod(0o755)
    return script


def run(program, *command):
    environ = {"PATH": f"{program.parent}:/usr/bin:/bin", "HOME": str(program.parent)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def offered(program, *words):
    """What bash would offer for the last of the words."""
    quoted = " ".join(f"'{word}'" for word in ("fairlead", *words))
    done = run(program, "bash", "-c", ASK.format(words=quoted, at=len(words)))
    assert "_fairlead_completion" in done.stderr
    return set(done.stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on PATH")
class TestBash:
    def test_commands(self, program):
        assert offered(program, "") == set(commands.commands)
        assert offered(program, "re") == {"reconcile"}

    def test_commands_of_a_group(self, program):
        assert offered(program, "keys", "") == set(commands.commands["keys"].commands)

    def test_options(self, program):
        assert {"--live", "--json", "--timeout", "--help"} <= offered(program, "check", "--")

    def test_values(self, program):
        assert offered(program, "usage", "--by", "") == {"key", "model", "provider", "day"}
        assert offered(program, "completion", "z") == {"zsh"}


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_reads_its_script(program, shell):
    script = run(program, "fairlead", "completion", shell)
    assert (script.returncode, script.stderr) == (0, "")
    assert "_FAIRLEAD_COMPLETE" in script.stdout
    if shutil.which(shell) is not None:
        file = Path(program.parent, "script")
        file.write_text(script.stdout)
        assert run(program, shell, "-n", str(file)).returncode == 0


def test_a_shell_that_nobody_knows_is_wrong_usage(program):
    done = run(program, "fairlead", "completion", "tcsh")
    assert (done.returncode, done.stdout) == (2, "")
    assert "bash" in done.stderr
