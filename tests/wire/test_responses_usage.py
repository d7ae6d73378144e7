import json

import pytest
from hypothesis import given
from msgspec import Raw
from openai.types.responses.response_usage import ResponseUsage

from fairlead.wire.responses_usage import responses_usage
from harness.jsontext import values


def told(usage):
    return json.loads(responses_usage(Raw(json.dumps(usage).encode())))


def test_by_its_other_names():
    chat = {
        "cost": 0.00014, "is_byok": False,
        "cost_details": {
            "upstream_inference_cost": None, "upstream_inference_prompt_cost": 0.0001,
            "upstream_inference_completions_cost": 0.00004,
        },
        "prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 5},
        "server_tool_use_details": {"web_search_requests": 1},
    }  # fmt: skip
    found = told(chat)
    assert found == {
        "cost": 0.00014, "is_byok": False,
        "cost_details": {
            "upstream_inference_cost": None, "upstream_inference_input_cost": 0.0001,
            "upstream_inference_output_cost": 0.00004,
        },
        "input_tokens": 12, "output_tokens": 9, "total_tokens": 21,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0, "audio_tokens": 1},
        "output_tokens_details": {"reasoning_tokens": 5},
        "server_tool_use_details": {"web_search_requests": 1},
    }  # fmt: skip
    ResponseUsage.model_validate(found, strict=True)


def test_details_that_clients_count_on_are_there():
    found = told({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})
    ResponseUsage.model_validate(found, strict=True)
    assert found["input_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 0}


def test_money_keeps_its_digits():
    assert b'"cost":0.000000010' in responses_usage(Raw(b'{"prompt_tokens":1,"cost":0.000000010}'))


@pytest.mark.parametrize("usage", [None, 7, [], {"prompt_tokens_details": 7}, {"cost_details": []}])
def test_what_is_none(usage):
    assert told(usage) is None


@given(values)
def test_nothing_is_raised(usage):
    assert told(usage) is None or isinstance(usage, dict)
