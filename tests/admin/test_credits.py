import pytest

from fairlead.access.windows import Spent
from fairlead.admin.credits import credit_routes, top_up_routes
from fairlead.admin.door import Door
from fairlead.admin.management import ManagementDoor
from fairlead.store.credits import CreditStore
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.redis import connect
from harness.asking import asking

pytestmark = pytest.mark.anyio

ADMIN_KEY = "sk-fl-admin-v1-" + "0f" * 32
ADD = "/admin/v1/credits"


async def spent(accounts):
    assert accounts == ["*"]
    return {"*": Spent(total=1_250_000_000)}


@pytest.fixture
async def ask(redis_url):
    client = connect(redis_url)
    await client.flushdb()
    door = ManagementDoor(Door(ADMIN_KEY, lambda _: False), KeyRing(KeyStore(client), []))
    credits = CreditStore(client)
    routes = [*credit_routes("/v1", door, credits, spent), *top_up_routes(door, credits, spent)]
    async with asking(routes) as ask:

        async def as_admin(method, path, body=None, *, key=ADMIN_KEY, fields=()):
            return await ask(method, path, body, key=key, fields=fields)

        yield as_admin
    await client.aclose()


def top_up(**members):
    return {"amount_usd": 10, "reason": "november", "idempotency_key": "a"} | members


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/credits"), ("GET", ADD), ("POST", ADD)])
async def test_only_who_manages_gets_in(ask, method, path):
    assert (await ask(method, path, top_up(), key=None)).status == 401


async def test_what_was_put_in_and_what_is_used(ask):
    assert (await ask("GET", "/v1/credits")).json == {"data": {"total_credits": 0, "total_usage": 1.25}}
    added = await ask("POST", ADD, top_up(amount_usd=0.1))
    assert (added.status, added.json) == (201, {"data": {"total_credits": 0.1, "total_usage": 1.25}})
    assert (await ask("GET", "/v1/credits")).json == added.json
    [told] = (await ask("GET", ADD)).json["data"]["top_ups"]
    assert told.pop("at").startswith("20")
    assert told == {"amount_usd": 0.1, "reason": "november", "by": "admin", "idempotency_key": "a"}


async def test_sent_again_it_counts_once(ask):
    await ask("POST", ADD, top_up())
    again = await ask("POST", ADD, top_up())
    assert (again.status, again.json["data"]["total_credits"]) == (200, 10)
    other = await ask("POST", ADD, top_up(amount_usd=11))
    assert (other.status, other.error["param"]) == (409, "idempotency_key")
    assert (await ask("GET", "/v1/credits")).json["data"]["total_credits"] == 10


async def test_the_key_may_be_a_header(ask):
    body = {"amount_usd": 10, "reason": "x"}
    for _ in range(2):
        answer = await ask("POST", ADD, body, fields=["idempotency-key: h"])
    assert (answer.status, answer.json["data"]["total_credits"]) == (200, 10)


async def test_an_adjustment_takes_off(ask):
    await ask("POST", ADD, top_up())
    assert (await ask("POST", ADD, top_up(amount_usd=-12.5, idempotency_key="b"))).json["data"]["total_credits"] == -2.5


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"amount_usd": 0}, "amount_usd"),
        ({"amount_usd": None}, "amount_usd"),
        ({"amount_usd": "ten"}, "amount_usd"),
        ({"amount_usd": True}, "amount_usd"),
        ({"amount_usd": 1e300}, "amount_usd"),
        ({"amount_usd": []}, "amount_usd"),
        ({"reason": ""}, "reason"),
        ({"reason": 3}, "reason"),
        ({"reason": "x" * 201}, "reason"),
        ({"idempotency_key": None}, "idempotency_key"),
        ({"amuont_usd": 3}, "amuont_usd"),
    ],
)
async def test_what_is_wrong_is_named(ask, members, param):
    answer = await ask("POST", ADD, top_up(**members))
    assert (answer.status, answer.error["param"]) == (400, param)
    assert (await ask("GET", "/v1/credits")).json["data"]["total_credits"] == 0


async def test_a_key_in_both_places_must_be_the_same(ask):
    for header, status in (("a", 201), ("b", 400)):
        assert (await ask("POST", ADD, top_up(), fields=[f"idempotency-key: {header}"])).status == status


@pytest.mark.parametrize("key", ["", "two words", "ü", "x" * 201, 7])
async def test_what_is_no_idempotency_key(ask, key):
    answer = await ask("POST", ADD, top_up(idempotency_key=key))
    assert (answer.status, answer.error["param"]) == (400, "idempotency_key")


async def test_the_newest_are_told_first_and_no_more_than_asked_for(ask):
    for n in range(3):
        await ask("POST", ADD, top_up(idempotency_key=f"k{n}"))
    told = (await ask("GET", f"{ADD}?limit=2")).json["data"]["top_ups"]
    assert [one["idempotency_key"] for one in told] == ["k2", "k1"]
    for wrong in ("0", "-1", "1001", "many", ""):
        assert (await ask("GET", f"{ADD}?limit={wrong}")).status == 400


async def test_every_digit_counts(ask):
    added = await ask("POST", ADD, b'{"amount_usd": 0.1234567885, "reason": "x", "idempotency_key": "a"}')
    assert b'"total_credits":0.123456789' in added.body
    added = await ask("POST", ADD, b'{"amount_usd": "7999999.999999999", "reason": "x", "idempotency_key": "b"}')
    assert b'"total_credits":8000000.123456788' in added.body


async def test_nothing_is_sold_here(ask):
    assert (await ask("POST", "/v1/credits/coinbase", {})).status == 410
