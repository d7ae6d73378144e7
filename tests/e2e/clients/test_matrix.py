"""Each client at one gateway: what it makes of answers, streams, tools, errors, and replies that break off."""

import json

import pytest

from fairlead.demo import Script

from .matrix import CLIENTS

TEXT = "Grüße, 世界 — 👩‍🚀 “quoted” \\ and an é"
USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
COST = (1000 * 1 + 500 * 2) / 1e6
"""At the prices of the shared gateway's endpoints."""
CALL = {"name": "weather", "arguments": '{"town": "Köln"}'}


def those_that(choose):
    """Only the clients for which `choose` is true of the entry in the table."""
    chosen = [name for name, client in CLIENTS.items() if choose(client)]
    return pytest.mark.parametrize("asked", chosen, indirect=True)


def test_an_answer(asked, solo, model):
    solo.does(text=TEXT, usage=USAGE)
    told = asked.ask("plain", model).value()
    assert told["text"] == TEXT
    assert told["finish"] == "stop"
    assert (told["prompt_tokens"], told["completion_tokens"]) == (1000, 500)
    check_shown(told, asked.shows)


def test_a_stream(asked, solo, model):
    solo.does(text=TEXT, usage=USAGE, token_delay_s=0.001)
    stream = asked.ask("stream", model)
    told = stream.value()
    assert stream.text == TEXT
    assert len(stream.heard) > 1
    assert told.get("finish") in ("stop", None)
    if asked.streams_usage:
        assert (told["prompt_tokens"], told["completion_tokens"]) == (1000, 500)
    check_shown(told, asked.stream_shows)


def check_shown(told, shows):
    if "cost" in shows:
        assert told["cost"] == pytest.approx(COST)
    if "provider" in shows:
        assert told["provider"] == "solo"


def test_a_tool_is_called_and_its_result_sent_back(asked, solo, model):
    solo.does(text=TEXT, usage=USAGE)
    solo.simulator.queue.append(calls_at_once())
    check_tools(asked.ask("tools", model, streamed=False).value(), solo)


@those_that(lambda client: client.streams_tools)
def test_a_tool_is_called_in_a_stream(asked, solo, model):
    solo.does(text=TEXT, usage=USAGE)
    solo.simulator.queue.append(calls_in_a_stream())
    check_tools(asked.ask("tools", model, streamed=True).value(), solo)


def check_tools(told, solo):
    assert (told["called"], told["arguments"]) == ("weather", {"town": "Köln"})
    assert told["text"] == TEXT
    first, second = (request.json() for request in solo.requests)
    assert first["tools"][0]["function"]["name"] == "weather"
    *_, call, result = second["messages"]
    assert call["tool_calls"][0]["id"] == result["tool_call_id"] == "call_1"
    assert result["content"] == "Rain in Köln."


def calls_at_once():
    call = {"id": "call_1", "type": "function", "function": CALL}
    return completion({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls")


def completion(message, finish):
    """A whole reply of an upstream's."""
    choice = {"index": 0, "message": message, "finish_reason": finish}
    reply = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "some", "choices": [choice]}
    return Script(body=json.dumps({**reply, "usage": USAGE}).encode())


def calls_in_a_stream():
    pieces = [CALL["arguments"][start : start + 5] for start in range(0, len(CALL["arguments"]), 5)]
    deltas = [
        {"role": "assistant", "content": None},
        {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": CALL | {"arguments": ""}}]},
        *({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces),
    ]
    return stream_of(deltas, "tool_calls")


def stream_of(deltas, finish):
    """A stream of an upstream's with these deltas, its end, and what it took."""
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    return events(*({"choices": [choice]} for choice in choices), {"choices": [], "usage": USAGE})


def events(*chunks):
    """A stream of an upstream's, of these chunks without what is the same in each; errors have nothing of that."""
    same = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "some"}
    whole = [{**same, **chunk} if "choices" in chunk else chunk for chunk in chunks]
    lines = [b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in whole]
    return Script(body=b"".join(lines) + b"data: [DONE]\n\n", headers=(("content-type", "text/event-stream"),))


@those_that(lambda client: client.lists_models)
def test_the_list_of_models(asked, model):
    told = asked.ask("models", model).value()
    assert model in told["ids"]
    if "prompt_price" in told:
        assert float(told["prompt_price"]) == pytest.approx(1e-6)


@those_that(lambda client: client.lists_endpoints)
def test_the_endpoints_of_a_model(asked, model):
    told = asked.ask("endpoints", model).value()
    assert told == {"id": model, "providers": ["solo"]}


@those_that(lambda client: client.shows_reasoning)
@pytest.mark.parametrize("do", ["plain", "stream"])
@pytest.mark.parametrize("member", ["reasoning", "reasoning_content"])
def test_what_a_model_thinks_is_shown_whatever_its_provider_calls_it(asked, solo, model, do, member):
    if do == "plain":
        message = {"role": "assistant", "content": TEXT, member: "Hm."}
        solo.simulator.queue.append(completion(message, "stop"))
    else:
        deltas = {"role": "assistant", "content": "", member: "H"}, {member: "m."}, {"content": TEXT}
        solo.simulator.queue.append(stream_of(deltas, "stop"))
    asking = asked.ask(do, model)
    told = asking.value()
    assert (told.get("text") or asking.text) == TEXT
    assert told["reasoning"] == "Hm."


@those_that(lambda client: client.has_preferences)
@pytest.mark.parametrize("do", ["plain", "stream"])
def test_preferences_choose_the_provider(asked, upstreams, new_model, do):
    model = new_model("twin")
    for _ in range(4):
        asked.ask(do, model, preferences={"only": ["second"], "allow_fallbacks": False}).value()
    assert [len(upstreams[name].requests) for name in ("first", "second")] == [0, 4]


@pytest.mark.parametrize("do", ["plain", "stream"])
@pytest.mark.parametrize("status", [401, 404, 429])
def test_an_error_is_of_the_clients_own_class(asked, strange_url, solo, model, do, status):
    solo.does(status=429, retry_after="0")
    wrong = {
        401: {"url": strange_url, "key": "sk-nobody-knows-this-key"},
        404: {"base": "/nowhere/v1"},
        429: {},
    }[status]
    failed = asked.ask(do, model, **wrong)
    assert failed.raised, failed
    assert asked.raises[status] in failed.raised
    assert failed.status in (status, None)
    assert len(solo.requests) == (asked.tries if status == 429 else 0)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_stream_that_breaks_off_is_no_success(asked, solo, model, how):
    solo.does(text="one two three four five", token_delay_s=0.001, cut_after=4, cut=how)
    check_broken(asked, asked.ask("stream", model), "one two three ")


def test_an_error_in_the_stream_of_a_provider_is_no_success(asked, solo, model):
    """With a word for its code, where OpenRouter's clients insist on a number."""
    said = {"index": 0, "delta": {"role": "assistant", "content": "one two"}, "finish_reason": None}
    error = {"error": {"message": "Out of words.", "type": "server_error", "param": None, "code": "server_overloaded"}}
    solo.simulator.queue.append(events({"choices": [said]}, error))
    check_broken(asked, asked.ask("stream", model), "one two")


def check_broken(asked, broken, heard):
    assert broken.text == heard
    if "broken" in asked.raises:
        assert broken.raised, broken
        assert asked.raises["broken"] in broken.raised
    else:
        assert broken.value()["finish"] == "error"


def test_a_provider_that_breaks_off_before_the_first_word_is_not_noticed(asked, upstreams, new_model):
    upstreams["first"].does(text="never heard", token_delay_s=0.001, cut_after=1)
    upstreams["second"].does(text=TEXT, usage=USAGE)
    model = new_model("twin")
    while not upstreams["first"].requests:  # the other one may be asked first, but not for ever
        stream = asked.ask("stream", model)
        stream.value()
        assert stream.text == TEXT


def test_a_first_chunk_without_choices(asked, solo, model):
    """As Azure sends it: what its filter found in the prompt."""
    said = {"index": 0, "delta": {"role": "assistant", "content": "so"}, "finish_reason": None}
    solo.simulator.queue.append(
        events(
            {"id": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
            {"choices": [said], "usage": None, "system_fingerprint": None},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None},
            {"choices": [], "usage": USAGE},
        )
    )
    stream = asked.ask("stream", model)
    stream.value()
    assert stream.text == "so"


@those_that(lambda client: client.base == "/api/v1")
def test_text_that_is_no_utf8(asked, solo, model):
    """On the other bases bytes pass as they come."""
    said = {"index": 0, "delta": {"role": "assistant", "content": "so?far"}, "finish_reason": "stop"}
    script = events({"choices": [said]}, {"choices": [], "usage": USAGE})
    solo.simulator.queue.append(Script(body=script.body.replace(b"?", b"\xc3"), headers=script.headers))
    stream = asked.ask("stream", model)
    stream.value()
    assert stream.text == "so\N{REPLACEMENT CHARACTER}far"
