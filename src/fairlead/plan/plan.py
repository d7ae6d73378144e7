"""From a model's name to an ordered list of endpoints, with the reason for each that was left out."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fairlead.catalog.model import Catalog, Endpoint
from fairlead.catalog.names import strip_gateway_prefix
from fairlead.health.board import EndpointHealth
from fairlead.plan.pick import weighted_order

HealthOf = Callable[[str], EndpointHealth]


@dataclass(slots=True)
class Plan:
    """Whom to ask, in order. `skipped` pairs each endpoint that was left out with the reason.

    `is_panic`: no endpoint is fit, and these are asked all the same, the soonest to recover first, since a
    certain refusal helps nobody (Envoy's panic threshold, Finagle's PanicMode). What the operator has set still holds:
    with every endpoint drained or full there are no candidates.
    """

    model_id: str
    candidates: Sequence[Endpoint]
    skipped: Sequence[tuple[Endpoint, str]] = ()
    is_panic: bool = False


def make_plan(
    catalog: Catalog, health_of: HealthOf, model: str, *, worker_share: float, now: float, rng: random.Random
) -> Plan | None:
    """Plan a request for `model`; None when nobody serves a model of that name.

    `worker_share` is this worker's part of the fleet (1 / workers): its part of a provider's concurrency limit.
    """
    model_id = catalog.resolve(model)
    if model_id not in catalog.endpoints:  # `openrouter/…`, as clients write that took us for another gateway
        known = {*catalog.endpoints, *catalog.aliases}
        model_id = catalog.resolve(strip_gateway_prefix(model, known))
    endpoints = catalog.endpoints.get(model_id)
    if not endpoints:
        return None
    fit: list[Endpoint] = []
    unwell: list[tuple[float, Endpoint]] = []
    skipped: list[tuple[Endpoint, str]] = []
    for endpoint in endpoints:
        health = health_of(endpoint.id)
        reason = _closed(endpoint, health, worker_share)
        if reason is None:
            reason = health.why_not(now)
            if reason is None:
                fit.append(endpoint)
                continue
            unwell.append((health.available_at(now), endpoint))
        skipped.append((endpoint, reason))
    if not fit:
        unwell.sort(key=lambda pair: pair[0])
        return Plan(model_id, [endpoint for _, endpoint in unwell], skipped, is_panic=True)
    return Plan(model_id, weighted_order(fit, rng), skipped)


def _closed(endpoint: Endpoint, health: EndpointHealth, worker_share: float) -> str | None:
    """Return why the operator's settings keep the endpoint from getting one more request, or None."""
    provider = endpoint.provider
    if provider.weight <= 0:
        return "weight 0: the operator has drained it"
    limit = provider.max_concurrency
    # Rounded down, so that the workers together stay within it; the tiny part is for 1/3 and its like.
    if limit is not None and health.in_flight >= max(1, int(limit * worker_share + 1e-6)):
        return f"at its limit of {limit} requests at once"
    return None
