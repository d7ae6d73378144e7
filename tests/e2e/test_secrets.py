"""No key is ever shown: not the callers', not the providers'.

What all gateways of these tests printed is looked through at the end of each.
"""

import json
import os
import signal

import pytest
from redis import Redis

from fairlead.access.keys import generate
from harness.process import GatewayProcess, children, command_line, until
from harness.valkey import Valkey, free_port

from .caller import HELLO, Caller
from .conftest import provider


def error_of(message):
    return {"body": json.dumps({"error": {"message": message}}).encode()}


UPSTREAM_KEY = "sk-e2e-upstream-of-solo"
FATES = [
    {"status": 401, **error_of(f"Incorrect API key provided: {UPSTREAM_KEY}")},
    {"status": 403, **error_of(f"{UPSTREAM_KEY} may not do this")},
    {"status": 402, **error_of(f"The account of {UPSTREAM_KEY} is empty")},
    {"status": 400, **error_of(f"A word about {UPSTREAM_KEY}")},
    {"status": 422, "body": json.dumps({"detail": [{"msg": f"what is {UPSTREAM_KEY}"}]}).encode()},
    {"status": 429, **error_of(f"{UPSTREAM_KEY} asks too often")},
    {"status": 500, "body": f"Bearer {UPSTREAM_KEY} made us fail".encode()},
    {"status": 503, **error_of(f"{UPSTREAM_KEY} " * 1000)},
]


@pytest.mark.parametrize("fate", FATES, ids=lambda fate: str(fate["status"]))
def test_a_provider_that_repeats_our_key(shared, solo, caller, model, fate):
    solo.does(**fate)
    answer = caller.chat(model)
    assert answer.status >= 400
    shared.request(answer.headers["x-generation-id"])
    for secret in shared.secrets:
        assert secret.encode() not in answer.body
    shared.check_secrets()


def test_keys_of_callers(shared, solo, caller, model):
    unknown = generate()
    shared.secrets.add(unknown)
    for key in (unknown, unknown[:-1], f"{unknown}x"):
        answer = caller.chat(model, key=key)
        assert answer.status == 401
        assert key.encode() not in answer.body
        shared.request(answer.headers["x-generation-id"])
    assert not solo.requests
    shared.check_secrets()


def test_the_configuration_is_shown_without_them(rough):
    shown = rough.run("check") + rough.run("check", "--json") + rough.run("keys", "list") + rough.run("models")
    assert "FAIRLEAD_PROVIDERS__LAB__API_KEY" in shown
    for secret in rough.secrets:
        assert secret not in shown


# One gateway with a credential of every kind

CLIENT, ADMIN = "sk-e2e-laden-client-5a01c7", "sk-e2e-laden-admin-c8e2940b17"
HEADER, HOOK, SIGNS = "team-e2e-credential-51c0", "hook-e2e-token-77aa31", "webhook-e2e-secret-0d2f"
STORE, PROXY = "redis-e2e-password-9b1e", "proxy-e2e-password-33f8"
TRACES, COLLECTOR = "traces-e2e-token-62d1", "collector-e2e-password-b04a"
SECRETS = {
    CLIENT,
    ADMIN,
    HEADER,
    HOOK,
    SIGNS,
    STORE,
    PROXY,
    TRACES,
    COLLECTOR,
    "sk-e2e-upstream-of-near",
    "sk-e2e-upstream-of-far",
}


@pytest.fixture(scope="module")
def near(simulators):
    return simulators.start()


@pytest.fixture(scope="module")
def far():
    """A provider of which there is only the base URL; the proxy on the way there does not listen."""

    class Far:
        base_url = "https://far.invalid/v1"

    return Far


@pytest.fixture(scope="module")
def store():
    server = Valkey(port=free_port(), requirepass=STORE).start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def laden(near, far, store, tmp_path_factory):
    env = {
        "FAIRLEAD_WORKERS": "1",
        "FAIRLEAD_LOG_FORMAT": "json",
        "FAIRLEAD_LOG_LEVEL": "debug",
        "FAIRLEAD_API_KEYS": CLIENT,
        "FAIRLEAD_ADMIN_KEY": ADMIN,
        "FAIRLEAD_REDIS_URL": f"redis://:{STORE}@127.0.0.1:{store.port}",
        "FAIRLEAD_BUDGET_DAILY_USD": "1",
        "FAIRLEAD_ALERT_WEBHOOK_URL": f"http://127.0.0.1:1/hook?token={HOOK}",
        "FAIRLEAD_ALERT_WEBHOOK_SECRET": SIGNS,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://operator:{COLLECTOR}@127.0.0.1:1/",
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={TRACES},authorization=Bearer%20{TRACES}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "0.5",
        "HTTPS_PROXY": f"http://operator:{PROXY}@127.0.0.1:1",
        "PYTHONFAULTHANDLER": "1",  # as an operator may set it: a process that dies tells where each thread was
        **provider("near", near, models="near/m,near/dear", price_prompt=1, price_completion=1),
        **provider("far", far, models="far/m", price_prompt=1, price_completion=1),
        "FAIRLEAD_PROVIDERS__NEAR__HEADERS__X_TEAM": HEADER,
    }
    with GatewayProcess(tmp_path_factory.mktemp("laden"), env, secrets=SECRETS) as gateway:
        yield gateway


@pytest.fixture
def asker(laden, near):
    near.reset()
    with Caller(laden, CLIENT) as caller:
        yield caller
    near.reset()
    laden.check_secrets()


def shows_none(text):
    assert text
    text = text.decode() if isinstance(text, bytes) else text
    assert not [secret for secret in SECRETS if secret in text]


def test_they_are_sent_where_they_belong(asker, near):
    assert asker.chat("near/m").status == 200
    [request] = near.asked("/chat/completions")
    assert request.header("authorization") == "Bearer sk-e2e-upstream-of-near"
    assert request.header("x-team") == HEADER


def test_a_provider_that_repeats_all_that_it_was_sent(asker, near, laden):
    near.does(status=401, **error_of(f"no {HEADER} with sk-e2e-upstream-of-near"), headers=(("x-echo", HEADER),))
    answer = asker.chat("near/m")
    assert answer.status == 502
    shows_none(answer.body)
    shows_none(json.dumps(answer.headers))
    laden.request(answer.headers["x-generation-id"])


def test_a_proxy_that_is_away(asker, laden):
    answer = asker.chat("far/m")
    assert answer.status == 502
    shows_none(answer.body)
    laden.request(answer.headers["x-generation-id"])


def test_a_collector_that_is_away(asker, laden):
    asker.chat("near/m")
    laden.expect("traces are dropped")


@pytest.mark.parametrize(
    "path",
    ["/readyz?verbose", "/metrics", "/v1/models", "/v1/providers", "/v1/key", "/v1/keys", "/v1/credits", "/v1/activity",
     "/admin/v1/endpoints", "/nowhere"],
)  # fmt: skip
def test_whatever_is_looked_at(asker, path):
    for key in (None, CLIENT, ADMIN, f"{ADMIN}x"):
        shows_none(asker.get(path, key=key).body)


def test_commands(asker, laden):
    body = laden.directory / "body.json"
    body.write_text(json.dumps({"model": "near/m", "messages": HELLO}))
    generation = asker.chat("near/m").headers["x-generation-id"]
    laden.env["FAIRLEAD_PORT"] = str(laden.port)  # by which commands find it
    laden.request(generation)
    for line in ("check", "check --json", "keys list", "usage"):
        shows_none(laden.run(*line.split()) or "nothing")
    for request in (str(body), generation):
        shows_none(laden.run("explain", request))


def test_arguments_of_processes(laden):
    for pid in (laden.pid, *children(laden.pid)):
        shows_none(command_line(pid))


def test_the_ledger_has_a_client_key_only_as_its_hash(asker, laden, store):
    asker.chat("near/m")
    with Redis(port=store.port, password=STORE) as client:
        until(lambda: client.xlen("fl:1:{money}:ledger"))
        names = client.keys()
        stored = b"".join(client.dump(name) for name in names)
        listed = repr([client.xrange("fl:1:{money}:ledger"), names])
    shows_none(listed)
    assert not [secret for secret in SECRETS if secret.encode() in stored]


def test_a_worker_that_crashes_tells_where_and_no_more(laden):
    heard = len(laden.lines)
    [worker] = laden.workers()
    os.kill(worker, signal.SIGABRT)
    laden.expect("Fatal Python error: Aborted", after=heard)
    laden.expect("died (signal 6), starting another", after=heard)
    until(lambda: worker not in laden.workers() and laden.workers())
    laden.check_secrets()


def test_an_alert(laden, near):
    near.does(usage={"prompt_tokens": 1, "completion_tokens": 2_000_000, "total_tokens": 2_000_001})
    heard = len(laden.lines)
    with Caller(laden, CLIENT) as caller:
        until(lambda: caller.chat("near/dear").status == 403)
    laden.expect("spend alert", after=heard)
    laden.check_secrets()


def test_a_store_that_goes_away_and_comes_back_with_another_password(laden, store):
    """The last of this gateway."""
    heard = len(laden.lines)
    store.kill()
    laden.expect("health store away", after=heard)
    store.settings["requirepass"] = "another-e2e-password"
    store.start()
    unknown = generate()
    laden.secrets.add(unknown)
    with Caller(laden, CLIENT) as caller:
        answer = caller.chat("near/m", key=unknown)
        assert answer.status == 503
        shows_none(answer.body)
        assert caller.get("/readyz?verbose").json["store"] == "away"
    laden.request(answer.headers["x-generation-id"])
    laden.check_secrets()
