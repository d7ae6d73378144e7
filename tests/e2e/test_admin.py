"""The live view: any worker tells what all of them know, changes are told as they happen."""

import contextlib
import json
import os
import re
import signal

import pytest

from fairlead.cli.gateway import read_events
from harness.process import GatewayProcess, until

from .caller import Caller, callers_of_each_worker
from .conftest import provider

KEY = "sk-e2e-admin-5d2c11"
ENDPOINTS, EVENTS = "/admin/v1/endpoints", "/admin/v1/events"
MODELS = [f"acme/m{n}" for n in range(9)]
ALONE = "alone/large"
"""Served by `bad` only, so that it goes on being asked however it fails."""


@pytest.fixture(scope="module")
def labs(simulators):
    return {name: simulators.start() for name in ("bad", "good")}


@pytest.fixture(scope="module")
def gateway(labs, tmp_path_factory):
    """Two providers of every model. Who is ejected stays so for longer than any test takes."""
    env = {
        "FAIRLEAD_WORKERS": "2",
        "FAIRLEAD_API_KEYS": KEY,
        "FAIRLEAD_LOG_FORMAT": "json",
        "FAIRLEAD_PROBE_MIN_S": "60",
        "FAIRLEAD_PROBE_MAX_S": "60",
    }
    for name, lab in labs.items():
        env |= provider(name, lab, models=",".join([*MODELS, ALONE] if name == "bad" else MODELS))
    with GatewayProcess(tmp_path_factory.mktemp("admin"), env) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def as_new(labs):
    yield
    for lab in labs.values():
        lab.reset()


_models = iter(MODELS)


@pytest.fixture
def model():
    return next(_models)


def row(caller, gateway, model, slug):
    answer = caller.get(ENDPOINTS, key=gateway.admin_key)
    assert answer.status == 200
    (found,) = [row for row in answer.json["endpoints"] if row["id"] == f"{slug}:{model}"]
    return found


def test_any_worker_tells_what_all_of_them_know(gateway, labs, model):
    with callers_of_each_worker(gateway, KEY, model) as callers:
        asking, looking = callers.values()
        assert all(row(looking, gateway, MODELS[-1], slug)["unknown"] for slug in labs)
        for _ in range(20):
            assert asking.chat(model, stream=True).status == 200
        labs["good"].does(text="one two three", stall_after=2)
        labs["bad"].does(text="one two three", stall_after=2)
        asking.ask_chat(model, stream=True)
        until(lambda: sum(row(looking, gateway, model, slug)["in_flight"] for slug in labs) >= 0.9)
        rows = [row(looking, gateway, model, slug) for slug in labs]
        assert sum(row["share"] or 0 for row in rows) == pytest.approx(1.0)
        assert sum(row["attempts_per_s"] for row in rows) > 0.1
        known = [row for row in rows if not row["unknown"]]
        assert {row["state"] for row in known} == {"healthy"}
        until(lambda: any(row(looking, gateway, model, slug)["first_token_ms"]["p95"] for slug in labs))


def test_an_ejection_is_seen_everywhere(gateway, labs):
    model = ALONE
    with callers_of_each_worker(gateway, KEY, model) as callers, contextlib.ExitStack() as stack:
        listening = [stack.enter_context(Caller(gateway, KEY)) for _ in range(2)]
        streams = [caller.send_get(EVENTS, key=gateway.admin_key) for caller in listening]
        assert {stream.status for stream in streams} == {200}
        labs["bad"].does(status=500)
        for caller in (*callers.values(), *callers.values(), *callers.values()):
            assert caller.chat(model).status == 502

        for stream in streams:
            kind, told = next(event for event in read_events(stream) if event[1]["model"] == model)
            assert kind == told["kind"] == "ejected"
            assert (told["endpoint"], told["provider"]) == (f"bad:{model}", "bad")
            assert told["why"] in ("failures in a row", "share of failures")
            assert 60 <= told["seconds"] <= 73

        for caller in callers.values():
            until(lambda caller=caller: row(caller, gateway, model, "bad")["state"] == "ejected")
            found = row(caller, gateway, model, "bad")
            assert found["reason"] == told["why"]
            assert 20 < found["seconds_left"] <= told["seconds"]
            assert found["last_ejection"]["why"] == told["why"]
            assert found["last_ejection"]["seconds_ago"] < 40
            assert found["level"] == 1
            assert row(caller, gateway, MODELS[-1], "bad")["state"] == "healthy"
            (bad,) = [
                p for p in caller.get(ENDPOINTS, key=gateway.admin_key).json["providers"] if p["provider"] == "bad"
            ]
            assert bad["out"] >= 1
            assert bad["error_share"] > 0

        gateway.env["FAIRLEAD_PORT"] = str(gateway.port)
        lines = gateway.run("top", "--once", "--model", model).splitlines()
        (line,) = [line for line in lines if line.split()[:2] == [model, "bad"]]
        assert re.search(rf" ejected \d+s .* \d\S+ ago: {told['why']}$", line)
        assert json.loads(gateway.run("top", "--json", "--model", model))["endpoints"]


def test_an_account_that_is_refused_takes_all_its_endpoints_out(gateway, labs, model):
    labs["bad"].does(status=401)
    with Caller(gateway, KEY) as caller:
        for slug in labs:
            assert row(caller, gateway, model, slug)["state"] == "healthy"
        listening = Caller(gateway, KEY)
        with listening:
            stream = listening.send_get(EVENTS, key=gateway.admin_key)
            until(lambda: (caller.chat(model), row(caller, gateway, model, "bad")["state"] == "cooling")[1])
            kind, told = next(event for event in read_events(stream) if event[1]["endpoint"] == "@bad")
        assert (kind, told["why"], told["model"]) == ("cooling", "auth", None)
        for each in (model, MODELS[-1]):
            found = row(caller, gateway, each, "bad")
            assert (found["state"], found["reason"]) == ("cooling", "its account: auth")


def test_without_the_store_a_worker_tells_what_it_knows_and_says_so(gateway, labs, model):
    with Caller(gateway, KEY) as caller:
        assert caller.chat(model).status == 200
        until(lambda: not all(row(caller, gateway, model, slug)["unknown"] for slug in labs))
        assert caller.get(ENDPOINTS, key=gateway.admin_key).json["store"] == "ok"
        os.kill(gateway.store_pid(), signal.SIGSTOP)
        try:
            until(lambda: caller.get(ENDPOINTS, key=gateway.admin_key).json["store"] == "away")
            assert not all(row(caller, gateway, model, slug)["unknown"] for slug in labs)
        finally:
            os.kill(gateway.store_pid(), signal.SIGCONT)
        until(lambda: caller.get(ENDPOINTS, key=gateway.admin_key).json["store"] == "ok")


@pytest.mark.parametrize("path", [ENDPOINTS, EVENTS])
def test_nobody_else_gets_in(gateway, path):
    with Caller(gateway, KEY) as caller:
        for key, status in ((None, 401), (KEY, 403), (gateway.admin_key[:-1], 401)):
            answer = caller.get(path, key=key)
            assert answer.status == status
            assert "send the admin key" in answer.json["error"]["message"]
            assert gateway.admin_key.encode() not in answer.body


def test_the_admin_key_is_no_inference_key(gateway, model):
    with Caller(gateway, KEY) as caller:
        assert caller.chat(model, key=gateway.admin_key).status == 401


def test_after_a_reload_the_same_key_opens_and_open_streams_have_ended(gateway):
    before = gateway.workers()
    heard = len(gateway.lines)
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(Caller(gateway, KEY)) for _ in range(4)]
        streams = [caller.send_get(EVENTS, key=gateway.admin_key) for caller in listening]
        gateway.signal(signal.SIGHUP)
        gateway.expect("reloaded, 2 workers exchanged", after=heard)
        for stream in streams:
            assert [*read_events(stream)][-1] == ("end", {"why": "this worker is leaving"})
        until(lambda: len(gateway.workers()) == 2)
        assert not set(before) & set(gateway.workers())
        with Caller(gateway, KEY) as caller:
            assert caller.get(ENDPOINTS, key=gateway.admin_key).status == 200


def test_a_listener_does_not_hold_up_the_end(new_gateway, labs):
    env = {
        "FAIRLEAD_WORKERS": "1",
        "FAIRLEAD_ADMIN_KEY": "sk-e2e-own-admin-key-77",
        "FAIRLEAD_DRAIN_TIMEOUT_S": "3600",
        **provider("bad", labs["bad"], models="acme/large"),
    }
    gateway = new_gateway(env).start()
    with Caller(gateway, KEY) as caller:
        stream = caller.send_get(EVENTS, key=env["FAIRLEAD_ADMIN_KEY"])
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0
        assert stream.read().endswith(b'event: end\ndata: {"why":"this worker is leaving"}\n\n')
