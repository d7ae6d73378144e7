"""The `fairlead` command.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 could not start. Errors go to standard error, with what
to do next. Each command imports what it needs when it runs, so that `--help` and `--version` answer at once.
"""

import sys

import click

from fairlead import __version__
from fairlead.cli.check import check
from fairlead.cli.completion import completion
from fairlead.cli.credits import credits
from fairlead.cli.demo import demo
from fairlead.cli.drill import drill
from fairlead.cli.explain import explain
from fairlead.cli.healthcheck import healthcheck
from fairlead.cli.keys import keys
from fairlead.cli.models import models
from fairlead.cli.reconcile import reconcile
from fairlead.cli.serve import serve
from fairlead.cli.top import top
from fairlead.cli.usage import usage
from fairlead.errors import ConfigError, FairleadError

__all__ = ["commands", "main"]


def main() -> None:
    """Entry point of the `fairlead` script."""
    try:
        commands(prog_name="fairlead")
    except FairleadError as error:
        for line in str(error).splitlines():
            click.echo(f"fairlead: {line}", err=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)


EXIT_CODES = """\b
Exit codes, of every command:
  0  done, and what was looked at is as it should be; what runs on was stopped (SIGTERM, Ctrl-C)
  1  failed, or what was looked at is not as it should be
  2  wrong usage, or a wrong setting: the text names it, and the remedy
  3  the gateway could not start
"""


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "--version", message="fairlead %(version)s")
def commands() -> None:
    """One URL and one key in front of every model provider.

    Configured by environment variables (`fairlead check` lists them). Without any, `fairlead serve` runs on this
    machine with simulated providers: no account, no other server.
    """


for command in (
    serve,
    check,
    keys,
    credits,
    usage,
    reconcile,
    models,
    explain,
    top,
    drill,
    demo,
    healthcheck,
    completion,
):
    commands.add_command(command)
