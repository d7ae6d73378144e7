import asyncio

import pytest

from fairlead.errors import Unreadable
from fairlead.store.credits import CREDITS, TOPUPS, CreditStore, OtherAmount
from fairlead.store.redis import connect

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(redis_url):
    client = connect(redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
def credits(client):
    return CreditStore(client)


async def add(credits, amount, id="a", reason="r", by="admin"):
    return await credits.add(amount, reason=reason, id=id, by=by)


async def test_there_are_none_at_first(credits):
    assert await credits.total() == 0
    assert await credits.last(10) == []


async def test_amounts_add_up_and_are_told_newest_first(credits):
    assert await add(credits, 5, "a", "first") == (5, True)
    assert await add(credits, -2, "b", "a mistake", "shell") == (3, True)
    assert await credits.total() == 3
    newest, oldest = await credits.last(10)
    assert (newest.usd_nanos, newest.reason, newest.id, newest.by) == (-2, "a mistake", "b", "shell")
    assert (oldest.usd_nanos, oldest.reason) == (5, "first")
    assert newest.unix >= oldest.unix > 1_700_000_000


async def test_the_same_one_counts_once(credits):
    await add(credits, 5)
    assert await add(credits, 5) == (5, False)
    assert len(await credits.last(10)) == 1


async def test_another_amount_under_the_same_id_is_refused_and_changes_nothing(credits):
    await add(credits, 5)
    with pytest.raises(OtherAmount, match="'a' has been used for another amount"):
        await add(credits, 6)
    assert await credits.total() == 5


async def test_many_at_once_with_one_id(credits):
    """As a client that tries again while its first request is under way."""
    found = await asyncio.gather(*(add(credits, 7) for _ in range(10)))
    assert [is_new for _, is_new in found].count(True) == 1
    assert await credits.total() == 7


async def test_large_amounts_are_exact(credits):
    nanos = 8_000_000 * 10**9
    await add(credits, nanos, "a")
    await add(credits, 1, "b")
    assert await credits.total() == nanos + 1


async def test_where_it_stands(client, credits):
    await add(credits, 5)
    assert set(await client.keys("*")) == {CREDITS.encode(), TOPUPS.encode()}


async def test_what_cannot_be_read_is_named(client, credits):
    await client.hset(CREDITS, "total", "a lot")
    with pytest.raises(Unreadable, match="is no whole number"):
        await credits.total()
    place = (await client.xadd(TOPUPS, {"usd_nanos": "a lot", "reason": "r", "id": "a", "by": "admin"})).decode()
    with pytest.raises(Unreadable, match=f"the entry {place} of fl:1"):
        await credits.last(10)
