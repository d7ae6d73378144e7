"""`fairlead healthcheck`: for containers that have no curl."""

import sys

import click


@click.command()
@click.option("--live", is_flag=True, help="Ask whether it is alive, not whether it is ready")
@click.option("--timeout", "timeout_s", metavar="SECONDS", default=3.0, show_default=True, help="Longest wait")
def healthcheck(live: bool, timeout_s: float) -> None:
    """Ask the gateway on this machine whether it is ready.

    It is looked for where FAIRLEAD_HOST and FAIRLEAD_PORT say. Exits with 0 or 1.
    """
    from fairlead.cli.gateway import LocalGateway
    from fairlead.config import load_process

    settings = load_process().settings
    status, body = LocalGateway(settings.host, settings.port, timeout_s=timeout_s).get("/livez" if live else "/readyz")
    click.echo(body.decode("utf-8", "replace"))
    sys.exit(0 if status == 200 else 1)
