"""Reads ledger and counters for the audit, while others write, and puts right what does not agree.

    fl:1:{money}:repair   the repair that is under way, and how many of its steps have been done

What is compared, and why what arrives meanwhile does not matter, see `access/audit.py`. A repair takes off what a
counter has too much: that is right whatever has been written since it was read, but only once. Therefore only the
repair that has begun last may go on, and each of its steps is done once.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from redis.exceptions import RedisError

from fairlead.access.audit import NEVER, Audit, Difference, StreamId, whole_from
from fairlead.errors import FairleadError
from fairlead.store.ledger import AT_ONCE, DAYS, LEDGER, LedgerStore, stream_id
from fairlead.store.money import SLOT
from fairlead.store.redis import Client, run_scripts

REPAIR = f"{SLOT}repair"
REPAIR_S = 3_600
"""A repair that has not gone on for as long is over."""

_PLACE = re.compile(r"day:[0-9]{8}|spent:[^:]+")
"""Accounts with a colon in their names count other things than money."""

# The ledger's oldest entry, its last, how many it has, and how many it ever had (which Redis 6.2 does not know).
_BOUNDS = """
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
local info, about = redis.call('XINFO', 'STREAM', KEYS[1]), {}
for i = 1, #info, 2 do about[info[i]] = info[i + 1] end
local first, last = about['first-entry'], about['last-generated-id']
return {first and first[1] or last, last, about['length'], about['entries-added'] or -1}"""

# Some counters of KEYS[1] from the cursor ARGV[2] on, and the last entry of the ledger ARGV[1] at this moment.
_READ = """
local last = '0-0'
if redis.call('EXISTS', ARGV[1]) == 1 then
    local info = redis.call('XINFO', 'STREAM', ARGV[1])
    for i = 1, #info, 2 do if info[i] == 'last-generated-id' then last = info[i + 1] end end
end
local found = redis.call('HSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
return {last, found[1], found[2]}"""

_PLACES = "return redis.call('SCAN', ARGV[1], 'MATCH', KEYS[1] .. '*', 'COUNT', 1000)"

_BEGIN = "return redis.call('SET', KEYS[1], ARGV[1] .. ' 0', 'EX', ARGV[2])"

# ARGV: the repair's key, its name, steps done before this one, for how long it is kept, the set of days, the day if it
# is a roll-up's; then the name of each counter, what to add, and 1 if it may be made anew.
_STEP = """
local before, after = ARGV[2] .. ' ' .. ARGV[3], ARGV[2] .. ' ' .. (ARGV[3] + 1)
local state = redis.call('GET', ARGV[1])
if state == after then return 1 end
if state ~= before then return 0 end
redis.call('SET', ARGV[1], after, 'EX', ARGV[4])
if ARGV[6] ~= '' then redis.call('SADD', ARGV[5], ARGV[6]) end
for i = 7, #ARGV, 3 do
    if ARGV[i + 2] == '1' or redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
        if redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) == 0 then redis.call('HDEL', KEYS[1], ARGV[i]) end
    end
end
return 1"""


class CannotRepair(FairleadError):
    """Another repair has begun since."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What an audit has found, and of how much."""

    differences: Sequence[Difference]
    entries: int
    rollups: int
    accounts: int
    first_whole: str
    """Days before this one have been compared by their roll-ups alone; empty: none."""


class AuditStore:
    """Every method raises redis' RedisError when the store is away."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ledger = LedgerStore(client)

    async def findings(self, tell: Callable[[int, int], object] = lambda _, __: None) -> Findings:
        """Compare everything. Raises UnreadableEntry, and FairleadError for a counter that is no number.

        `tell` hears how many entries of the ledger have been read, of how many: that takes nearly all of the time.
        """
        first, last, length, _ = await self._bounds()
        audit = Audit(last)
        for place in sorted({"spent:*", *[place async for place in self._places()]}):
            await self._read(audit, place)
        async for _, entry, _ in self._ledger.entries(until="{}-{}".format(*audit.last)):
            audit.take_entry(entry)
            if audit.entries % AT_ONCE == 0:
                tell(audit.entries, length)
        tell(length, length)
        first, _, _, is_complete = await self._bounds()  # what was dropped meanwhile may not have been read
        whole = whole_from(first, is_complete=is_complete) if first else NEVER
        rollups = sum(place.startswith("day:") for place in audit.places)
        return Findings(audit.differences(whole), audit.entries, rollups, len(audit.places) - rollups, whole)

    async def begin_repair(self, name: str) -> None:
        """Before the findings that are to be repaired. `name` is nobody else's."""
        await self._run(REPAIR, _BEGIN, name, str(REPAIR_S))

    async def repair(self, name: str, differences: Sequence[Difference]) -> None:
        """Set each of these counters to what the ledger says, those of one place in one step. Raises CannotRepair."""
        step = 0
        for place, group in groupby(differences, lambda difference: difference.place):
            changes = [
                word for one in group for word in (one.field, str(-one.excess), "1" if one.stored is None else "0")
            ]
            day = place.removeprefix("day:") if place.startswith("day:") else ""
            for start in range(0, len(changes), 3 * AT_ONCE):
                some = changes[start : start + 3 * AT_ONCE]
                head = (REPAIR, name, str(step), str(REPAIR_S), DAYS, day)
                if await self._run(f"{SLOT}{place}", _STEP, *head, *some) != 1:
                    raise CannotRepair("another repair has begun meanwhile: wait for its end, and reconcile again")
                step += 1

    async def _bounds(self) -> tuple[StreamId | None, StreamId, int, bool]:
        """The ledger's oldest entry, its last, how many it has, and whether none has ever been dropped."""
        found = await self._run(LEDGER, _BOUNDS)
        if not found:
            return None, (0, 0), 0, False
        first, last, length, added = found
        return stream_id(first.decode()), stream_id(last.decode()), length, length == added

    async def _read(self, audit: Audit, place: str) -> None:
        cursor = "0"
        while True:
            last, following, found = await self._run(f"{SLOT}{place}", _READ, LEDGER, cursor, str(AT_ONCE))
            names = [name.decode() for name in found[::2]]
            counters = {
                name: _number(place, name, value)
                for name, value in zip(names, found[1::2], strict=True)
                if name != "last"
            }
            audit.take_readings(place, counters, stream_id(last.decode()))
            cursor = following.decode()
            if cursor == "0":
                return

    async def _places(self) -> AsyncIterator[str]:
        """Everything that has counters of money, some of them perhaps twice."""
        cursor = "0"
        while True:
            following, names = await self._run(SLOT, _PLACES, cursor)
            for place in [name.decode().removeprefix(SLOT) for name in names]:
                if _PLACE.fullmatch(place):
                    yield place
            cursor = following.decode()
            if cursor == "0":
                return

    async def _run(self, key: str, script: str, *arguments: str) -> Any:
        (reply,) = await run_scripts(self._client, script, [(key, arguments)])
        if isinstance(reply, RedisError):
            raise reply
        return reply


def _number(place: str, name: str, value: bytes) -> int:
    try:
        return int(value)
    except ValueError:
        text = f"{SLOT}{place} holds {value[:50]!r} as {name!r}, which is no whole number: HDEL it, and reconcile again"
        raise FairleadError(text) from None
