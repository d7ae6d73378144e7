"""A store whose clock stands still, so that what decays can be known to the last digit."""

import contextlib

from fairlead.store.redis import connect


class StillClock:
    """Before the class of a store: its clock stands at `now` until that is set again.

    The script is the product's but for where it reads the time.
    """

    def __init__(self, client, *more):
        super().__init__(client, *more)
        reads = "redis.call('TIME')"
        assert self._script.count(reads) == 1
        self._script = self._script.replace(reads, "redis.call('LRANGE', 'test:clock', 0, 1)")
        self.client = client

    async def set_clock(self, now):
        """Return what the script makes of it."""
        seconds, micros = divmod(round(now * 1e6), 1_000_000)
        async with self.client.pipeline(transaction=True) as pipeline:
            await pipeline.delete("test:clock").rpush("test:clock", seconds, micros).execute()
        return seconds + micros / 1e6


@contextlib.asynccontextmanager
async def still(kind, url, *more):
    """An empty store of this kind, at 1000 s."""
    async with contextlib.aclosing(connect(url)) as client:  # also when a test fails: uvloop waits for what is open
        await client.flushdb()
        store = kind(client, *more)
        await store.set_clock(1000.0)
        yield store
