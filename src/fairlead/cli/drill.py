"""`fairlead drill`: how this configuration stands what providers do when they fail."""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fairlead.config import Settings
    from fairlead.drill.card import Card
    from fairlead.drill.faults import Fault
    from fairlead.drill.run import Result


@click.command()
@click.option("--fast", is_flag=True, help="Short time limits where a fault is silence, instead of the configured ones")
@click.option("--only", metavar="TEXT", multiple=True, help="Only faults whose name has this in it; may be repeated")
@click.option("--json", "is_json", is_flag=True, help="Print JSON")
def drill(fast: bool, only: tuple[str, ...], is_json: bool) -> None:
    """Try all faults of providers on this configuration.

    A gateway with the settings that `fairlead serve` would have runs in a process of its own, with a store of its own;
    simulated providers stand in for the real ones, which hear nothing of it, and no key leaves this process. Exits
    with 0 if all went as it is to go, with 1 if not, each fault with what was expected, what was seen and what to set.
    """
    from fairlead import clock
    from fairlead.drill.card import lines, members

    settings, faults = _chosen(only)
    begun_at = clock.monotonic()
    is_terminal = sys.stdout.isatty()
    card = _run(settings, faults, is_fast=fast, is_shown=sys.stderr.isatty(), begun_at=begun_at)
    if is_json:
        click.echo(json.dumps(members(card), indent=2))
    else:
        use_color = settings.color == "always" or (settings.color == "auto" and is_terminal)
        for line in lines(card, use_color=use_color):
            click.echo(line, color=use_color)
    sys.exit(0 if card.has_passed else 1)


def _chosen(only: tuple[str, ...]) -> "tuple[Settings, list[Fault]]":
    from fairlead.config import load_process
    from fairlead.derived import check_catalog
    from fairlead.drill.faults import FAULTS

    settings = load_process().settings
    check_catalog(settings)
    is_on = settings.fallback_on_content_filter
    known = [fault for fault in FAULTS if fault.is_for(fallback_on_content_filter=is_on)]
    faults = [fault for fault in known if not only or any(text.lower() in fault.name.lower() for text in only)]
    if not faults:
        raise click.UsageError(f"--only {', '.join(only)}: no fault has this in its name")
    return settings, faults


def _run(settings: "Settings", faults: "list[Fault]", *, is_fast: bool, is_shown: bool, begun_at: float) -> "Card":
    import uvloop

    from fairlead import clock
    from fairlead.catalog.load import ProviderModels, build, builtin
    from fairlead.derived import read_overrides, sources_of
    from fairlead.drill.card import Card
    from fairlead.drill.run import run_rows
    from fairlead.drill.stand_in import CERTIFICATES, rows_of

    known = [ProviderModels(source.provider, source.declared) for source in sources_of(settings, {})]
    catalog = build(builtin(), read_overrides(settings), known)
    tried = [fault for fault in faults if fault.tls not in CERTIFICATES]
    rows, notes = rows_of(settings, catalog, tried, is_fast=is_fast)
    untried = [fault.name for fault in faults if fault.tls in CERTIFICATES]
    bar = _Bar(len(rows)) if is_shown else None
    with tempfile.TemporaryDirectory(prefix="fairlead-drill-") as directory:
        results = uvloop.run(run_rows(settings, rows, Path(directory), bar.tell if bar else lambda _: None))
    if bar is not None:
        bar.clear()
    return Card(settings, results, notes, untried, clock.monotonic() - begun_at)


class _Bar:
    """Shows on a terminal how many rows are done: on standard error, so that the scorecard can go elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0

    def tell(self, result: "Result") -> None:
        from fairlead.drill.card import progress

        self._done += 1
        line = progress(self._done, self._total, result.row.fault.name, shutil.get_terminal_size().columns)
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()

    def clear(self) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
