import asyncio

import pytest
from redis.exceptions import RedisError

from fairlead.access.key_request import KeyRequest
from fairlead.access.pkce import code_hash, new_code
from fairlead.store.oauth import CODE_LIFE_S, REMEMBERED_S, CodeStore, Taken

pytestmark = pytest.mark.anyio

ASKED = KeyRequest("https://app.example/cb", "c" * 43, "S256", "Jürgen's", 5_000_000_000, "weekly", 1_900_000_000)


@pytest.fixture
async def client(dial, redis_url):
    client = dial(redis_url)
    await client.flushdb()
    return client


@pytest.fixture
def codes(client):
    return CodeStore(client)


def key_of(code):
    return f"fl:1:oauth:code:{{{code_hash(code)}}}"


async def age(client, code, seconds):
    """As if the code had been made that long ago."""
    assert await client.expire(key_of(code), CODE_LIFE_S + REMEMBERED_S - seconds)


@pytest.mark.usefixtures("patient")
async def test_every_kind_of_store_keeps_a_code_for_one_who_takes_it(dial, any_redis_url):
    codes, code = CodeStore(dial(any_redis_url)), new_code()
    assert await codes.add(code, ASKED)
    assert await codes.take(code) == Taken(ASKED, is_expired=False)
    assert await codes.take(code) is None
    assert await codes.secret() == await codes.secret()


async def test_of_many_who_take_it_at_once_one_gets_it(dial, redis_url, codes):
    code = new_code()
    await codes.add(code, ASKED)
    takers = [CodeStore(dial(redis_url)) for _ in range(4)]
    found = await asyncio.gather(*(taker.take(code) for taker in takers for _ in range(8)))
    assert sorted(found, key=bool) == [None] * 31 + [Taken(ASKED, is_expired=False)]


async def test_a_code_that_there_is_is_not_given_away_again(codes):
    code = new_code()
    assert await codes.add(code, ASKED)
    assert not await codes.add(code, KeyRequest("https://evil.example/"))
    assert (await codes.take(code)).request == ASKED


async def test_the_code_itself_is_nowhere(client, codes):
    code = new_code()
    await codes.add(code, ASKED)
    (name,) = await client.keys("*")
    assert name.decode() == key_of(code)
    assert code.encode() not in name + await client.get(name)


async def test_a_code_works_for_ten_minutes_by_the_stores_clock(client, codes):
    for age_s, is_expired in ((599, False), (600, True), (3600, True)):
        code = new_code()
        await codes.add(code, ASKED)
        await age(client, code, age_s)
        assert (await codes.take(code)).is_expired is is_expired
        assert await codes.take(code) is None


async def test_what_was_never_taken_is_forgotten(client, codes):
    code = new_code()
    await codes.add(code, ASKED)
    assert 600 < await client.ttl(key_of(code)) <= CODE_LIFE_S + REMEMBERED_S


async def test_all_workers_sign_with_one_secret_that_nobody_can_guess(client, dial, redis_url, codes):
    other = CodeStore(dial(redis_url))
    first, second = await asyncio.gather(codes.secret(), other.secret())
    assert first == second
    assert len(first) == 32
    await client.flushdb()
    assert await other.secret() != first


async def test_without_the_store_nothing_is_made_up(dial):
    codes = CodeStore(dial("unix:///nonexistent.sock"))
    for call in (codes.add(new_code(), ASKED), codes.take(new_code()), codes.secret()):
        with pytest.raises(RedisError):
            await call


@pytest.mark.parametrize("told", [b"", b"{", b"[]", b'{"callback":1}', b'{"name":"\xff"}', b"\xff"])
async def test_what_cannot_be_read_is_no_code(client, codes, told):
    code = new_code()
    await client.set(key_of(code), told, ex=4_000)
    assert await codes.take(code) is None
    assert await client.exists(key_of(code)) == 0
