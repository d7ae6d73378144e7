"""From a model's name to an ordered list of endpoints, with the reason for each that was left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from fairlead.catalog.model import Catalog, Endpoint
from fairlead.catalog.names import strip_gateway_prefix
from fairlead.health.board import GroupHealth, HealthBoard
from fairlead.health.endpoint import EndpointHealth
from fairlead.plan.pick import Candidate, Looks, order, panic_order
from fairlead.plan.score import Ask, Weights


@dataclass(slots=True)
class Plan:
    """Whom to ask, in order. `skipped` pairs each endpoint that was left out with the reason.

    `is_panic`: no endpoint is fit, and these are asked all the same, the least bad first, since a certain refusal helps
    nobody (Envoy's panic threshold, Finagle's PanicMode). What the operator has set still holds: with every endpoint
    drained or full there are no candidates.
    """

    model_id: str
    group: GroupHealth
    candidates: Sequence[Candidate]
    skipped: Sequence[tuple[Endpoint, str]] = ()
    is_panic: bool = False


@dataclass(slots=True)
class Planner:
    """Plans the requests of one worker, which is `worker_share` (1 / workers) of the instance."""

    board: HealthBoard
    rng: Random
    worker_share: float = 1.0
    weights: Weights = field(default_factory=Weights)
    looks: dict[str, Looks] = field(default_factory=dict)
    """By group."""

    def plan(self, catalog: Catalog, model: str, ask: Callable[[GroupHealth], Ask], now: float) -> Plan | None:
        """Plan a request for `model`; None when nobody serves a model of that name.

        `ask` tells what of the request matters, once it is known which group serves it.
        """
        model_id = _canonical(catalog, model)
        endpoints = catalog.endpoints.get(model_id)
        if not endpoints:
            return None
        group = self.board.asked(model_id, now)
        fit: list[Candidate] = []
        short: list[Candidate] = []
        unwell: list[Candidate] = []
        skipped: list[tuple[Endpoint, str]] = []
        for endpoint in endpoints:
            health = self.board.of(endpoint.id, now)
            if (reason := self._closed(endpoint, health)) is not None:
                skipped.append((endpoint, reason))
            elif health.is_out(now):
                unwell.append(Candidate(endpoint, health))
                skipped.append((endpoint, health.why_not(now) or ""))
            elif not health.has_allowance(now):
                short.append(Candidate(endpoint, health))
                skipped.append((endpoint, "at the rate that its provider bears"))
            else:
                fit.append(Candidate(endpoint, health))
        has_only_probes = all(candidate.health.probe_epoch for candidate in fit)
        if has_only_probes:
            fit += short
        if not fit:
            return Plan(model_id, group, panic_order(unwell, now, self.rng), skipped, is_panic=True)
        candidates = fit if len(fit) == 1 else self._ordered(fit, group, ask(group), now)
        if has_only_probes and not short:  # it is a caller's request: should the probe fail, there is no one but these
            candidates += panic_order(unwell, now, self.rng)
        return Plan(model_id, group, candidates, skipped)

    def _ordered(self, fit: list[Candidate], group: GroupHealth, ask: Ask, now: float) -> list[Candidate]:
        looks = self.looks.get(group.name)
        if looks is None:
            looks = self.looks[group.name] = Looks()
        return order(fit, group, ask, looks, self.weights, now, self.rng)

    def _closed(self, endpoint: Endpoint, health: EndpointHealth) -> str | None:
        """Return why the operator's settings keep the endpoint from getting one more request, or None."""
        provider = endpoint.provider
        if provider.weight <= 0:
            return "weight 0: the operator has drained it"
        if (limit := provider.max_concurrency) is None:
            return None
        # One at least, and else not more than its share, so that the workers together stay within it. The tiny part is
        # for 1/3 and its like.
        if health.in_flight and health.in_flight + 1 > limit * self.worker_share + 1e-6:
            return f"at its limit of {limit} requests at once"
        return None


def _canonical(catalog: Catalog, model: str) -> str:
    model_id = catalog.resolve(model)
    if model_id in catalog.endpoints:
        return model_id
    # `openrouter/…`, as clients write that took us for another gateway
    return catalog.resolve(strip_gateway_prefix(model, {*catalog.endpoints, *catalog.aliases}))
