"""`fairlead credits`: what has been put in, and what is left of it."""

import json
import secrets
from typing import TYPE_CHECKING

import click

from fairlead.cli.store import with_store

if TYPE_CHECKING:
    from fairlead.store.credits import TopUp
    from fairlead.store.redis import Client

SHOWN = 20


@click.group()
def credits() -> None:
    """Show credits, and add some.

    They limit what all keys together may spend, if FAIRLEAD_CREDITS is `enforced`.
    """


@credits.command()
@click.option("--json", "is_json", is_flag=True, help="Print JSON")
def show(is_json: bool) -> None:
    """Print what has been put in, what has been spent, and the last top-ups."""
    from fairlead.access.iso import iso_utc
    from fairlead.access.usd import usd_of, usd_text

    total, used, last = with_store(_read)
    if is_json:
        shown = [{"at": iso_utc(int(one.unix)), "amount_usd": usd_of(one.usd_nanos), "reason": one.reason, "by": one.by,
                  "idempotency_key": one.id} for one in last]  # fmt: skip
        click.echo(json.dumps({"total_credits": usd_of(total), "total_usage": usd_of(used), "top_ups": shown}))
        return
    click.echo(f"put in   {usd_text(total)} USD\nspent    {usd_text(used)} USD\nbalance  {usd_text(total - used)} USD")
    for one in last:
        click.echo(f"{iso_utc(int(one.unix))}  {usd_text(one.usd_nanos):>12}  {one.by[:12]:<12}  {one.reason}")


@credits.command(context_settings={"ignore_unknown_options": True})  # a negative amount is no option
@click.argument("amount")
@click.option("--reason", required=True, help="What it is for")
@click.option("--id", "id", default="", help="Your own mark of this top-up: the same one counts once")
@click.option("--json", "is_json", is_flag=True, help="Print JSON")
def add(amount: str, reason: str, id: str, is_json: bool) -> None:
    """Put in AMOUNT, in USD; a negative one takes off."""
    from fairlead.access.usd import usd_nanos, usd_of, usd_text
    from fairlead.store.credits import CreditStore, OtherAmount

    try:
        nanos = usd_nanos(amount, can_be_negative=True)
    except ValueError as error:
        raise click.UsageError(f"{error}: as in fairlead credits add 25 --reason TEXT") from None
    if nanos == 0 or not reason.strip():
        raise click.UsageError("an amount that is not 0 and a reason are needed")

    async def put_in(client: "Client") -> tuple[int, bool]:
        return await CreditStore(client).add(nanos, reason=reason, id=id or secrets.token_hex(16), by="shell")

    try:
        total, is_new = with_store(put_in)
    except OtherAmount as error:
        raise click.ClickException(f"{error}: take another --id") from None
    if is_json:
        click.echo(json.dumps({"amount_usd": usd_of(nanos), "total_credits": usd_of(total), "is_new": is_new}))
        return
    click.echo(f"{'put in' if is_new else 'put in before:'} {usd_text(nanos)} USD, {usd_text(total)} USD in all")


async def _read(client: "Client") -> "tuple[int, int, list[TopUp]]":
    from fairlead import clock
    from fairlead.access.spend import INSTANCE
    from fairlead.store.credits import CreditStore
    from fairlead.store.ledger import LedgerStore

    store = CreditStore(client)
    spent = await LedgerStore(client).spent([INSTANCE], clock.wall())
    return await store.total(), spent[INSTANCE].total, await store.last(SHOWN)
