import json

import openai
import pytest
from hypothesis import given
from msgspec import Raw
from openai.types.responses.response_error import ResponseError
from pydantic import TypeAdapter

from fairlead.errors import ApiError
from fairlead.wire.errors import error_body
from fairlead.wire.responses_errors import UNTOLD, failure_of, failure_told, responses_error
from harness.answering import answering
from harness.jsontext import values

FAULT = ApiError(
    429, "Slow down", error_type="rate_limit_exceeded", param="model", metadata={"provider_name": "Acme"},
    availability={"code": "capacity_exhausted", "retryable": True},
)  # fmt: skip


def raw(value):
    return Raw(json.dumps(value).encode())


def told(failure):
    return json.loads(failure.error), failure.error_type


@pytest.mark.parametrize(
    ("error_type", "code"),
    [
        ("rate_limit_exceeded", "rate_limit_exceeded"),
        ("context_length_exceeded", "invalid_prompt"),
        ("invalid_request", "invalid_prompt"),
        ("content_policy_violation", "image_content_policy_violation"),
        ("authentication", "server_error"),
        ("payment_required", "server_error"),
        ("provider_overloaded", "server_error"),
        ("timeout", "server_error"),
        ("server", "server_error"),
    ],
)
def test_codes(error_type, code):
    failure = failure_of(ApiError(400, "x", error_type=error_type))
    assert (json.loads(failure.error)["code"], failure.error_type) == (code, error_type)
    TypeAdapter(ResponseError).validate_json(failure.error, strict=True)


class TestBody:
    def test_has_all_that_chats_has(self):
        chat = json.loads(error_body(FAULT))["error"]
        assert json.loads(responses_error(FAULT, "gen-1")) == {
            "id": "gen-1",
            "object": "response",
            "status": "failed",
            "error": chat,
            "error_type": "rate_limit_exceeded",
        }

    def test_openais_client_raises_it_with_its_text(self):
        fault = ApiError(400, "'input' is required", param="input")
        with (
            answering(responses_error(fault, "gen-1"), status=400) as url,
            openai.OpenAI(base_url=url, api_key="k") as client,
            pytest.raises(openai.BadRequestError) as caught,
        ):
            client.responses.create(model="a/b", input="x")
        assert "'input' is required" in str(caught.value)
        assert (caught.value.code, caught.value.param, caught.value.type) == (
            "400", "input", "invalid_request_error",
        )  # fmt: skip


class TestTold:
    def test_an_error_of_ours_is_the_same_by_either_way(self):
        chat = json.loads(error_body(FAULT))["error"]
        assert told(failure_told(raw(chat))) == told(failure_of(FAULT))

    @pytest.mark.parametrize(
        ("error", "code", "message"),
        [
            ({"code": 400, "message": "Long", "metadata": {"error_type": "invalid_request"}}, "invalid_prompt", "Long"),
            ({"code": 502, "message": "Broken"}, "server_error", "Broken"),
            ({"code": 429, "message": "Wait", "metadata": None}, "rate_limit_exceeded", "Wait"),
            ("Broken", "server_error", "Broken"),
            ({"metadata": []}, "server_error", json.loads(UNTOLD.error)["message"]),
            (None, "server_error", json.loads(UNTOLD.error)["message"]),
        ],
        ids=str,
    )  # fmt: skip
    def test_of_any_shape(self, error, code, message):
        found, _ = told(failure_told(raw(error)))
        assert (found["code"], found["message"]) == (code, message)

    @given(values)
    def test_nothing_is_raised(self, error):
        found, error_type = told(failure_told(raw(error)))
        assert isinstance(found["message"], str)
        assert error_type
