import json
import math

import pytest

from fairlead import clock
from fairlead.access.keys import ApiKey
from fairlead.catalog.model import Model
from fairlead.demo.script import Script
from fairlead.plan.plan import Planner
from fairlead.relay.explain import explained
from fairlead.wire.request import ChatRequest
from harness.gateway import MODEL, Undecided, gateway
from harness.http import ask, chat_body

pytestmark = pytest.mark.anyio

ANYBODY = ApiKey("", "", "")


def explain(served, key=ANYBODY, **members):
    request = ChatRequest.parse(chat_body(**members))
    planner = Planner(served.board, Undecided())
    return json.loads(json.dumps(explained(planner, served.relay.routes, request, key, clock.monotonic())))


async def test_every_endpoint_is_a_candidate_or_has_a_reason():
    async with gateway(Script(), Script(), Script()) as served:
        served.board.of(f"sim2:{MODEL}").cool_until = clock.monotonic() + 60
        told = explain(served, provider={"ignore": ["sim1"]})
        assert [one["endpoint"] for one in told["candidates"]] == [f"sim0:{MODEL}"]
        reasons = {one["provider"]: (one["excluded_by"], one["reason"]) for one in told["skipped"]}
        assert reasons["sim1"] == ("allowed_providers", "'provider.ignore' names it")
        assert reasons["sim2"][0] is None
        assert "cooling down" in reasons["sim2"][1]


async def test_terms_add_up_to_the_score_and_shares_to_one():
    async with gateway(Script(), Script()) as served:
        for slug, first_token_s in (("sim0", 0.5), ("sim1", 0.05)):
            known = served.board.of(f"{slug}:{MODEL}").estimate
            known.first_token_s, known.doubt = first_token_s, 0.01
        told = explain(served, max_tokens=5)
        assert sum(one["share"] for one in told["candidates"]) == pytest.approx(1.0)
        best = told["candidates"][0]
        assert (best["endpoint"], best["place"]) == (f"sim1:{MODEL}", 1)
        assert best["known"]["first_token_s"] == 0.05
        terms = best["terms"]
        parts = math.log(terms["seconds"]) + sum(terms[name] for name in ("price", "weight", "load", "draw"))
        assert terms["score"] == pytest.approx(parts, abs=0.01)
        assert best["price_usd_per_mtok"] == {"prompt": 1.0, "completion": 2.0}


async def test_nothing_is_sent_and_nothing_changes():
    async with gateway(Script(), Script()) as served:
        before = served.board.of(f"sim0:{MODEL}").started
        for _ in range(3):
            explain(served)
        assert served.board.of(f"sim0:{MODEL}").started == before
        assert not any(sim.requests for sim in served.simulators)
        assert served.records == []


@pytest.mark.parametrize(
    ("members", "status"), [({"model": "acme/none"}, 400), ({"provider": {"only": ["x"]}}, 404)], ids=["name", "only"]
)
async def test_a_refusal_is_the_callers_own(members, status):
    async with gateway(Script()) as served:
        answer = await ask(served, chat_body(**members))
        told = explain(served, **members)
        assert answer.status == status
        assert told["error"] == answer.json["error"]
        assert told["candidates"] == []


async def test_what_a_key_may_not_use_is_told():
    other = Model("acme/small", "Small")
    async with gateway(Script(), Script(), models={Model(MODEL, "L"): [0], other: [1]}) as served:
        told = explain(served, ApiKey("", "", "", allowed_models=(MODEL,)), models=[other.id])
        assert [one["model"] for one in told["candidates"]] == [MODEL]
        assert [(one["model"], one["reason"]) for one in told["skipped"]] == [
            (other.id, "the API key may not use this model")
        ]


async def test_the_record_keeps_whom_the_choice_was_made_from():
    async with gateway(Script(), Script()) as served:
        served.board.of(f"sim1:{MODEL}").cool_until = clock.monotonic() + 60
        await ask(served, chat_body())
        served.board.of(f"sim1:{MODEL}").cool_until = 0.0
        await ask(served, chat_body())
        out, both = (record.considered for record in served.records)
        assert [(one.endpoint, "cooling down" in one.why) for one in out] == [(f"sim1:{MODEL}", True)]
        assert {one.endpoint for one in both} == {f"sim0:{MODEL}", f"sim1:{MODEL}"}
        assert all(one.expected_s > 0.0 and not one.why for one in both)
