"""The fleet's percentiles, in Redis.

    fl:1:{<group>}:percentiles   hash: e:<endpoint> → packed counts, w:<worker> → packed number and time of its last
                                 batch, born → when it was made

Its counts are decayed to the store's clock, which alone says how much time has passed between batches. One call carries
a batch with all that is in it, also the minutes of uptime, which `minutes.py` describes: it is added once, or not.
"""

import asyncio
import struct
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import cast

from fairlead import clock
from fairlead.health.histogram import HALF_LIFE_S, Counts, decayed
from fairlead.health.minutes import MINUTE_S, NO_UPTIME, uptime
from fairlead.health.percentiles import TICK_S, Batch, Percentiles, Seen, Stored, histograms
from fairlead.store import PREFIX, minutes
from fairlead.store.health import StoreAway
from fairlead.store.redis import Client, run_scripts

TTL_S = 86_400
FORGET_S = 3_600
"""An endpoint of which nothing has been heard for as long is dropped from its group."""
WORKER_S = 86_400
"""The same for a worker. Until then a batch of its that comes again, since its answer was lost, is known by its number;
afterwards its minutes are too old to be added. A worker that has ended costs the script half a microsecond."""
NEGLIGIBLE = 1e-4
"""Count of a bucket that is dropped: what one observation weighs after an hour and more."""
AT_ONCE = 200
"""Groups in one round trip. More would keep requests waiting while the answers are taken apart."""

_COUNT = struct.Struct("<Bd")
_TIME = struct.Struct("<d")


def script() -> str:
    """Return the text of the script, its constants before it."""
    constants = {
        "HALF_LIFE_S": HALF_LIFE_S,
        "FORGET_S": FORGET_S,
        "WORKER_S": WORKER_S,
        "TTL_S": TTL_S,
        "NEGLIGIBLE": NEGLIGIBLE,
    }
    prelude = ", ".join(f"{name} = {value}" for name, value in {**constants, **minutes.CONSTANTS}.items())
    text = Path(__file__).with_name("percentiles.lua").read_text(encoding="utf-8")
    return f"local K = {{{prelude}}}\n{minutes.functions()}\n{text}"


class PercentileStore:
    """Adds up workers' counts."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._script = script()

    async def add(self, batches: Sequence[Batch]) -> list[Stored | StoreAway]:
        """Send batches, all in one round trip; return the answer to each. Raises nothing."""
        replies = await run_scripts(self._client, self._script, [_call(batch) for batch in batches])
        return [_stored(reply) for reply in replies]

    async def read(self, groups: Mapping[str, Collection[str]]) -> dict[str, dict[str, Seen]]:
        """Return what is known of these groups, by group and endpoint id; uptimes only of the endpoints that are named.

        A group that the store does not tell of is missing. Raises nothing.
        """
        found: dict[str, dict[str, Seen]] = {}
        names = [*groups]
        for start in range(0, len(names), AT_ONCE):
            asked = names[start : start + AT_ONCE]
            answers = await self.add([Batch(group, "reader", 0, 0.0, asks=groups[group]) for group in asked])
            told = [(group, stored) for group, stored in zip(asked, answers, strict=True) if isinstance(stored, Stored)]
            if not told:  # it would be the same with the others
                break
            found |= {group: _all_seen(stored) for group, stored in told}
        return found


def _all_seen(stored: Stored) -> dict[str, Seen]:
    return {endpoint_id: _seen(stored, endpoint_id) for endpoint_id in stored.counts.keys() | stored.days.keys()}


def _seen(stored: Stored, endpoint_id: str) -> Seen:
    day = stored.days.get(endpoint_id)
    up = uptime(day, int(stored.now // MINUTE_S)) if day is not None else NO_UPTIME
    if endpoint_id not in stored.counts:
        return Seen(uptime=up)
    at, counts = stored.counts[endpoint_id]
    return Seen(*histograms(decayed(counts, stored.now - at)), up)


def _key(group: str) -> str:
    return f"{PREFIX}{{{group}}}:percentiles"


def _call(batch: Batch) -> tuple[str, list[bytes | str]]:
    arguments: list[bytes | str] = [batch.worker, str(batch.number), str(len(batch.news))]
    for endpoint_id, counts in batch.news.items():
        arguments += [endpoint_id, pack(counts)]
    arguments.append(str(len(batch.minutes)))
    for endpoint_id, tried in batch.minutes.items():
        arguments += [endpoint_id, minutes.pack(tried)]
    return _key(batch.group), [*arguments, *batch.asks]


def pack(counts: Mapping[int, float]) -> bytes:
    return b"".join(_COUNT.pack(bucket, count) for bucket, count in counts.items())


def unpack(record: bytes) -> tuple[float, Counts]:
    """Return a record's instant and counts. Raises struct.error for what the script does not write."""
    return _TIME.unpack_from(record)[0], dict(_COUNT.iter_unpack(record[_TIME.size :]))


def _stored(reply: object) -> Stored | StoreAway:
    if isinstance(reply, Exception):
        return StoreAway(str(reply) or type(reply).__name__)
    try:
        now, born, known, days = cast("tuple[bytes, bytes, list[bytes], list[bytes]]", reply)
        return Stored(
            float(now),
            born.decode(),
            {name.decode(): unpack(record) for name, record in zip(known[::2], known[1::2], strict=True)},
            {name.decode(): minutes.unpack_day(record) for name, record in zip(days[::2], days[1::2], strict=True)},
        )
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
