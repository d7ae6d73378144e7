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
    import http.client

    from fairlead.config import load_process

    settings = load_process().settings
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    connection = http.client.HTTPConnection(host, settings.port, timeout=timeout_s)
    path = "/livez" if live else "/readyz"
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        text = reply.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"fairlead: no answer from http://{shown}:{settings.port}{path}: {why}", err=True)
        sys.exit(1)
    finally:
        connection.close()
    click.echo(text)
    sys.exit(0 if reply.status == 200 else 1)
