import itertools
from decimal import Decimal

import orjson
import pytest

from fairlead.demo import shapes
from fairlead.demo.personality import DEMO_PROVIDERS, DemoModel
from fairlead.demo.shapes import Envelope, Events

ENVELOPE = Envelope("chatcmpl-1", 1_700_000_000, b'"demo/chat"')
EVENTS = Events.of(ENVELOPE, includes_usage=False)


def data(event):
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    return orjson.loads(event[6:])


def test_a_completion_is_the_envelope_and_the_rest():
    usage = shapes.usage_of(3, 2)
    body = ENVELOPE.open(b"chat.completion") + shapes.completion(["hel", 'l"o'], "stop", usage)
    assert orjson.loads(body) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "demo/chat",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": 'hell"o', "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": usage,
        "system_fingerprint": None,
    }
    assert usage["total_tokens"] == 5


def test_events_share_the_envelope():
    events = [EVENTS.role(), *EVENTS.words(["a ", 'é"']), EVENTS.finish("length")]
    decoded = [data(event) for event in events]
    assert {(event["id"], event["object"], event["model"]) for event in decoded} == {
        ("chatcmpl-1", "chat.completion.chunk", "demo/chat")
    }
    choices = [event["choices"][0] for event in decoded]
    assert choices[0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert [choice["delta"] for choice in choices[1:]] == [{"content": "a "}, {"content": 'é"'}, {}]
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "length"]


def test_usage_is_null_until_the_last_event_once_it_was_asked_for():
    events = Events.of(ENVELOPE, includes_usage=True)
    assert data(events.role())["usage"] is None
    last = data(events.usage({"prompt_tokens": 1}))
    assert (last["choices"], last["usage"]) == ([], {"prompt_tokens": 1})
    assert "usage" not in data(EVENTS.role())


def test_a_malformed_event_is_not_json():
    with pytest.raises(orjson.JSONDecodeError):
        data(EVENTS.malformed())


@pytest.mark.parametrize(
    ("what", "begin", "again"),
    [
        ("event", b'"content":"xxx', b"xxxx"),
        ("comments", b": wait\n\n", b": wait\n\n"),
        ("text", b'{"role":"assistant"', b'"content":"xxx'),
        ("body", b"{   ", b"   \n\n"),
    ],
)
def test_what_has_no_end(what, begin, again):
    pieces = shapes.endless(EVENTS, what)
    assert begin in b"".join(itertools.islice(pieces, 4))
    more = list(itertools.islice(pieces, 100))
    assert all(again in piece for piece in more)
    assert sum(map(len, more)) > 1_000_000
    assert (b"data:" in b"".join(more)) is (what == "text")


@pytest.mark.parametrize("total", [1024, 20_000, 16 * 1024 * 3 + 1, 16 * 1024 * 3 + 2, 16 * 1024 * 3 + 3, 100_001])
def test_a_flood_has_its_size_and_is_well_formed(total):
    flood = list(shapes.flood_events(EVENTS, [EVENTS.finish("stop"), shapes.DONE], total))
    assert sum(map(len, flood)) == total
    assert flood[-1] == shapes.DONE
    events = [event for event in b"".join(flood).split(b"\n\n") if event.startswith(b"data: {")]
    assert all(data(event + b"\n\n")["choices"] for event in events)

    body = b"".join(shapes.flood_body(b'{"a":1}', total))
    assert len(body) == total
    assert orjson.loads(body) == {"a": 1}


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "invalid_request_error", None),
        (401, "authentication_error", "invalid_api_key"),
        (429, "rate_limit_error", "rate_limit_exceeded"),
        (503, "server_error", "overloaded"),
    ],
)
def test_errors_have_the_shape_of_openai(status, kind, code):
    error = orjson.loads(shapes.error_body(status, "no"))["error"]
    assert error == {"message": "no", "type": kind, "param": None, "code": code}


def test_phrases():
    assert shapes.phrase(503) == "Service Unavailable"
    assert shapes.phrase(529) == "Unknown"


def test_the_list_of_models_has_prices_per_token_and_says_demo():
    steady = DEMO_PROVIDERS[1]
    listed = orjson.loads(shapes.model_list(steady.name, steady.models, 1_700_000_000))
    assert listed["object"] == "list"
    assert [item["id"] for item in listed["data"]] == ["demo/chat", "demo/chat-mini", "demo/reasoner"]
    for item, model in zip(listed["data"], steady.models, strict=True):
        assert item["name"].startswith("DEMO")
        assert item["description"].startswith("DEMO")
        assert item["context_length"] == model.context_length
        assert Decimal(item["pricing"]["prompt"]) * 10**12 == model.prompt_price
        assert Decimal(item["pricing"]["completion"]) * 10**12 == model.completion_price


@pytest.mark.parametrize(
    ("price", "written"), [(250_000, "0.00000025"), (0, "0"), (10**12, "1"), (1, "0.000000000001")]
)
def test_prices_are_plain_decimals(price, written):
    listed = orjson.loads(shapes.model_list("p", [DemoModel("m", "M", price, 0)], 0))
    assert listed["data"][0]["pricing"]["prompt"] == written
