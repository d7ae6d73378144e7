"""Endpoints, and candidates of which something is known."""

from fairlead.catalog.dialects import PLAIN
from fairlead.catalog.model import Endpoint, Model, Price, Provider
from fairlead.health.board import HealthBoard
from fairlead.plan.candidate import Candidate


def endpoint(slug, *, price=None, parameters=(), model="acme/large", dialect=PLAIN, **provider):
    """`price`: prompt and completion, USD per million tokens."""
    served = Model(model, model, supported_parameters=frozenset(parameters))
    paid = None if price is None else Price(*(int(one * 10**6) for one in price))
    return Endpoint(Provider(slug, slug.title(), "http://x", speaks=dialect, **provider), served, "m", paid)


def candidate(slug, *, first_token_s=0.5, tokens_per_s=50.0, failure=0.0, **given):
    one = endpoint(slug, **given)
    health = HealthBoard().of(one.id)
    health.estimate.first_token_s, health.estimate.token_s = first_token_s, 1 / tokens_per_s
    health.estimate.failure, health.estimate.cut = failure, 0.0
    return Candidate(one, health)


def slugs(candidates):
    return [one.endpoint.provider.slug for one in candidates]
