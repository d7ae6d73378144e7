"""Cursor is reported to send bodies of the Responses API to /chat/completions: they must not be half understood."""

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
def test_a_body_of_the_other_api_is_refused_in_words_that_help(shared, solo, model, base):
    status, text = send(shared, base, {"model": model, **BODY})
    assert status == 400, text
    message = json.loads(text)["error"]["message"]
    assert "messages" in message
    assert "/responses" in message or "input" in message
    assert not solo.requests
