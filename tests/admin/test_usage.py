from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.admin.door import Door
from fairlead.admin.management import ManagementDoor
from fairlead.admin.usage import activity_routes, wanted_days
from fairlead.catalog.model import Catalog, Endpoint, Model, Provider
from fairlead.errors import ApiError
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.ledger import LedgerStore
from fairlead.store.redis import connect
from harness.asking import asking
from harness.ledger import DAY_S, NOON, Scribe, generation

pytestmark = pytest.mark.anyio

ADMIN_KEY = "sk-fl-admin-v1-" + "0f" * 32
LARGE = Model("acme/large", "Large")
SERVED = (Endpoint(Provider("acme", "Acme Inc.", "http://acme.example"), LARGE, "large", None),)
CATALOG = Catalog(
    MappingProxyType({"acme/large": LARGE}), MappingProxyType({"acme/large": SERVED}), MappingProxyType({})
)


@pytest.fixture
async def client(redis_url):
    client = connect(redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


def routes(client):
    door = ManagementDoor(Door(ADMIN_KEY, lambda _: False), KeyRing(KeyStore(client), []), lambda: NOON)
    return activity_routes("/v1", door, LedgerStore(client), lambda: CATALOG, lambda: NOON)


@pytest.fixture
async def activity(client):
    """Asks as the administrator."""
    async with asking(routes(client)) as ask:

        async def activity(query=""):
            answer = await ask("GET", f"/v1/activity{query}", key=ADMIN_KEY)
            return answer.json["data"] if answer.status == 200 else answer

        yield activity


async def test_a_row_as_openrouter_has_it(client, activity):
    counts = {"prompt_tokens": 9, "completion_tokens": 8, "reasoning_tokens": 7, "cached_tokens": 6}
    await Scribe(client).charge(generation(NOON - DAY_S, cost_usd_nanos=1_250_000_001, **counts))
    assert await activity() == [
        {
            "date": "2026-11-20",
            "model": "acme/large",
            "model_permaslug": "acme/large",
            "endpoint_id": "acme:acme/large",
            "provider_name": "Acme Inc.",
            "usage": 1.250000001,
            "byok_usage_inference": 0.0,
            "requests": 1,
            "prompt_tokens": 9,
            "completion_tokens": 8,
            "reasoning_tokens": 7,
            "cached_tokens": 6,
        }
    ]


async def test_one_row_for_each_day_model_and_provider_the_newest_first(client, activity):
    await Scribe(client).charge(
        *(generation(NOON - DAY_S, key=key, cost_usd_nanos=10**9) for key in ("k1", "k1", "k2")),
        generation(NOON - DAY_S, provider="other", cost_usd_nanos=10**9),
        generation(NOON - 2 * DAY_S, model="acme/gone", provider="", status=503),
    )
    told = [(row["date"], row["provider_name"], row["requests"], row["usage"]) for row in await activity()]
    assert sorted(told[:2]) == [("2026-11-20", "Acme Inc.", 3, 3.0), ("2026-11-20", "other", 1, 1.0)]
    assert told[2:] == [("2026-11-19", "", 1, 0.0)]


async def test_the_last_thirty_whole_days(client, activity):
    await Scribe(client).charge(*(generation(NOON - days * DAY_S) for days in (0, 1, 30, 31)))
    assert [row["date"] for row in await activity()] == ["2026-11-20", "2026-10-22"]


async def test_of_one_day_and_of_one_key(client, activity):
    await Scribe(client).charge(
        *(generation(NOON - days * DAY_S, key=key) for days in (1, 2) for key in ("k1", "k1", "k2"))
    )
    assert [(row["date"], row["requests"]) for row in await activity("?date=2026-11-19")] == [("2026-11-19", 3)]
    assert [row["requests"] for row in await activity("?api_key_hash=k2")] == [1, 1]
    assert await activity("?api_key_hash=nobody&date=2026-11-19") == []


@pytest.mark.parametrize(
    ("query", "param", "what"),
    [
        ("?date=2026-11-21", "date", "Date must be within the last 30 (completed) UTC days"),
        ("?date=2026-10-21", "date", "Date must be within the last 30 (completed) UTC days"),
        ("?date=yesterday", "date", "such as 2026-01-31, not 'yesterday'"),
        ("?date=", "date", "such as 2026-01-31, not ''"),
        ("?user_id=u", "user_id", "ask by date and api_key_hash"),
        ("?group_by=workspace", "group_by", "ask by date and api_key_hash"),
    ],
)
async def test_what_cannot_be_asked(activity, query, param, what):
    answer = await activity(query)
    assert (answer.status, answer.error["param"]) == (400, param)
    assert what in answer.error["message"]


async def test_only_who_manages_gets_in(client):
    async with asking(routes(client)) as ask:
        for key in (None, "sk-guess"):
            assert (await ask("GET", "/v1/activity", key=key)).status == 401


async def test_without_the_store():
    async with asking(routes(connect("unix:///nonexistent.sock"))) as ask:
        answer = await ask("GET", "/v1/activity", key=ADMIN_KEY)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


async def test_which_days_there_are_to_ask_for():
    days = wanted_days(None, NOON)
    assert (len(days), min(days), max(days)) == (30, "20261022", "20261120")
    assert wanted_days("2026-11-20", NOON) == {"20261120"}
    with pytest.raises(ApiError):
        wanted_days("2026-11-21", NOON)


@given(st.text(max_size=12) | st.dates().map(str) | st.datetimes().map(str))
def test_whatever_day_is_asked_for_is_one_of_the_last_or_refused(date):
    try:
        [day] = wanted_days(date, NOON)
    except ApiError as refusal:
        assert (refusal.status, refusal.param) == (400, "date")  # noqa: PT017 - either is right
        return
    assert day in wanted_days(None, NOON)
