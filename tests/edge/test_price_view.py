import dataclasses
from decimal import Decimal

import orjson
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.discovery import parse_discovery
from fairlead.catalog.model import FREE, Price, Provider, Tier
from fairlead.catalog.pricing import Usage, cost_usd_nanos
from fairlead.edge.price_view import cheapest, price_view

CHEAP, DEAR = Price(prompt=12_500, completion=1), Price(prompt=2_500_000, completion=10_000_000)

KEYS = {
    "prompt": "prompt",
    "completion": "completion",
    "cache_read": "input_cache_read",
    "cache_write": "input_cache_write",
    "cache_write_1h": "input_cache_write_1h",
    "prompt_audio": "audio",
    "prompt_image": "image_token",
    "reasoning": "internal_reasoning",
    "completion_audio": "audio_output",
    "completion_image": "image_output",
}
TOKENS = {
    "prompt": "prompt_tokens",
    "cache_read": "cached_tokens",
    "cache_write": "cache_write_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "prompt_audio": "prompt_audio_tokens",
    "prompt_image": "prompt_image_tokens",
    "reasoning": "reasoning_tokens",
    "completion_audio": "completion_audio_tokens",
    "completion_image": "completion_image_tokens",
}


def prices(**more):
    amounts = st.integers(0, 10**10)
    own = {name: st.none() | amounts for name in KEYS if name not in ("prompt", "completion")}
    return st.builds(Price, prompt=amounts, completion=amounts, request=amounts, **own, **more)


def test_every_member_of_a_price_has_its_key():
    assert {*KEYS, "request", "tiers"} == {field.name for field in dataclasses.fields(Price)}
    shown = price_view(Price(**{name: n for n, name in enumerate(KEYS, 1)}, request=20))
    assert shown == {key: f"0.{n:012d}".rstrip("0") for n, key in enumerate(KEYS.values(), 1)} | {"request": "0.00002"}


def test_all_are_strings_in_usd_per_token_and_per_request():
    assert price_view(dataclasses.replace(DEAR, cache_read=125_000, request=5_000)) == {
        "prompt": "0.0000025",
        "completion": "0.00001",
        "request": "0.005",
        "input_cache_read": "0.000000125",
    }


def test_free():
    assert price_view(FREE) == {"prompt": "0", "completion": "0", "request": "0"}


def test_a_price_that_nobody_knows():
    assert price_view(None) == {"prompt": "-1", "completion": "-1"}


@given(prices())
def test_no_digit_is_lost(price):
    shown = price_view(price)
    assert not any("e" in text.lower() for text in shown.values())
    assert Decimal(shown.pop("request")) * 10**6 == price.request
    for name, key in KEYS.items():
        value = getattr(price, name)
        assert (Decimal(shown[key]) * 10**12 if key in shown else None) == value


def test_of_several_the_cheapest_that_is_known():
    assert cheapest([DEAR, None, CHEAP]) == cheapest([CHEAP, DEAR]) == CHEAP
    assert cheapest([None]) is cheapest([]) is None


def test_tiers_are_overrides():
    tiers = (Tier(200_000, Price(5_000_000, 15_000_000, cache_read=250_000)), Tier(500_000, Price(6_000_000, 1)))
    shown = price_view(dataclasses.replace(DEAR, tiers=tiers))
    assert shown["prompt"] == "0.0000025"
    assert shown["overrides"] == [
        {
            "min_prompt_tokens": 200_000,
            "prompt": "0.000005",
            "completion": "0.000015",
            "request": "0",
            "input_cache_read": "0.00000025",
        },
        {
            "min_prompt_tokens": 500_000,
            "prompt": "0.000006",
            "completion": "0.000000000001",
            "request": "0",
            "input_cache_read": "0.000006",  # else that of the tier before would stay
        },
    ]


def in_force(shown, prompt_tokens):
    """The prices that hold for a prompt, as OpenRouter's clients read them: later entries win, key by key."""
    found = dict(shown)
    for override in found.pop("overrides", ()):
        if prompt_tokens > override["min_prompt_tokens"]:
            found |= override
    return found


@given(prices(), prices(), prices(), st.sampled_from([50, 100, 101, 200, 201]), st.sampled_from(sorted(TOKENS)))
def test_overrides_say_what_is_charged(price, second, third, prompt_tokens, kind):
    price = dataclasses.replace(price, tiers=(Tier(100, second), Tier(200, third)))
    shown = in_force(price_view(price), prompt_tokens)
    is_prompt = "prompt" in TOKENS[kind] or "cache" in kind
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 0 if is_prompt else 70}
    usage[TOKENS[kind]] = prompt_tokens if is_prompt else 70
    if kind == "cache_write_1h":
        usage["cache_write_tokens"] = prompt_tokens
    plain = "prompt" if is_prompt else "completion"
    by_key = shown.get(KEYS[kind], shown.get("input_cache_write", shown[plain]) if "write" in kind else shown[plain])
    usd = Decimal(by_key) * (prompt_tokens if is_prompt else 70) + Decimal(shown["request"])
    if not is_prompt:
        usd += Decimal(shown["prompt"]) * prompt_tokens
    assert abs(cost_usd_nanos(price, Usage(**usage)) - usd * 10**9) <= Decimal("0.5")


@given(st.integers(1, 10**8), st.integers(1, 10**8), st.none() | st.integers(1, 10**8), st.integers(1, 10**8))
def test_a_gateway_in_front_of_this_one_reads_the_same(prompt, completion, cache_read, request):
    tier = Tier(1000, Price(prompt + 1, completion, cache_read))
    price = Price(prompt, completion, cache_read, request=request, tiers=(tier,))
    rows = orjson.dumps({"data": [{"id": "acme/large", "pricing": price_view(price)}]})
    [found] = parse_discovery(rows, Provider("fairlead", "Fairlead", "http://fairlead.example/v1"))
    assert found.price == price
