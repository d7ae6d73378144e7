"""Who would answer a request, and why: the plan that it would get now, with nothing sent.

    explained(…)   of a request: every candidate with the terms of its score and its share, every other endpoint with
                   the reason why it is left out

Terms are natural logarithms that add up to the score, but for `expected_s`; the smallest score is asked first
(`plan/score.py`). `share` is how often a candidate came first in DRAWS draws of the same plan: what chance decides is
part of the choice, so one draw would tell little.
"""

import copy
from collections import Counter
from random import Random

from fairlead.access.keys import ApiKey
from fairlead.catalog.model import Endpoint
from fairlead.errors import ApiError
from fairlead.plan.candidate import Candidate
from fairlead.plan.pick import Looks
from fairlead.plan.plan import Plan, Planner
from fairlead.plan.wish import tag
from fairlead.relay.exchange import Routes, plan_request
from fairlead.wire.errors import error_object
from fairlead.wire.request import ChatRequest

DRAWS = 200
"""Some milliseconds for a dozen candidates."""


class _NoLooks(dict[str, Looks]):
    """Explaining takes nothing from what is allowed for looking at endpoints that would not be picked."""

    def get(self, key: str, default: object = None) -> Looks:
        return Looks(per_request=0.0, per_second=0.0, tokens=0.0)


def explained(planner: Planner, routes: Routes, request: ChatRequest, key: ApiKey, now: float) -> dict[str, object]:
    """Return the plan of `request` at `now` (monotonic seconds), as JSON has it; `error` if it cannot be served."""
    dry = copy.copy(planner)
    dry.looks, dry.rng = _NoLooks(), Random(0)
    session = request.named("session_id")
    told: dict[str, object] = {"requested": list(request.models), "stream": request.is_stream}
    try:
        plan = plan_request(dry, routes, request, key, now, session)
    except ApiError as refusal:
        return {**told, "model": None, "candidates": [], "skipped": [], "error": error_object(refusal)}
    firsts = Counter[str]()
    for _ in range(DRAWS):
        drawn = plan_request(dry, routes, request, key, now, session).candidates
        firsts.update(one.endpoint.id for one in drawn[:1])
    return {
        **told,
        "model": plan.model_id,
        "router": plan.router or None,
        "is_panic": plan.is_panic,
        "candidates": [
            {"place": place, **_candidate(one, firsts[one.endpoint.id] / DRAWS)}
            for place, one in enumerate(plan.candidates, 1)
        ],
        "skipped": _skipped(plan),
        "error": None,
    }


def _skipped(plan: Plan) -> list[dict[str, object]]:
    return [{**_named(one.endpoint), "reason": one.reason, "excluded_by": one.code or None} for one in plan.skipped]


def _named(endpoint: Endpoint) -> dict[str, object]:
    return {
        "endpoint": endpoint.id,
        "provider": endpoint.provider.slug,
        "provider_name": endpoint.provider.name,
        "tag": tag(endpoint),
        "model": endpoint.model.id,
    }


def _candidate(candidate: Candidate, share: float) -> dict[str, object]:
    terms, known, price = candidate.terms, candidate.health.estimate, candidate.endpoint.price
    return {
        **_named(candidate.endpoint),
        "share": round(share, 3),
        "comes_first_as": candidate.note or None,
        "terms": None if terms is None else {name: round(value, 4) for name, value in terms._asdict().items()},
        "known": {
            "first_token_s": round(known.first_token_s, 4),
            "tokens_per_s": round(1.0 / known.token_s, 1) if known.token_s > 0.0 else None,
            "failure": round(known.failure, 4),
            "cut": round(known.cut, 4),
            "in_flight": round(max(known.in_flight, float(candidate.health.in_flight)), 1),
            "doubt": round(known.doubt, 3),
        },
        "price_usd_per_mtok": None
        if price is None
        else {"prompt": price.prompt / 1e6, "completion": price.completion / 1e6},
        "adds": {name: value.decode() for name, value in (candidate.adds or {}).items()},
    }
