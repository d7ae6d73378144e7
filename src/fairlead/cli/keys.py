"""`fairlead keys`: API keys in the store."""

import json
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import click

from fairlead import clock
from fairlead.cli.store import with_store

if TYPE_CHECKING:
    from decimal import Decimal

    from fairlead.access.keys import ApiKey
    from fairlead.access.windows import Spent
    from fairlead.store.keys import KeyStore
    from fairlead.store.redis import Client

SHORTEST_HASH = 4
"""Digits of a hash that name a key."""
AT_ONCE = 500
"""Keys of which spending is read in one round trip."""

_SPAN_S = {"m": 60, "h": 3_600, "d": 86_400}

json_option = click.option("--json", "is_json", is_flag=True, help="Print JSON, as the API has it")
key_argument = click.argument("key")


@click.group()
def keys() -> None:
    """Create, list and revoke API keys.

    They are stored hashed; a key is shown once, when it is created. KEY is its name, or the start of its hash as
    `fairlead keys list` shows it. The keys of FAIRLEAD_API_KEYS are not among them.
    """


# The options have the names of the API's members, and are checked as these are.
@keys.command()
@click.option("--name", default="", help="What it is for")
@click.option("--limit", metavar="USD", help="The most that may be spent with it, ever or between two resets")
@click.option("--reset", "limit_reset", metavar="WHEN", help="Spending starts anew daily, weekly or monthly (UTC)")
@click.option("--expires", "expires_at", metavar="TIME", help="2099-12-31T23:59:59Z, or in 30m, 12h, 7d")
@click.option("--management", "is_management", is_flag=True, help="Manages keys, credits and usage; does not infer")
@click.option("--models", "allowed_models", metavar="PATTERNS", help="Only these models: openai/*,*/llama-3*")
@click.option("--providers", "allowed_providers", metavar="PATTERNS", help="Only these providers: groq,deepinfra")
@click.option("--rpm", "requests_per_minute", type=int, metavar="N", help="Requests per minute")
@click.option("--tpm", "tokens_per_minute", type=int, metavar="N", help="Tokens per minute")
@click.option("--concurrency", "max_concurrency", type=int, metavar="N", help="Requests at a time")
@click.option("--resume-tokens", type=int, metavar="N", help="In place of FAIRLEAD_RESUME_TOKENS; 0: never")
@json_option
def create(name: str, is_json: bool, **given: str | int | bool | None) -> None:
    """Create a key and print it: this is the only time it can be seen."""
    from dataclasses import replace

    from fairlead.access.keys import from_token, generate
    from fairlead.access.windows import Spent
    from fairlead.edge.key_view import key_object
    from fairlead.store.keys import KeyStore

    now = clock.wall()
    token = generate()
    wanted = _attributes({"name": name or None, **given}, now)
    key = replace(from_token(token, "", int(now)), **wanted)  # type: ignore[arg-type]
    with_store(lambda client: KeyStore(client).add(key))
    if is_json:
        click.echo(json.dumps({"key": token, **key_object(key, Spent())}))
        return
    click.echo(token)
    click.echo("Store it now: it cannot be shown again.", err=True)


def _attributes(given: dict[str, str | int | bool | None], now: float) -> dict[str, object]:
    """What the options make of a key. Raises BadParameter that names the option."""
    from fairlead.admin.key_members import read_new
    from fairlead.errors import ApiError

    members: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    for name, read in (
        ("limit", _usd),
        ("expires_at", _time(now)),
        ("allowed_models", _list),
        ("allowed_providers", _list),
    ):
        if name in members:
            members[name] = read(str(members[name]))
    try:
        return read_new(members, now)
    except ApiError as error:
        context = click.get_current_context()
        option = next(option for option in context.command.params if option.name == error.param)
        text = error.message.removeprefix(f"'{error.param}' is ")
        raise click.BadParameter(text, context, param_hint=option.opts[0]) from None


def _usd(text: str) -> "Decimal | str":
    from decimal import Decimal, InvalidOperation

    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _time(now: float) -> Callable[[str], str]:
    """Reads a span from `now` on as the time of its end."""
    from fairlead.access.iso import iso_utc

    def read(text: str) -> str:
        span = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
        return iso_utc(int(now) + int(span[1]) * _SPAN_S[span[2]]) if span else text

    return read


def _list(text: str) -> list[str]:
    """An empty variable of a shell is no list of nothing: it makes an empty pattern, which is refused."""
    return [part.strip() for part in text.split(",")]


@keys.command("list")
@json_option
def list_keys(is_json: bool) -> None:
    """List all keys, oldest first, with what has been spent."""
    from fairlead.cli.key_text import key_line
    from fairlead.edge.key_view import key_object
    from fairlead.store.keys import KeyStore

    async def read(client: "Client") -> "list[tuple[ApiKey, Spent]]":
        return await _with_spent(client, await KeyStore(client).list())

    found = with_store(read)
    if is_json:
        click.echo(json.dumps([key_object(key, spent) for key, spent in found]))
        return
    for key, spent in found:
        click.echo(key_line(key, spent, clock.wall()))
    if not found:
        click.echo("No keys yet: fairlead keys create --name NAME", err=True)


@keys.command()
@key_argument
@json_option
def show(key: str, is_json: bool) -> None:
    """Show all that is known of a key, but for the key itself."""
    from fairlead.cli.key_text import key_lines
    from fairlead.edge.key_view import key_object

    async def same(_: "KeyStore", found: "ApiKey") -> "ApiKey":
        return found

    found, spent = _use_one(key, same)
    if is_json:
        click.echo(json.dumps(key_object(found, spent)))
    else:
        click.echo("\n".join(key_lines(found, spent, clock.wall())))


@keys.command()
@key_argument
@json_option
def disable(key: str, is_json: bool) -> None:
    """Make a key unusable, on all workers at once."""
    _set_disabled(key, True, is_json)


@keys.command()
@key_argument
@json_option
def enable(key: str, is_json: bool) -> None:
    """Make a disabled key usable again."""
    _set_disabled(key, False, is_json)


@keys.command()
@key_argument
@json_option
def delete(key: str, is_json: bool) -> None:
    """Delete a key for ever."""

    async def remove(store: "KeyStore", found: "ApiKey") -> "ApiKey | None":
        return found if await store.delete(found.hash) else None

    found, _ = _use_one(key, remove)
    if is_json:
        click.echo(json.dumps({"deleted": True, "hash": found.hash}))
    else:
        click.echo(_done(found, "deleted"))


def _set_disabled(wanted: str, is_disabled: bool, is_json: bool) -> None:
    from fairlead.edge.key_view import key_object

    async def change(store: "KeyStore", found: "ApiKey") -> "ApiKey | None":
        return await store.change(found.hash, {"is_disabled": is_disabled, "updated": int(clock.wall())})

    found, spent = _use_one(wanted, change)
    if is_json:
        click.echo(json.dumps(key_object(found, spent)))
    else:
        click.echo(_done(found, "disabled" if is_disabled else "enabled"))


def _done(key: "ApiKey", what: str) -> str:
    return " ".join(filter(None, (key.label, key.name, what)))


def _use_one(wanted: str, use: "Callable[[KeyStore, ApiKey], Awaitable[ApiKey | None]]") -> "tuple[ApiKey, Spent]":
    """Return what `use` makes of the key that is meant, and its spending. Ends the process unless exactly one is."""
    from fairlead.store.keys import KeyStore

    async def find_and_use(client: "Client") -> "tuple[ApiKey, Spent] | str":
        store = KeyStore(client)
        found = matching(await store.list(), wanted)
        used = await use(store, found[0]) if len(found) == 1 else None
        if used is None:
            return f"{len(found) if len(found) > 1 else 'no'} keys match {wanted!r}: see fairlead keys list"
        return (await _with_spent(client, [used]))[0]

    result = with_store(find_and_use)
    if isinstance(result, str):
        click.echo(f"fairlead: {result}", err=True)
        sys.exit(1)
    return result


async def _with_spent(client: "Client", found: "Sequence[ApiKey]") -> "list[tuple[ApiKey, Spent]]":
    from fairlead.store.ledger import LedgerStore

    spent: dict[str, Spent] = {}
    for start in range(0, len(found), AT_ONCE):
        digests = [key.hash for key in found[start : start + AT_ONCE]]
        spent |= await LedgerStore(client).spent(digests, clock.wall())
    return [(key, spent[key.hash]) for key in found]


def matching(stored: "Sequence[ApiKey]", wanted: str) -> "list[ApiKey]":
    """The keys of that name; where there is none, those whose hash starts like that.

    A few digits would match by chance, and nothing at all would match everything.
    """
    if named := [key for key in stored if wanted and key.name == wanted]:
        return named
    return [key for key in stored if len(wanted) >= SHORTEST_HASH and key.hash.startswith(wanted)]
