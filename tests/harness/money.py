"""Money with a store whose clock a test sets, and the sums that everything in it has to come to."""

import asyncio
from collections import Counter, defaultdict

from fairlead import clock
from fairlead.access.windows import windows_at
from fairlead.store.ledger import unix_of_day
from fairlead.store.money import SLOT, Call, MoneyAway, MoneyStore
from fairlead.telemetry.generation import unpack
from harness.ledger import NOON
from harness.still import StillClock

METRICS = ("usd_nanos", "prompt", "completion", "reasoning", "cached", "requests")


class StillMoney(StillClock, MoneyStore):
    """Its clock stands at `now`."""

    now = NOON

    def set_clocks(self, monkeypatch):
        """Those of the workers stand with it."""
        monkeypatch.setattr(clock, "monotonic", lambda: self.now - NOON + 1_000.0)
        monkeypatch.setattr(clock, "wall", lambda: self.now)

    async def pass_time(self, seconds):
        self.now += seconds
        await self.set_clock(self.now)

    async def begin(self):
        """Empty, at noon."""
        await self.client.flushdb()
        await self.pass_time(NOON - self.now)


class Line:
    """A worker's way to the store. Each of `fates` is that of one call: it `arrives` (as all others do), `is lost`, or
    `is late` and among the `late` ones then, or `hangs`; its `answer is lost`, or that with the connection, so that it
    `is repeated`.
    """

    def __init__(self, store, *fates):
        self._store = store
        self.fates = list(fates)
        self.calls = []
        self.late = []

    async def call(self, call):
        self.calls.append(call)
        fate = self.fates.pop(0) if self.fates else "arrives"
        if fate == "is late":
            self.late.append(call)
        if fate == "hangs":
            await asyncio.Event().wait()
        if fate in ("is lost", "is late"):
            raise MoneyAway(fate)
        answer = await self._store.call(call)
        if fate == "is repeated":
            return await self._store.call(call)
        if fate == "answer is lost":
            raise MoneyAway(fate)
        assert fate == "arrives"
        return answer


class Caller:
    """A worker that is only its calls."""

    def __init__(self, store, worker="w"):
        self.store = store
        self.worker = worker
        self.number = 0

    async def call(self, **members):
        """Whatever is not said is nothing."""
        self.number += 1
        return await self.store.call(Call(self.worker, self.number, heard=self.number - 1, **members))

    async def draw(self, *draws, **members):
        return (await self.call(draws=draws, **members)).grants


class Copy:
    """Of all that a store has, as a replica would have it that gets nothing any more from now on."""

    @classmethod
    async def of(cls, client):
        copy = cls()
        copy._client = client
        copy._kept = {name: await client.dump(name) for name in await client.keys()}
        return copy

    async def put_back(self):
        """Now that replica has taken over."""
        await self._client.flushdb()
        for name, value in self._kept.items():
            await self._client.restore(name, 0, value)


class Holdings:
    """All that the store has of money, at one moment."""

    @classmethod
    async def read(cls, client):
        names = sorted(name.decode() for name in await client.keys(f"{SLOT}*"))
        kinds = {name: name.removeprefix(SLOT).partition(":") for name in names}
        hashes = [name for name, (kind, _, _) in kinds.items() if kind in ("spent", "day", "lease", "open")]
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.xrange(f"{SLOT}ledger")
            pipeline.hgetall(f"{SLOT}workers")
            for name in hashes:
                pipeline.hgetall(name)
            entries, workers, *values = await pipeline.execute()
        found = cls()
        found.entries = [(unpack(entry[b"g"]), entry[b"n"].decode()) for _, entry in entries]
        found.workers = {name.decode(): value.decode() for name, value in workers.items()}
        found.spent, found.days, found.leases, found.open = {}, {}, {}, {}
        kept = {"spent": found.spent, "day": found.days, "lease": found.leases, "open": found.open}
        for name, value in zip(hashes, values, strict=True):
            kind, _, rest = kinds[name]
            read = (lambda text: text) if kind == "open" else int
            kept[kind][rest] = {field.decode(): read(text) for field, text in value.items()}
        return found

    def charged(self):
        """By generation: nano-USD, and how many requests it counts as."""
        found = defaultdict(lambda: (0, 0))
        for generation, added in self.entries:
            _, _, usd_nanos, *_, requests = added.split(" ")
            usd, count = found[generation.id]
            found[generation.id] = (usd + int(usd_nanos), count + int(requests))
        return dict(found)

    def add_up(self, now):
        """The ledger's entries add up to the roll-ups and to the counters. Of old windows those may be gone."""
        days, spent = defaultdict(Counter), defaultdict(Counter)
        for generation, added in self.entries:
            key, day, *amounts = added.split(" ")
            assert key == generation.key
            names = [name.replace("|", "_") for name in (generation.model, generation.provider)]
            for metric, amount in zip(METRICS, amounts, strict=True):
                days[day]["|".join((key, *names, metric))] += int(amount)
            for account in {key, "*"} - {""}:
                spent[account]["n"] += int(amounts[-1])
                for window in windows_at(unix_of_day(day)).values():
                    spent[account][window] += int(amounts[0])
        for day in self.days.keys() | days.keys():
            stored, sums = without_zeros(self.days.get(day, {})), without_zeros(days[day])
            assert stored == sums, f"{day}: {stored} is not the ledger's {sums}"
        current = {"n", *windows_at(now).values()}
        assert {account for account in self.spent if ":" not in account} == spent.keys()  # others are not of money
        for account, sums in spent.items():
            stored = {field: value for field, value in self.spent[account].items() if field != "last"}
            sums = without_zeros({field: sum for field, sum in sums.items() if field in stored or field in current})
            assert without_zeros(stored) == sums, f"{account}: {stored} is not the ledger's {sums}"


def without_zeros(sums):
    return {field: value for field, value in sums.items() if value}
