import json

import pytest

from fairlead.catalog.dialects import Dialect
from fairlead.demo.script import Script
from fairlead.relay.learned import LearnedLimits, RenamedLimits
from fairlead.wire.request import ChatRequest
from harness.gateway import gateway
from harness.http import ask, chat_body

pytestmark = pytest.mark.anyio

OPENAI = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."


def refusal(message, status=400, **members):
    return Script(status=status, body=json.dumps({"error": {"message": message, **members}}).encode())


def parsed(**members):
    return ChatRequest.parse(chat_body(**members))


@pytest.mark.parametrize(
    ("sent", "said", "is_tried"),
    [
        ("max_tokens", OPENAI, True),
        ("max_completion_tokens", "Extra inputs are not permitted (body.max_completion_tokens)", True),
        ("max_tokens", "max_tokens must be at least 16", False),
        ("max_tokens", "unsupported parameter: max_completion_tokens", False),
        ("seed", OPENAI, False),
    ],
)
def test_only_a_refusal_of_the_name_that_was_sent_counts(sent, said, is_tried):
    renamed = RenamedLimits(LearnedLimits())
    assert renamed.try_other("p:m", Dialect(), parsed(**{sent: 50}), 400, said) == is_tried
    other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}.get(sent)
    assert renamed.applied(Dialect(), "p:m").output_limit == (other if is_tried else None)
    assert renamed.applied(Dialect(), "p:other").output_limit is None


def test_each_endpoint_is_asked_again_once():
    renamed = RenamedLimits(LearnedLimits())
    assert not renamed.try_other("p:m", Dialect(), parsed(max_tokens=5), 500, OPENAI)
    assert renamed.try_other("p:m", Dialect(), parsed(max_tokens=5), 422, OPENAI)
    assert not renamed.try_other("p:m", Dialect(), parsed(max_tokens=5), 422, OPENAI)


def test_nothing_is_learned_but_from_a_success():
    """What a provider quotes the caller may have written: one request spoilt the endpoint for all."""
    learned = LearnedLimits()
    first, second = RenamedLimits(learned), RenamedLimits(learned)
    assert first.try_other("p:m", Dialect(), parsed(max_tokens=5), 400, OPENAI)
    assert second.applied(Dialect(), "p:m").output_limit is None
    first.confirm("p:other")
    assert second.applied(Dialect(), "p:m").output_limit is None
    first.confirm("p:m")
    assert second.applied(Dialect(), "p:m").output_limit == "max_completion_tokens"


def test_what_was_learned_can_turn_out_otherwise():
    learned = LearnedLimits()
    learned.learn("p:m", "max_completion_tokens")
    renamed = RenamedLimits(learned)
    assert renamed.try_other("p:m", Dialect(), parsed(max_tokens=5), 400, "unknown field max_completion_tokens")
    renamed.confirm("p:m")
    assert learned.names == {"p:m": "max_tokens"}


@pytest.mark.parametrize("is_stream", [False, True])
async def test_no_caller_sees_an_unsupported_parameter(is_stream):
    async with gateway(Script()) as served:
        (provider,) = served.simulators
        provider.queue.append(refusal(OPENAI, param="max_tokens"))
        for _ in range(2):
            assert (await ask(served, chat_body(stream=is_stream, max_tokens=50))).status == 200
        sent = [json.loads(request.body) for request in provider.requests]
        assert [("max_tokens" in one, one.get("max_completion_tokens")) for one in sent] == [
            (True, None),
            (False, 50),
            (False, 50),
        ]


async def test_what_is_refused_by_either_name_is_refused():
    async with gateway(refusal("unsupported parameter: max_tokens")) as served:
        answer = await ask(served, chat_body(max_tokens=50))
        assert answer.status == 400
        assert len(served.simulators[0].requests) == 2
