import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import ApiError
from fairlead.wire.errors import error_body, error_event, read_provider_error


def said(value):
    """What is read of an error body: message, code, param."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    error = read_provider_error(body)
    return error.message, error.code, error.param


class TestOurs:
    def test_body(self):
        error = ApiError(400, "'model' is wrong", param="model", metadata={"provider_name": "Acme"})
        assert json.loads(error_body(error)) == {
            "error": {
                "message": "'model' is wrong",
                "type": "invalid_request_error",
                "param": "model",
                "code": 400,
                "metadata": {"error_type": "invalid_request", "provider_name": "Acme"},
            }
        }

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (402, "insufficient_quota"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (413, "invalid_request_error"),
            (422, "invalid_request_error"),
            (429, "rate_limit_error"),
            (500, "server_error"),
            (502, "server_error"),
            (503, "server_error"),
        ],
    )
    def test_type_is_openais(self, status, kind):
        error = json.loads(error_body(ApiError(status, "no", error_type="server")))["error"]
        assert (error["type"], error["code"], error["param"]) == (kind, status, None)
        assert error["metadata"] == {"error_type": "server"}

    def test_event_that_ends_a_stream(self):
        event = error_event(
            ApiError(502, "broke\n\noff", error_type="provider_unavailable"),
            generation_id="gen-1", model="acme/large", provider="Acme", created=5,
        )  # fmt: skip
        assert event.startswith(b"data: {")
        assert event.endswith(b"}\n\n")
        assert event.count(b"\n") == 2
        chunk = json.loads(event.removeprefix(b"data: "))
        assert chunk.pop("error")["code"] == 502
        assert chunk == {
            "id": "gen-1",
            "object": "chat.completion.chunk",
            "created": 5,
            "model": "acme/large",
            "provider": "Acme",
            "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": None}],
        }


class TestProviders:
    @pytest.mark.parametrize(
        ("body", "message", "code", "param"),
        [
            ({"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}, "m", "c", "p"),  # OpenAI
            ({"error": {"message": "m", "type": "t", "param": None, "code": None}}, "m", "t", None),
            ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, "m", "overloaded_error", None),
            ([{"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}], "m", "INVALID_ARGUMENT", None),
            ({"error": {"code": 429, "message": "m", "metadata": {"raw": "x"}}}, "m", "429", None),  # OpenRouter
            ({"object": "error", "message": "m", "type": "invalid_model", "code": "1500"}, "m", "1500", None),
            ({"code": "invalid argument", "error": "m"}, "m", "invalid argument", None),  # xAI
            ({"error": "m"}, "m", "", None),
            ({"error": None, "message": "m"}, "m", "", None),
            ({"message": "m"}, "m", "", None),
            ({"detail": "m"}, "m", "", None),  # FastAPI
            ({"error": {"message": None, "detail": "m"}}, "m", "", None),
            ({"error": {"message": "m", "code": ["c"], "param": 5}}, "m", "", None),
            (b"upstream connect error", "upstream connect error", "", None),
        ],
    )
    def test_shapes(self, body, message, code, param):
        assert said(body) == (message, code, param)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html><body>502 Bad Gateway</body></html>",
            b"  <!DOCTYPE html>",
            {},
            [],
            [5],
            5,
            None,
            "text",
            {"error": 5},
            {"error": {}},
            {"error": {"message": 5}},
            {"error": {"message": {"a": 1}}},
        ],
    )
    def test_nothing_said(self, body):
        assert said(body) == ("", "", None)

    def test_lists_of_faults_are_told_without_what_the_caller_sent(self):
        fault = {"type": "missing", "loc": ["body", "messages", 0], "msg": "Field required", "input": {"x": "a secret"}}
        assert said({"detail": [fault]}) == ("Field required (body.messages.0)", "", None)
        mistral = {"object": "error", "message": {"detail": [fault, {**fault, "loc": None}]}, "type": "invalid"}
        assert said(mistral) == ("Field required (body.messages.0); Field required", "invalid", None)

    def test_what_is_passed_on_is_bounded(self):
        message, code, param = said({"error": {"message": "m" * 10_000, "code": "c" * 10_000, "param": "p" * 10_000}})
        assert (len(message), len(code), len(param)) == (2000, 100, 100)
        assert len(said(b"x" * 65_536)[0]) == 2000
        faults = [{"msg": "m" * 1000, "loc": ["x" * 1000]}] * 100
        assert len(said({"detail": faults})[0]) == 2000

    def test_nesting(self):
        nested = b'{"message":' * 400 + b'"m"' + b"}" * 400
        assert said(nested) == ("", "", None)
        assert said(b"[" * 50_000)[1:] == ("", None)

    @given(st.binary(max_size=100))
    def test_noise(self, body):
        message, _, _ = said(body)
        message.encode()
        said(b'{"error":' + body + b"}")

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["error", "message", "detail", "msg", "loc", "code", "type", "status", "param"]),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=10,
        )
    )
    def test_any_shape(self, value):
        message, code, param = said(value)
        assert isinstance(message, str)
        assert isinstance(code, str)
        assert param is None or isinstance(param, str)
