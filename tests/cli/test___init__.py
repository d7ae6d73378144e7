import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fairlead import __version__
from fairlead.cli import commands

SCRIPT = str(Path(sys.executable).parent / "fairlead")
GROUPS = {"fairlead": commands, **{name: commands.commands[name] for name in ("keys", "credits", "usage")}}


def all_commands():
    """Every command as the words that call it."""
    for name, command in commands.commands.items():
        yield (name,)
        if isinstance(command, click.Group):
            yield from ((name, inner) for inner in command.commands)


def test_the_commands_are_those_that_are_promised():
    promised = {
        "serve", "check", "keys", "credits", "usage", "reconcile", "models", "explain", "top", "drill", "demo",
        "healthcheck", "completion",
    }  # fmt: skip
    assert set(commands.commands) == promised
    assert set(commands.commands["keys"].commands) == {"create", "list", "show", "disable", "enable", "delete"}


@pytest.mark.parametrize("words", [*all_commands()], ids=" ".join)
def test_each_command_has_help(words):
    result = CliRunner().invoke(commands, [*words, "--help"], prog_name="fairlead")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: fairlead {' '.join(words)} ")
    assert CliRunner().invoke(commands, [*words, "-h"], prog_name="fairlead").output == result.output


@pytest.mark.parametrize("group", GROUPS)
def test_the_list_of_commands_cuts_no_sentence_short(group):
    output = CliRunner().invoke(GROUPS[group], ["--help"]).output
    assert "..." not in output.partition("Commands:")[2]


@pytest.mark.parametrize(
    "command",
    [[sys.executable, "-m", "fairlead"], [str(Path(sys.executable).parent / "fairlead")]],
    ids=["-m", "script"],
)
def test_version(command):
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == (f"fairlead {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [["sevre"], ["check", "--jsno"], ["keys", "delete"], ["healthcheck", "--timeout=x"], ["top", "--interval=0"]],
)
def test_wrong_usage_is_2_and_on_standard_error(fairlead, arguments):
    done = fairlead(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: fairlead ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["serve"],
        ["models", "--offline"],
        ["keys", "list"],
        ["usage"],
        ["reconcile"],
        ["healthcheck"],
        ["top"],
    ],
)
def test_a_wrong_setting_is_2_for_every_command_that_reads_it(fairlead, arguments):
    done = fairlead(*arguments, FAIRLEAD_PORT="many")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith('fairlead: FAIRLEAD_PORT="many" (environment): not a whole number')


def test_the_exit_codes_are_told():
    """In the help of the program, as the README has them."""
    told = CliRunner().invoke(commands, ["--help"]).output.partition("Exit codes")[2]
    assert [line.split()[0] for line in told.splitlines()[1:]] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["keys", "list"],
        ["credits", "show"],
        ["usage"],
        ["reconcile", "--json"],
        ["top", "--once"],
        ["healthcheck"],
        ["explain", "gen-1"],
        ["check", "--live"],
    ],
    ids=" ".join,
)
def test_what_fails_is_1_for_every_command(fairlead, arguments):
    """Nobody answers: neither the store, nor the gateway, nor the provider."""
    with socket.socket() as held, socket.socket() as other:  # bound and not listening
        held.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, other_port = held.getsockname()[1], other.getsockname()[1]
        done = fairlead(
            *arguments,
            FAIRLEAD_PORT=str(port),
            FAIRLEAD_ADMIN_KEY="sk-fl-admin-v1-" + "0f" * 32,
            FAIRLEAD_REDIS_URL=f"redis://127.0.0.1:{port}/0",
            FAIRLEAD_PROVIDERS__LAB__BASE_URL=f"http://127.0.0.1:{other_port}/v1",
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("fairlead: ") or "no connection" in done.stdout
