"""From a model's name to an ordered list of endpoints, with the reason for each that was left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import NamedTuple

import msgspec

from fairlead.catalog.model import Catalog, Endpoint
from fairlead.health.board import GroupHealth, HealthBoard
from fairlead.plan.arrange import arranged
from fairlead.plan.candidate import Candidate
from fairlead.plan.filters import excluded
from fairlead.plan.pick import Looks, order, panic_order
from fairlead.plan.score import Ask, Weights
from fairlead.plan.sticky import Pins
from fairlead.plan.variants import added, find_named
from fairlead.plan.wish import ANYTHING, Wish, with_variants

MOST_WEIGHED = 64
"""Endpoints of one model that are weighed for a request, where it has not said whom it wants: the best of so many is
nearly the best of all, and a request to a model of a thousand does not take 2 ms to plan."""

AskOf = Callable[[GroupHealth], Ask]
"""What of a request matters for the choice, once it is known which group serves it."""


class Skipped(NamedTuple):
    """An endpoint that was left out. `code`: of the request's preference that did it, "" if none did."""

    endpoint: Endpoint
    reason: str
    code: str = ""


class Plan(msgspec.Struct):
    """Whom to ask, in order, and who was left out.

    `is_panic`: no endpoint is fit, and these are asked all the same, the least bad first, since a certain refusal helps
    nobody (Envoy's panic threshold, Finagle's PanicMode). What the operator has set still holds: with every endpoint
    drained or full there are no candidates.
    """

    model_id: str
    group: GroupHealth
    candidates: Sequence[Candidate]
    skipped: Sequence[Skipped] = ()
    is_panic: bool = False
    is_full: bool = False
    """An endpoint was left out since it has as many requests as it is allowed."""
    router: str = ""
    """Who chose the model, if the caller did not: `openrouter/auto`."""
    conversation: int = 0
    """Key of the pins of its conversation; 0 where it does not stay anywhere."""
    is_session: bool = False
    """The caller has said that it is one."""


class _SortedOut(msgspec.Struct):
    """Endpoints by what keeps them from being asked."""

    fit: list[Candidate]
    short: list[Candidate]
    """Those that have been given all that their providers bear at present."""
    unwell: list[Candidate]
    skipped: list[Skipped]
    is_full: bool = False
    has_probes: bool = False
    """Some of those that are fit are to be tried whether they are well again."""


@dataclass(slots=True)
class Planner:
    """Plans the requests of one worker, which is `worker_share` (1 / workers) of the instance."""

    board: HealthBoard
    rng: Random
    worker_share: float = 1.0
    weights: Weights = field(default_factory=Weights)
    pins: Pins = field(default_factory=Pins)
    looks: dict[str, Looks] = field(default_factory=dict)
    """By group."""

    def plan(self, catalog: Catalog, model: str, ask: AskOf, now: float, wish: Wish = ANYTHING) -> Plan | None:
        """Plan a request for `model`; None when nobody serves a model of that name."""
        model_id = catalog.resolve(model)
        if endpoints := catalog.endpoints.get(model_id):  # nearly always
            return self.plan_among(model_id, endpoints, ask, now, wish)
        named = find_named(catalog, model)
        if named is None:
            return None
        endpoints = catalog.endpoints[named.model_id]
        plan = self.plan_among(named.model_id, endpoints, ask, now, with_variants(wish, named.variants))
        if adds := added(named.variants):
            for candidate in plan.candidates:
                candidate.adds = {**(candidate.adds or {}), **adds}
        return plan

    def plan_all(
        self, catalog: Catalog, models: Sequence[str], ask: AskOf, now: float, wish: Wish = ANYTHING
    ) -> Plan | None:
        """Plan a request that any of several models may answer, the first if possible; None if none is served.

        All endpoints of a model go before those of the next; they compete with each other if the wish is for that.
        """
        if wish.is_pooled:
            return self._plan_pool(catalog, models, ask, now, wish)
        if len(models) == 1:
            return self.plan(catalog, models[0], ask, now, wish)
        plans = [plan for model in models if (plan := self.plan(catalog, model, ask, now, wish)) is not None]
        return _one_after_another(plans) if plans else None

    def _plan_pool(self, catalog: Catalog, models: Sequence[str], ask: AskOf, now: float, wish: Wish) -> Plan | None:
        """Let the endpoints of all models compete; what a variant asks for holds for its own model."""
        named = {one.model_id: one for model in reversed(models) if (one := find_named(catalog, model)) is not None}
        if not named:
            return None
        wanted: list[Endpoint] = []
        unwanted: list[Skipped] = []
        for model_id, one in reversed(named.items()):
            own = with_variants(wish, one.variants)
            wish = replace(wish, sort=wish.sort or own.sort)
            for endpoint in catalog.endpoints[model_id]:
                why = excluded(endpoint, own)
                if why is None:
                    wanted.append(endpoint)
                else:
                    unwanted.append(Skipped(endpoint, *why))
        plan = self._plan(next(reversed(named)), wanted, ask, now)
        plan.candidates = arranged(plan.candidates, wish)
        plan.skipped = [*unwanted, *plan.skipped]
        for candidate in plan.candidates:
            if adds := added(named[candidate.endpoint.model.id].variants):
                candidate.adds = {**(candidate.adds or {}), **adds}
        return plan

    def plan_among(
        self, model_id: str, endpoints: Sequence[Endpoint], ask: AskOf, now: float, wish: Wish = ANYTHING
    ) -> Plan:
        """Plan a request that these endpoints can answer, as far as it wants them."""
        if wish is ANYTHING:
            if len(endpoints) > MOST_WEIGHED:
                plan = self._plan(model_id, self._some(model_id, endpoints, ask), ask, now)
                if any(one.health.is_at_ease(now) for one in plan.candidates):  # else somebody else may be
                    return plan
            return self._plan(model_id, endpoints, ask, now)
        unwanted = [Skipped(one, *why) for one in endpoints if (why := excluded(one, wish)) is not None]
        out = {skipped.endpoint.id for skipped in unwanted}
        plan = self._plan(model_id, [one for one in endpoints if one.id not in out], ask, now)
        plan.candidates = arranged(plan.candidates, wish)
        plan.skipped = [*unwanted, *plan.skipped]
        return plan

    def _some(self, model_id: str, endpoints: Sequence[Endpoint], ask: AskOf) -> Sequence[Endpoint]:
        """Return MOST_WEIGHED of the endpoints, next to each other: any, or always the same where a session's home is
        to be found among them; and the one that its conversation stays with."""
        wanted = ask(self.board.group(model_id))
        start = (wanted.session or self.rng.getrandbits(32)) % len(endpoints)
        some = [*endpoints[start : start + MOST_WEIGHED]]
        some += endpoints[: MOST_WEIGHED - len(some)]
        if wanted.pinned and all(one.id != wanted.pinned for one in some):
            some += [one for one in endpoints if one.id == wanted.pinned]
        return some

    def _plan(self, model_id: str, endpoints: Sequence[Endpoint], ask: AskOf, now: float) -> Plan:
        group = self.board.asked(model_id, now)
        sorted_out = self._sorted_out(endpoints, now)
        fit, short, unwell = sorted_out.fit, sorted_out.short, sorted_out.unwell
        skipped, is_full = sorted_out.skipped, sorted_out.is_full
        has_probes = sorted_out.has_probes
        has_only_probes = not fit or (has_probes and all(candidate.health.probe_epoch for candidate in fit))
        if has_only_probes:
            fit += short
        if not fit:
            return Plan(model_id, group, panic_order(unwell, now, self.rng), skipped, is_panic=True, is_full=is_full)
        candidates = fit if len(fit) == 1 else self._ordered(fit, group, ask(group), now, has_probes=has_probes)
        if has_only_probes and not short:  # it is a caller's request: should the probe fail, there is no one but these
            candidates += panic_order(unwell, now, self.rng)
        return Plan(model_id, group, candidates, skipped, is_full=is_full)

    def _sorted_out(self, endpoints: Sequence[Endpoint], now: float) -> _SortedOut:
        found = _SortedOut([], [], [], [])
        share, fit, skipped = self.worker_share, found.fit, found.skipped
        for endpoint, health in zip(endpoints, self.board.of_each(endpoints, now), strict=True):
            provider, in_flight = endpoint.provider, health.in_flight
            limit = provider.max_concurrency
            if provider.weight <= 0.0:
                skipped.append(Skipped(endpoint, "weight 0: the operator has drained it"))
            # One at least, and else not more than its share, so that the workers together stay within it. The tiny part
            # is for 1/3 and its like.
            elif limit is not None and in_flight and in_flight + 1 > limit * share + 1e-6:
                found.is_full = True
                skipped.append(Skipped(endpoint, f"at its limit of {limit} requests at once"))
            elif health.bearing is not None and health.is_laden():
                found.is_full = True
                skipped.append(Skipped(endpoint, f"at the {health.bearing.limit:.0f} requests at once that it bears"))
            elif health.is_at_ease(now):
                fit.append(Candidate(endpoint, health))
            elif health.is_out(now):
                found.unwell.append(Candidate(endpoint, health))
                skipped.append(Skipped(endpoint, health.why_not(now) or ""))
            elif not health.has_allowance(now):
                found.short.append(Candidate(endpoint, health))
                skipped.append(Skipped(endpoint, "at the rate that its provider bears"))
            else:
                fit.append(Candidate(endpoint, health))
                if health.probe_epoch:
                    found.has_probes = True
        return found

    def _ordered(
        self, fit: list[Candidate], group: GroupHealth, ask: Ask, now: float, *, has_probes: bool
    ) -> list[Candidate]:
        looks = self.looks.get(group.name)
        if looks is None:
            looks = self.looks[group.name] = Looks()
        return order(fit, group, ask, looks, self.weights, now, self.rng, has_probes=has_probes)


def _one_after_another(plans: Sequence[Plan]) -> Plan:
    """Join plans: panic only where no model has an endpoint that is fit."""
    first = plans[0]
    if len(plans) == 1:
        return first
    calm = [plan for plan in plans if plan.candidates and not plan.is_panic]
    used = calm or plans
    # One model may have been named twice.
    candidates = {one.endpoint.id: one for plan in reversed(used) for one in reversed(plan.candidates)}
    return Plan(
        used[0].model_id,
        used[0].group,
        list(reversed(candidates.values())),
        [skipped for plan in plans for skipped in plan.skipped],
        is_panic=not calm,
        is_full=any(plan.is_full for plan in plans),
    )
