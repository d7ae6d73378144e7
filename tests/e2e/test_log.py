"""The log, as a machine reads it."""

import hashlib
import json

import pytest

from .conftest import CLIENT_KEY


def test_every_line_is_json(shared, caller, model):
    caller.chat(model)
    assert all(json.loads(line)["event"] for line in shared.lines[shared.summary_ends :] if line)


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_request_is_one_line(shared, solo, caller, model, is_stream):
    answer = caller.chat(model, stream=is_stream)
    line = shared.request(answer.headers["x-generation-id"])
    [request] = solo.requests
    assert request.header("x-request-id") == line["request_id"] == answer.headers["x-request-id"]
    assert (line["event"], line["status"], line["end"]) == ("request", 200, "ok")
    assert (line["model"], line["provider"], line["stream"]) == (model, "solo", is_stream)
    [attempt] = line["attempts"]
    assert (attempt["provider"], attempt["verdict"], attempt["status"]) == ("solo", "ok", 200)
    assert 0 < line["ttft_s"] <= line["duration_s"]
    assert line["key"] == hashlib.sha256(CLIENT_KEY.encode()).hexdigest()[:12]
    assert line["prompt_tokens"] > 0
    assert line["completion_tokens"] > 0
    assert line["cost_usd"] == pytest.approx((line["prompt_tokens"] * 1 + line["completion_tokens"] * 2) / 1e6)
    assert sum(answer.headers["x-generation-id"] in each for each in shared.lines) == 1


def test_every_attempt_is_told(shared, upstreams, caller, new_model):
    for upstream in upstreams.values():
        upstream.does(status=500)
    line = shared.request(caller.chat(new_model("twin")).headers["x-generation-id"])
    assert (line["status"], line["end"], line["provider"]) == (502, "error", "")
    assert sorted((a["provider"], a["verdict"], a["status"]) for a in line["attempts"]) == [
        ("first", "transient", 500),
        ("second", "transient", 500),
    ]


REFUSED = [({}, "sk-nobody", 401), ({"model": "none/such"}, None, 400), ({"model": 5}, None, 400)]


@pytest.mark.parametrize(("members", "key", "status"), REFUSED)
def test_refusals_are_told_too(shared, caller, model, members, key, status):
    answer = caller.chat(**{"model": model, **members}, key=key)
    line = shared.request(answer.headers["x-generation-id"])
    assert (answer.status, line["status"], line["end"], line["attempts"]) == (status, status, "error", [])
    assert line["error"] == answer.json["error"]["message"]


def test_a_name_without_end_does_not_fill_it(shared, caller):
    answer = caller.chat("x" * 1_000_000)
    line = shared.request(answer.headers["x-generation-id"])
    assert answer.status == 400
    assert len(line["model"]) < 1000
    assert len(answer.body) < 1000


def test_a_cut_stream_is_told(shared, solo, caller, model):
    solo.does(cut_after=2)
    answer = caller.chat(model, stream=True)
    line = shared.request(answer.headers["x-generation-id"])
    assert (line["status"], line["end"], line["attempts"][0]["verdict"]) == (200, "cut", "cut")
