"""`fairlead check`: is the configuration right, and where does each value come from."""

import click


@click.command()
@click.option("--json", "is_json", is_flag=True, help="Print JSON")
def check(is_json: bool) -> None:
    """Show the effective configuration, secrets masked.

    Each value comes with its source. Exits with 2 and a line for each thing that is wrong; `fairlead serve` makes the
    same checks when it starts.
    """
    from fairlead.app import check_catalog
    from fairlead.config import as_json, as_text, effective, load_process

    loaded = load_process()
    check_catalog(loaded.settings)
    rows = effective(loaded)
    click.echo(as_json(rows) if is_json else as_text(rows))
