"""`fairlead usage`: what has been used, and the ledger itself."""

import datetime
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from fairlead.cli.progress import Tell, progress
from fairlead.cli.store import with_store

if TYPE_CHECKING:
    from fairlead.access.rollup import Amounts, Row
    from fairlead.store.redis import Client

DAYS = 30
DAY = click.DateTime(["%Y-%m-%d"])
METRICS = ("requests", "prompt", "completion", "reasoning", "cached", "usd")
HASH_CHARS = 12

since_option = click.option(
    "--since", metavar="YYYY-MM-DD", type=DAY, help=f"First day, UTC  [default: the last {DAYS} days]"
)
until_option = click.option("--until", metavar="YYYY-MM-DD", type=DAY, help="Last day, UTC  [default: today]")


@click.group(invoke_without_command=True)
@click.option("--by", type=click.Choice(["key", "model", "provider", "day"]), default="day", show_default=True)
@since_option
@until_option
@click.option("--csv", "is_csv", is_flag=True, help="Print CSV: keys by their whole hash")
@click.option("--json", "is_json", is_flag=True, help="Print JSON")
@click.pass_context
def usage(
    context: click.Context,
    by: str,
    since: datetime.datetime | None,
    until: datetime.datetime | None,
    is_csv: bool,
    is_json: bool,
) -> None:
    """Sum up requests, tokens and cost.

    A request counts for the day (UTC) on which it began.
    """
    if context.invoked_subcommand is not None:
        return
    if is_csv and is_json:
        raise click.UsageError("--csv or --json, not both")
    first, last = _days(since, until)
    rows, names = with_store(lambda client: _read(client, first, last))
    sums = summed(rows, by)
    if is_json:
        click.echo(json.dumps([{by: name, **counted(amounts)} for name, amounts in sums.items()]))
    elif is_csv:
        click.echo(csv_text(by, sums), nl=False)
    else:
        for line in table(by, sums, names):
            click.echo(line)


@usage.command()
@since_option
@until_option
def export(since: datetime.datetime | None, until: datetime.datetime | None) -> None:
    """Print the ledger as JSON lines.

    One for each generation that began on these days, in the order in which they ended. One that was charged by estimate
    may come again, corrected: `adds_usd_nanos` is what a line adds to what was spent, and the sum of them is exact.
    """
    first, last = _days(since, until)
    with progress("Reading the ledger", is_wanted=not sys.stdout.isatty()) as tell:
        with_store(lambda client: _export(client, first, last, tell))


def _days(since: datetime.datetime | None, until: datetime.datetime | None) -> tuple[datetime.date, datetime.date]:
    from fairlead import clock

    today = datetime.datetime.fromtimestamp(clock.wall(), datetime.UTC).date()
    last = until.date() if until else today
    first = since.date() if since else last - datetime.timedelta(days=DAYS - 1)
    if first > last:
        raise click.UsageError(f"--since {first} is after {last}")
    return first, last


async def _read(client: "Client", first: datetime.date, last: datetime.date) -> "tuple[list[Row], Mapping[str, str]]":
    """Return what was used on these days, and the names of keys."""
    from fairlead.store.keys import KeyStore
    from fairlead.store.ledger import LedgerStore

    ledger = LedgerStore(client)
    rows: list[Row] = []
    for day in await ledger.days():
        if f"{first:%Y%m%d}" <= day <= f"{last:%Y%m%d}":
            rows += await ledger.rollup(day)
    return rows, {key.hash: key.name for key in await KeyStore(client).list()}


async def _export(client: "Client", first: datetime.date, last: datetime.date, tell: Tell) -> None:
    import msgspec

    from fairlead import clock
    from fairlead.store.ledger import LedgerStore, stream_id, stream_id_at

    begin = datetime.datetime.combine(first, datetime.time(), datetime.UTC).timestamp()
    hour_s = 3_600.0  # by which the store's clock may be behind the gateway's
    span = int(clock.wall() - begin)
    async for place, entry, generation in LedgerStore(client).entries(stream_id_at(max(0.0, begin - hour_s))):
        if f"{first:%Y%m%d}" <= entry.day <= f"{last:%Y%m%d}":
            line = {"entry": place, "adds_usd_nanos": entry.amounts.usd_nanos, **msgspec.structs.asdict(generation)}
            click.echo(msgspec.json.encode(line))
        tell(max(0, stream_id(place)[0] // 1000 - int(begin)), span)


def summed(rows: "Sequence[Row]", by: str) -> "dict[str, Amounts]":
    """Return the sums: days in their order, everything else by falling cost."""
    from fairlead.access.rollup import added_up

    of_row: Mapping[str, Callable[[Row], str]] = {
        "key": lambda row: row.key,
        "model": lambda row: row.model,
        "provider": lambda row: row.provider,
        "day": lambda row: f"{row.day[:4]}-{row.day[4:6]}-{row.day[6:]}",
    }
    sums = added_up(rows, of_row[by]).items()
    if by == "day":
        return dict(sorted(sums))
    return dict(sorted(sums, key=lambda item: (-item[1].usd_nanos, -item[1].requests, item[0])))


def counted(amounts: "Amounts") -> dict[str, object]:
    """Return amounts as JSON has them: the cost as nano-USD, and as USD."""
    from fairlead.access.usd import usd_of

    return {**amounts._asdict(), "usd": usd_of(amounts.usd_nanos)}


def _texts(amounts: "Amounts") -> list[str]:
    """The columns METRICS."""
    from fairlead.access.usd import usd_text

    return [usd_text(amounts.usd_nanos) if name == "usd" else str(getattr(amounts, name)) for name in METRICS]


def csv_text(by: str, sums: "Mapping[str, Amounts]") -> str:
    import csv
    import io

    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([by, *METRICS])
    writer.writerows([name, *_texts(amounts)] for name, amounts in sums.items())
    return written.getvalue()


def table(by: str, sums: "Mapping[str, Amounts]", names: Mapping[str, str]) -> list[str]:
    """Return the lines of a table, with the sum of all at its end; `names` are those of keys, by hash."""
    from fairlead.access.rollup import Amounts

    total = Amounts()
    for amounts in sums.values():
        total = total.plus(amounts)
    shown = [_shown(by, name, names) for name in sums]
    lines = [[by, *METRICS], *([name, *_texts(of)] for name, of in zip(shown, sums.values(), strict=True))]
    lines.append(["total", *_texts(total)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines]


def _shown(by: str, name: str, names: Mapping[str, str]) -> str:
    if by == "key" and name:
        return f"{name[:HASH_CHARS]} {names.get(name, '')}".rstrip()
    return name or "-"
