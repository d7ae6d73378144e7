"""Credits in Redis: what has been put in. What has been spent of it is the instance's account in the ledger.

    fl:1:{money}:credits   hash: total → nano-USD; i:<idempotency key> → "<nano-USD> <entry in topups>"
    fl:1:{money}:topups    stream: usd_nanos, reason, id (idempotency key), by

A top-up and the word of it are one step. The same id is taken once: told again it changes nothing, with another amount
it is refused.
"""

from dataclasses import dataclass
from typing import Any, cast

from fairlead.errors import FairleadError, Unreadable
from fairlead.store.money import SLOT
from fairlead.store.redis import Client

CREDITS = f"{SLOT}credits"
TOPUPS = f"{SLOT}topups"

_ADD = """
local told = redis.call('HGET', KEYS[1], 'i:' .. ARGV[2])
if told then
    if told:match('^%S+') ~= ARGV[1] then return {0, told} end
    return {1, redis.call('HGET', KEYS[1], 'total')}
end
local total = redis.call('HINCRBY', KEYS[1], 'total', ARGV[1])
local entry = redis.call('XADD', KEYS[2], '*', 'usd_nanos', ARGV[1], 'reason', ARGV[3], 'id', ARGV[2], 'by', ARGV[4])
redis.call('HSET', KEYS[1], 'i:' .. ARGV[2], ARGV[1] .. ' ' .. entry)
return {2, redis.call('HGET', KEYS[1], 'total')}"""


class OtherAmount(FairleadError):
    """This id has been taken for another amount."""


@dataclass(frozen=True, slots=True)
class TopUp:
    """One amount that was put in; below zero one that was taken out."""

    unix: float
    usd_nanos: int
    reason: str
    id: str
    by: str
    """`admin`, the hash of a management key, or `shell`."""


class CreditStore:
    """Every method raises redis' RedisError when the store is away."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def total(self) -> int:
        """Return what has been put in, in nano-USD."""
        told = await self._client.hget(CREDITS, "total")
        try:
            return int(told or 0)
        except ValueError as error:
            raise Unreadable(f"the total in {CREDITS} is no whole number ({error}): HSET it anew") from error

    async def add(self, usd_nanos: int, *, reason: str, id: str, by: str) -> tuple[int, bool]:
        """Put an amount in, once for this id; return the new total, and whether that was now.

        An adjustment may take out more than is left: then nothing can be spent until more is put in. Raises
        OtherAmount.
        """
        arguments = (str(usd_nanos), id, reason, by)
        reply: Any = await self._client.eval(_ADD, 2, CREDITS, TOPUPS, *arguments)
        code, said = reply
        if code == 0:
            raise OtherAmount(f"the id {id!r} has been used for another amount")
        return int(said), code == 2

    async def last(self, count: int) -> list[TopUp]:
        """Return the last top-ups, newest first. Raises Unreadable."""
        found = cast(Any, await self._client.xrevrange(TOPUPS, count=count))
        return [_top_up(place, fields) for place, fields in found]


def _top_up(place: bytes, fields: dict[bytes, bytes]) -> TopUp:
    unix = int(place.partition(b"-")[0]) / 1000.0
    try:
        text = {name.decode(): value.decode() for name, value in fields.items()}
        return TopUp(unix, int(text["usd_nanos"]), text["reason"], text["id"], text["by"])
    except (ValueError, KeyError) as error:
        raise Unreadable(
            f"the entry {place.decode()} of {TOPUPS} cannot be read ({error}): it is not fairlead's; XDEL removes it"
        ) from error
