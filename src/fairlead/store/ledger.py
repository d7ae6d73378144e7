"""Everything that reads the ledger and its sums; who writes them, and all keys, see `store/money.py`.

A generation that was charged by estimate may have a second entry, which corrects the first: its JSON says everything
anew, and what it adds to the counters are the differences, and no request. The newest entry of an id counts.
"""

import datetime
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import msgspec
from redis.exceptions import RedisError

from fairlead.access.audit import Entry, StreamId
from fairlead.access.rollup import Amounts, Row, rows_of
from fairlead.access.windows import Spent, day_of, windows_at
from fairlead.errors import Unreadable
from fairlead.store.money import SLOT
from fairlead.store.redis import Client, run_scripts
from fairlead.telemetry.generation import Generation, unpack

LEDGER = f"{SLOT}ledger"
DAYS = f"{SLOT}days"

AT_ONCE = 500
"""Entries, or counters, in one round trip: a few milliseconds of the store, and of a worker's loop."""
FOREIGN_DAYS = 7
"""A provider's id does not tell its day: today and so many days before it are searched."""
MOST_ID_CHARS = 200

_OUR_ID = re.compile(r"gen-([0-9]{1,11})-[0-9a-f]+")

_SPENT = "return redis.call('HMGET', KEYS[1], unpack(ARGV))"
_FIND = "return redis.call('HGET', KEYS[1], ARGV[1])"


class UnreadableEntry(Unreadable):
    """The ledger holds what no fairlead has written."""


class LedgerStore:
    """Every method raises redis' RedisError when the store is away."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def spent(self, accounts: Sequence[str], now: float) -> dict[str, Spent]:
        """Return what each account has spent, in one round trip. `now` (Unix seconds) says which windows are meant."""
        windows = windows_at(now)
        fields = [windows["total"], windows["daily"], windows["weekly"], windows["monthly"], "n", "last"]
        calls = [(f"{SLOT}spent:{account}", fields) for account in accounts]
        replies = cast(list[Any], _all_of(await run_scripts(self._client, _SPENT, calls)))
        found = {}
        for account, reply in zip(accounts, replies, strict=True):
            try:
                found[account] = Spent(*(int(value or 0) for value in reply))
            except ValueError as error:
                raise _unreadable_counter(f"spent:{account}", error) from error
        return found

    async def alerts(self) -> dict[tuple[str, str], int]:
        """Return how often a part of a limit has been reached, by kind of window and part, in the whole fleet."""
        found = cast(dict[bytes, bytes], await self._client.hgetall(f"{SLOT}alerts"))
        counts = {}
        for name, count in found.items():
            try:
                window, _, part = name.decode().partition(" ")
                counts[window, part] = int(count)
            except ValueError as error:
                raise _unreadable_counter("alerts", error) from error
        return counts

    async def generation(self, wanted: str, now: float) -> Generation | None:
        """Return the generation with this id, ours or the provider's; None if there is none, or none any more.

        A provider's is known for FOREIGN_DAYS before `now`, in Unix seconds. Raises UnreadableEntry.
        """
        if len(wanted) > MOST_ID_CHARS:
            return None
        recent = [day_of(now - days * 86_400) for days in range(FOREIGN_DAYS + 1)]
        found = await self._place_of(wanted, [*_day_within(wanted), *recent])
        if found.startswith("="):
            found = await self._place_of(found[1:], _day_within(found[1:]))
        place = found.partition(" ")[0]
        if not place or place.startswith("="):
            return None
        entries = await self._range(place, place)
        return _generation(place, entries[0][1].get(b"g", b"")) if entries else None

    async def _place_of(self, wanted: str, days: Sequence[str]) -> str:
        """What the first of these days that knows the id says of it; empty if none does."""
        calls = [(f"{SLOT}ids:{day}", (wanted,)) for day in dict.fromkeys(days)]
        replies = _all_of(await run_scripts(self._client, _FIND, calls))
        return next((reply.decode("utf-8", "replace") for reply in replies if isinstance(reply, bytes)), "")

    async def entries(self, since: str = "-", until: str = "+") -> AsyncIterator[tuple[str, Entry, Generation]]:
        """Yield each entry from one stream id to another: its id, what it adds to the counters, and the generation.

        It is read in chunks; those who wait have their turn between them. Raises UnreadableEntry.
        """
        while True:
            chunk = await self._range(since, until)
            for place, fields in chunk:
                name = place.decode()
                generation = _generation(name, fields.get(b"g", b""))
                yield name, _entry(name, fields, generation), generation
            if len(chunk) < AT_ONCE:
                return
            since = f"({chunk[-1][0].decode()}"

    async def _range(self, since: str, until: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        found: Any = await self._client.xrange(LEDGER, since, until, count=AT_ONCE)
        return cast(list[tuple[bytes, dict[bytes, bytes]]], found)

    async def days(self) -> list[str]:
        """Return the days that have a roll-up, oldest first."""
        return sorted(bytes(day).decode() for day in cast(set[bytes], await self._client.smembers(DAYS)))

    async def rollup(self, day: str) -> list[Row]:
        """Return what was used on a day. Read in chunks: of today's rows one may be a moment older than another."""
        counters: dict[str, int] = {}
        cursor = 0
        while True:
            cursor, found = await self._client.hscan(f"{SLOT}day:{day}", cursor, count=AT_ONCE)
            pairs = cast(dict[bytes, bytes], found).items()
            try:
                counters |= {field.decode(): int(value) for field, value in pairs}
            except ValueError as error:
                raise _unreadable_counter(f"day:{day}", error) from error
            if not cursor:
                return rows_of(day, counters)


def stream_id(text: str) -> StreamId:
    milliseconds, _, number = text.partition("-")
    return int(milliseconds), int(number)


def stream_id_at(unix: float) -> str:
    """Return the least id of what is written from then on, to the millisecond, for `entries`."""
    return str(round(unix * 1000))


def unix_of_day(day: str) -> int:
    """Return when a day, `20261121`, begins. Raises ValueError."""
    return int(datetime.datetime.strptime(day, "%Y%m%d").replace(tzinfo=datetime.UTC).timestamp())


def _all_of(replies: list[object]) -> list[object]:
    """The replies, if all is well; else the first error is raised."""
    for reply in replies:
        if isinstance(reply, RedisError):
            raise reply
    return replies


def _day_within(generation_id: str) -> list[str]:
    found = _OUR_ID.fullmatch(generation_id)
    return [day_of(int(found[1]))] if found else []


def _generation(place: str, data: bytes) -> Generation:
    try:
        return unpack(data)
    except msgspec.DecodeError as error:
        raise _unreadable(place, error) from error


def _unreadable_counter(place: str, error: Exception) -> Unreadable:
    return Unreadable(
        f"{SLOT}{place} holds something that is no whole number ({error}): fairlead reconcile names it, HDEL removes it"
    )


def _entry(place: str, fields: dict[bytes, bytes], generation: Generation) -> Entry:
    try:
        key, day, *amounts, requests = fields[b"n"].decode().split(" ")
        unix_of_day(day)
        added = Amounts(int(requests), *map(int, amounts))
    except (KeyError, ValueError, TypeError) as error:
        raise _unreadable(place, error) from error
    return Entry(stream_id(place), day, key, generation.model, generation.provider, added)


def _unreadable(place: str, error: Exception) -> UnreadableEntry:
    return UnreadableEntry(
        f"the entry {place} of the ledger ({LEDGER}) cannot be read ({error}): it is not fairlead's. See with XRANGE"
        " what it is, and remove it with XDEL"
    )
