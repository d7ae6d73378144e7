"""`fairlead reconcile`: is every counter what the ledger says?"""

import json
import secrets
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from fairlead.cli.progress import Tell, progress
from fairlead.cli.store import with_store

if TYPE_CHECKING:
    from fairlead.access.audit import Difference
    from fairlead.store.audit import Findings
    from fairlead.store.redis import Client


@click.command()
@click.option("--repair", is_flag=True, help="Set the counters that differ to what the ledger says")
@click.option("--json", "is_json", is_flag=True, help="Print JSON: costs are nano-USD")
def reconcile(repair: bool, is_json: bool) -> None:
    """Compare all counters with the ledger.

    Each day's sums, by key, model and provider, with the ledger's entries of that day; what each key and the whole
    gateway (*) have spent, in each window, with the sum of all days. Days of which the ledger has dropped entries
    (FAIRLEAD_LEDGER_DAYS) count by their sums. A gateway may go on meanwhile: what it writes is no difference, for
    everything is compared as it was at one moment.

    Exit code 1 if there was any difference, repaired or not; 0 if there was none.
    """
    with progress("Reading the ledger") as tell:
        found, names = with_store(lambda client: _reconcile(client, tell, is_repair=repair))
    if is_json:
        click.echo(json.dumps(members(found, is_repaired=repair and bool(found.differences)), indent=2))
        sys.exit(1 if found.differences else 0)
    for difference in found.differences:
        click.echo(line_of(difference, names))
    if not found.differences:
        click.echo(f"{_extent(found)}: no difference")
        return
    done = "repaired" if repair else "set them right with: fairlead reconcile --repair"
    click.echo(f"{_extent(found)}: {_count(len(found.differences), 'difference')}; {done}", err=True)
    sys.exit(1)


async def _reconcile(client: "Client", tell: Tell, *, is_repair: bool) -> "tuple[Findings, dict[str, str]]":
    """Return what was found, and the names of stored keys."""
    from fairlead.store.audit import AuditStore
    from fairlead.store.keys import KeyStore

    auditor, mark = AuditStore(client), secrets.token_hex(8)
    if is_repair:
        await auditor.begin_repair(mark)
    found = await auditor.findings(tell)
    if is_repair:
        await auditor.repair(mark, found.differences)
    names = {key.hash: key.name for key in await KeyStore(client).list()} if found.differences else {}
    return found, names


def members(found: "Findings", *, is_repaired: bool) -> dict[str, object]:
    """Return the findings as JSON has them. `stored` is null for a counter that is missing."""
    return {
        "entries": found.entries,
        "days": found.rollups,
        "accounts": found.accounts,
        "is_repaired": is_repaired,
        "differences": [
            {
                "place": one.place,
                "field": one.field,
                "stored": one.stored,
                "ledger": one.ledger,
                "excess": one.excess,
            }
            for one in found.differences
        ],
    }


def line_of(difference: "Difference", names: Mapping[str, str]) -> str:
    """Return a difference as a line: account or day, window or sum, what was counted, what the ledger says."""
    from fairlead.access.rollup import split_field

    kind, _, place = difference.place.partition(":")
    if kind == "spent":
        where, is_usd = f"{_account(place, names)} {difference.field}", difference.field != "n"
    else:
        parts = split_field(difference.field)
        where, is_usd = f"day {place} {difference.field}", False
        if parts is not None:
            key, model, provider, metric = parts
            where = f"day {place} {_account(key, names)} {model or '-'} {provider or '-'} {metric}"
            is_usd = metric == "usd_nanos"
    stored = "missing" if difference.stored is None else _amount(difference.stored, is_usd)
    excess = _amount(difference.excess, is_usd)
    sign = "" if difference.excess < 0 else "+"
    unit = " USD" if is_usd else ""
    return f"{where}: counter {stored}, ledger {_amount(difference.ledger, is_usd)}, difference {sign}{excess}{unit}"


def _account(key: str, names: Mapping[str, str]) -> str:
    if key in ("", "*"):
        return key or "-"
    return f"{key[:12]} ({names[key]})" if names.get(key) else key[:12]


def _amount(value: int, is_usd: bool) -> str:
    from fairlead.access.usd import usd_text

    return usd_text(value) if is_usd else str(value)


def _extent(found: "Findings") -> str:
    from fairlead.access.audit import NEVER

    counts = [(found.entries, "entry"), (found.rollups, "day"), (found.accounts, "account")]
    text = ", ".join(_count(*count) for count in counts)
    day = found.first_whole
    if not day or not found.rollups:
        return text
    if day == NEVER:
        return f"{text} (there is no ledger: only accounts are compared, with the sums of days)"
    return f"{text} (days before {day[:4]}-{day[4:6]}-{day[6:]} by their sums: the ledger has not all of their entries)"


def _count(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"
