"""No key is ever shown: not the callers', not the providers'.

What all gateways of these tests printed is looked through at the end of each.
"""

import json

import pytest

from fairlead.access.keys import generate


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
