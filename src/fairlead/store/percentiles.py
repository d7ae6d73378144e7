"""The fleet's percentiles, in Redis.

    fl:1:{<group>}:percentiles   hash: e:<endpoint> → packed counts, w:<worker> → packed number and time of its last
                                 batch, born → when it was made

Its counts are decayed to the store's clock, which alone says how much time has passed between batches.
"""

import asyncio
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from fairlead import clock
from fairlead.health.histogram import HALF_LIFE_S, Counts, Histogram, decayed
from fairlead.health.percentiles import TICK_S, Batch, Percentiles, Stored, histograms
from fairlead.store import PREFIX
from fairlead.store.health import StoreAway
from fairlead.store.redis import Client, run_scripts

TTL_S = 86_400
FORGET_S = 3_600
"""An endpoint or a worker of which nothing has been heard for as long is dropped from its group."""
NEGLIGIBLE = 1e-4
"""Count of a bucket that is dropped: what one observation weighs after an hour and more."""

_COUNT = struct.Struct("<Bd")
_TIME = struct.Struct("<d")


def script() -> str:
    """Return the text of the script, its constants before it."""
    constants = {"HALF_LIFE_S": HALF_LIFE_S, "FORGET_S": FORGET_S, "TTL_S": TTL_S, "NEGLIGIBLE": NEGLIGIBLE}
    prelude = ", ".join(f"{name} = {value}" for name, value in constants.items())
    text = Path(__file__).with_name("percentiles.lua").read_text(encoding="utf-8")
    return f"local K = {{{prelude}}}\n{text}"


class PercentileStore:
    """Adds up workers' counts."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._script = script()

    async def add(self, batches: Sequence[Batch]) -> list[Stored | StoreAway]:
        """Send batches, all in one round trip; return the answer to each. Raises nothing."""
        replies = await run_scripts(self._client, self._script, [_call(batch) for batch in batches])
        return [_stored(reply) for reply in replies]

    async def read(self, groups: Sequence[str]) -> dict[str, tuple[Histogram, Histogram]]:
        """Return the first-token times and the speeds of each endpoint of these groups, by its id.

        Raises StoreAway if the store cannot tell of all of them.
        """
        found = {}
        for stored in await self.add([Batch(group, "reader", 0, 0.0) for group in groups]):
            if isinstance(stored, StoreAway):
                raise stored
            for endpoint_id, (at, counts) in stored.counts.items():
                found[endpoint_id] = histograms(decayed(counts, stored.now - at))
        return found


def _key(group: str) -> str:
    return f"{PREFIX}{{{group}}}:percentiles"


def _call(batch: Batch) -> tuple[str, list[bytes | str]]:
    arguments: list[bytes | str] = [batch.worker, str(batch.number)]
    for endpoint_id, counts in batch.news.items():
        arguments += [endpoint_id, pack(counts)]
    return _key(batch.group), arguments


def pack(counts: Mapping[int, float]) -> bytes:
    return b"".join(_COUNT.pack(bucket, count) for bucket, count in counts.items())


def unpack(record: bytes) -> tuple[float, Counts]:
    """Return a record's instant and counts. Raises struct.error for what the script does not write."""
    return _TIME.unpack_from(record)[0], dict(_COUNT.iter_unpack(record[_TIME.size :]))


def _stored(reply: object) -> Stored | StoreAway:
    if isinstance(reply, Exception):
        return StoreAway(str(reply) or type(reply).__name__)
    try:
        now, born, known = cast("tuple[bytes, bytes, list[bytes]]", reply)
        records = zip(known[::2], known[1::2], strict=True)
        return Stored(float(now), born.decode(), {name.decode(): unpack(record) for name, record in records})
    except (TypeError, ValueError, AttributeError, struct.error) as error:
        return StoreAway(f"an answer that cannot be read: {error}")


class PercentileSync:
    """Carries a worker's counts to the store, and the fleet's back. Nothing on the path of a request waits for it."""

    def __init__(self, percentiles: Percentiles, store: PercentileStore) -> None:
        self._percentiles = percentiles
        self._store = store

    async def run(self) -> None:
        """Do so for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            await self.flush()

    async def flush(self) -> None:
        """Tell the store what is new, and take in its answers. What it has not confirmed is told again next time.

        That it is away, the health board says: it asks twenty times as often.
        """
        batches = self._percentiles.batches(clock.monotonic())
        answers = await self._store.add(batches)
        now = clock.monotonic()
        for batch, answer in zip(batches, answers, strict=True):
            if isinstance(answer, Stored):
                self._percentiles.learn(batch, answer, now)
