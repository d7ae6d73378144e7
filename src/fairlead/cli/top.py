"""`fairlead top`: which endpoints serve, how well, and what becomes of those that do not."""

import json
import shutil
import sys

import click


@click.command()
@click.option("--once", is_flag=True, help="Print it once, as it does without a terminal")
@click.option("--json", "is_json", is_flag=True, help="Print JSON, once, as GET /admin/v1/endpoints answers")
@click.option("--model", metavar="TEXT", default="", help="Only models whose name has this in it")
@click.option("--all", "is_all", is_flag=True, help="Also endpoints that nobody has used within the last hour")
@click.option(
    "--interval",
    "interval_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    help="From one look to the next",
)
def top(once: bool, is_json: bool, model: str, is_all: bool, interval_s: float) -> None:
    """Watch the endpoints of a running gateway, until Ctrl-C.

    It is looked for where FAIRLEAD_HOST and FAIRLEAD_PORT say, and asked with FAIRLEAD_ADMIN_KEY, or with the key that
    it keeps in FAIRLEAD_DATA_DIR. Whichever worker answers tells what all of them know.
    """
    from fairlead.admin.key import find
    from fairlead.cli.gateway import LocalGateway
    from fairlead.cli.screen import screen, selected
    from fairlead.cli.watch import Watch
    from fairlead.config import load_process
    from fairlead.errors import ConfigError

    settings = load_process().settings
    key = find(settings.admin_key, settings.data_dir)
    if key.secret is None:
        raise ConfigError(f"no admin key: {key.problem}")
    gateway = LocalGateway(settings.host, settings.port, key=key.secret.reveal())
    path = "/admin/v1/endpoints" if is_all or is_json else "/admin/v1/endpoints?active=1"
    is_terminal = sys.stdout.isatty()
    use_color = settings.color == "always" or (settings.color == "auto" and is_terminal)
    if is_terminal and not once and not is_json:
        Watch(gateway, path, model, interval_s, use_color=use_color).run()
        return
    view = selected(gateway.get_json(path), model)
    if is_json:
        click.echo(json.dumps(view, indent=2))
        return
    width = shutil.get_terminal_size().columns if is_terminal else None
    for line in screen(view, title=f"fairlead {gateway.url}", width=width, use_color=use_color):
        click.echo(line, color=use_color)
