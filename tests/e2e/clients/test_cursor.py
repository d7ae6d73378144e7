"""Cursor is reported to send bodies of the Responses API to /chat/completions: they are understood."""

import json

import pytest

from .raw import send

BODY = {
    "input": [
        {"role": "system", "content": "You are a coding assistant."},
        {"role": "user", "content": [{"type": "input_text", "text": "Rename the function."}]},
    ],
    "tools": [{"type": "function", "name": "edit", "parameters": {"type": "object", "properties": {}}}],
    "tool_choice": "auto",
    "reasoning": {"effort": "medium", "summary": "auto"},
    "text": {"verbosity": "low"},
    "include": ["reasoning.encrypted_content"],
    "store": False,
    "stream": True,
}


@pytest.mark.parametrize("base", ["/v1", "/api/v1", "/openai/v1"])
def test_a_body_of_the_other_api_is_answered_as_chat(shared, solo, model, base):
    solo.does(text="Renamed.")
    status, text = send(shared, base, {"model": model, **BODY})
    assert status == 200, text
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "Renamed."
    [request] = solo.requests
    sent = json.loads(request.body)
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert sent["tools"][0]["function"]["name"] == "edit"
    assert not {"input", "text", "include", "store"} & sent.keys()


def test_one_that_is_neither_is_refused_in_words_that_help(shared, solo, model):
    status, text = send(shared, "/v1", {"model": model, "prompt": "hi"})
    assert (status, json.loads(text)["error"]["param"]) == (400, "messages")
