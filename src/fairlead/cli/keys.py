"""`fairlead keys`: inference keys in the store."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from fairlead.access.keys import ApiKey
    from fairlead.store.keys import KeyStore

T = TypeVar("T")

SHORTEST_HASH = 4
"""Digits of a hash that name a key."""

json_option = click.option("--json", "is_json", is_flag=True, help="Print JSON")
key_argument = click.argument("key")


@click.group()
def keys() -> None:
    """Create, list and revoke inference keys.

    They are stored hashed; a key is shown once, when it is created. KEY is its name, or the start of its hash as
    `fairlead keys list` shows it. The keys of FAIRLEAD_API_KEYS are not among them.
    """


@keys.command()
@click.option("--name", default="", help="What it is for")
@json_option
def create(name: str, is_json: bool) -> None:
    """Create a key and print it: this is the only time it can be seen."""
    from fairlead import clock
    from fairlead.access.keys import from_token, generate

    token = generate()
    record = from_token(token, name, int(clock.wall()))
    _with_store(lambda store: store.add(record))
    if is_json:
        click.echo(json.dumps({"key": token, **asdict(record)}))
        return
    click.echo(token)
    click.echo("Store it now: it cannot be shown again.", err=True)


@keys.command("list")
@json_option
def list_keys(is_json: bool) -> None:
    """List all keys, oldest first."""
    found = _with_store(lambda store: store.list())
    if is_json:
        click.echo(json.dumps([asdict(key) for key in found]))
        return
    for key in found:
        state = "disabled" if key.is_disabled else "active"
        click.echo(f"{key.hash[:12]}  {key.label:<16}  {state:<8}  {_day(key.created)}  {key.name}".rstrip())
    if not found:
        click.echo("No keys yet: fairlead keys create --name NAME", err=True)


@keys.command()
@key_argument
def disable(key: str) -> None:
    """Make a key unusable, on all workers at once."""
    _change(key, "disabled", lambda store, digest: store.set_disabled(digest, True))


@keys.command()
@key_argument
def enable(key: str) -> None:
    """Make a disabled key usable again."""
    _change(key, "enabled", lambda store, digest: store.set_disabled(digest, False))


@keys.command()
@key_argument
def delete(key: str) -> None:
    """Delete a key for ever."""
    _change(key, "deleted", lambda store, digest: store.delete(digest))


def _change(wanted: str, done: str, change: "Callable[[KeyStore, str], Awaitable[None]]") -> None:
    async def find_and_change(store: "KeyStore") -> "ApiKey | str":
        found = matching(await store.list(), wanted)
        if len(found) != 1:
            return f"{len(found) or 'no'} keys match {wanted!r}: see fairlead keys list"
        await change(store, found[0].hash)
        return found[0]

    result = _with_store(find_and_change)
    if isinstance(result, str):
        click.echo(f"fairlead: {result}", err=True)
        sys.exit(1)
    click.echo(" ".join(filter(None, (result.label, result.name, done))))


def matching(stored: "Sequence[ApiKey]", wanted: str) -> "list[ApiKey]":
    """The keys of that name; where there is none, those whose hash starts like that.

    A few digits would match by chance, and nothing at all would match everything.
    """
    if named := [key for key in stored if wanted and key.name == wanted]:
        return named
    return [key for key in stored if len(wanted) >= SHORTEST_HASH and key.hash.startswith(wanted)]


def _day(created: int) -> str:
    import datetime

    return datetime.datetime.fromtimestamp(created, datetime.UTC).strftime("%Y-%m-%d")


def _with_store(use: "Callable[[KeyStore], Awaitable[T]]") -> T:
    """Run `use` on the store that the configuration names: of a running gateway, or started for the moment."""
    from redis.exceptions import RedisError

    from fairlead.config import load_process
    from fairlead.store.embedded import EmbeddedStore, url_of_running

    settings = load_process().settings
    try:
        if settings.redis_url is not None:
            return asyncio.run(_use(settings.redis_url.reveal(), use))
        if (url := url_of_running(settings.data_dir)) is not None:
            return asyncio.run(_use(url, use))
        store = EmbeddedStore(settings.data_dir)
        store.start()
        try:
            return asyncio.run(_use(store.url, use))
        finally:
            store.stop()
    except (RedisError, OSError) as error:
        click.echo(f"fairlead: the store cannot be reached: {error}", err=True)
        sys.exit(1)


async def _use(url: str, use: "Callable[[KeyStore], Awaitable[T]]") -> T:
    from fairlead.store.keys import KeyStore
    from fairlead.store.redis import connect

    client = connect(url)
    try:
        return await use(KeyStore(client))
    finally:
        await client.aclose()
