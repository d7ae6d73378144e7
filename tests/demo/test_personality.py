import random
from statistics import median

from fairlead.demo.personality import DEMO_PROVIDERS, INSTANT, PERSONALITIES, Personality


def test_the_plain_provider_is_instant_and_draws_nothing():
    rng = random.Random(1)
    before = rng.getstate()
    assert Personality().draw(rng) is INSTANT
    assert rng.getstate() == before


def test_the_same_seed_draws_the_same_paces():
    slow = DEMO_PROVIDERS[2]
    first, second = ([slow.draw(rng) for _ in range(50)] for rng in (random.Random(7), random.Random(7)))
    assert first == second


def test_latency_has_its_median_and_failures_have_their_share():
    rng = random.Random(3)
    provider = Personality(first_token_s=0.2, tokens_per_s=40, failure_share=0.02)
    paces = [provider.draw(rng) for _ in range(20_000)]
    assert abs(median(pace.first_token_s for pace in paces) - 0.2) < 0.005
    assert {pace.token_s for pace in paces} == {1 / 40}
    assert 0.017 < sum(pace.fails for pace in paces) / len(paces) < 0.023


def test_without_latency_only_the_latency_goes():
    slow = DEMO_PROVIDERS[2].without_latency()
    paces = [slow.draw(random.Random(seed)) for seed in range(1000)]
    assert {(pace.first_token_s, pace.token_s) for pace in paces} == {(0.0, 0.0)}
    assert any(pace.fails for pace in paces)
    assert Personality(failure_share=0.0).without_latency().draw(random.Random(1)) is INSTANT


def test_the_demo_has_three_that_differ_and_share_two_models():
    assert [provider.name for provider in DEMO_PROVIDERS] == ["demo-swift", "demo-steady", "demo-thrifty"]
    offers = [{model.id: model for model in provider.models} for provider in DEMO_PROVIDERS]
    assert all({"demo/chat", "demo/chat-mini"} <= set(offer) for offer in offers)
    assert sum("demo/reasoner" in offer for offer in offers) == 1
    assert len({offer["demo/chat"].completion_price for offer in offers}) == 3
    assert sum(provider.failure_share > 0 for provider in DEMO_PROVIDERS) == 1
    assert set(PERSONALITIES) == {"demo", "demo-swift", "demo-steady", "demo-thrifty"}
