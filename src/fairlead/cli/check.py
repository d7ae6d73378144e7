"""`fairlead check`: is the configuration right, and where does each value come from."""

import click


@click.command()
@click.option("--json", "is_json", is_flag=True, help="Print JSON")
def check(is_json: bool) -> None:
    """Show the effective configuration, secrets masked.

    Each value comes with its source. Exits with 2 and a line for each thing that is wrong; `fairlead serve` makes the
    same checks when it starts.
    """
    from fairlead.app import proxy_rule, read_overrides, sources_of
    from fairlead.catalog.load import ProviderModels, build, builtin
    from fairlead.config import as_json, as_text, effective, load_process
    from fairlead.upstream.dispatch import dispatches

    loaded = load_process()
    settings = loaded.settings
    # What else a start would refuse: the catalogue file, and providers that cannot be sent to.
    known = [ProviderModels(source.provider, source.declared) for source in sources_of(settings, {})]
    dispatches(build(builtin(), read_overrides(settings), known), proxy_rule(settings))
    rows = effective(loaded)
    click.echo(as_json(rows) if is_json else as_text(rows))
