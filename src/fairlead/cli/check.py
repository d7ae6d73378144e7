"""`fairlead check`: is the configuration right, where does each value come from, and do the providers answer."""

import sys

import click


@click.command()
@click.option("--live", is_flag=True, help="Ask each provider for its models, instead of showing the settings")
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    help="With --live: the longest wait",
)
@click.option("--json", "is_json", is_flag=True, help="Print JSON")
def check(live: bool, timeout_s: float, is_json: bool) -> None:
    """Show the effective configuration, secrets masked.

    Each value comes with its source. Exits with 2 and a line for each thing that is wrong; `fairlead serve` makes the
    same checks when it starts. With --live all configured providers are asked at once for their models, which costs
    nothing: exits with 1 if one of them does not answer as it should, and says what to do.
    """
    from fairlead.config import as_json, as_text, effective, load_process
    from fairlead.derived import check_catalog

    loaded = load_process()
    check_catalog(loaded.settings)
    if not live:
        rows = effective(loaded)
        click.echo(as_json(rows) if is_json else as_text(rows))
        return

    import json

    from fairlead.cli.live import ask_all, lines, row_of

    told = [row_of(item, pinged, timeout_s) for item, pinged in ask_all(loaded.settings, timeout_s)]
    if is_json:
        click.echo(json.dumps(told, indent=2))
    elif told:
        color = loaded.settings.color
        use_color = color == "always" or (color == "auto" and sys.stdout.isatty())
        for line in lines(told, use_color=use_color):
            click.echo(line, color=use_color)
    else:
        click.echo("No provider is configured: set a key, such as OPENAI_API_KEY.", err=True)
    sys.exit(0 if all(row["ok"] for row in told) else 1)
