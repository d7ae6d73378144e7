import json

import pytest

from .test_gateway import answering, reply

KEY = "sk-0123456789abcdef"
TERMS = {"score": -0.5, "seconds": 0.61, "price": -0.7, "weight": 0.0, "load": 0.01, "draw": 0.2}
PLAN = {
    "requested": ["acme/large"],
    "model": "acme/large",
    "is_panic": False,
    "error": None,
    "candidates": [
        {"place": 1, "endpoint": "one:acme/large", "share": 0.87, "comes_first_as": "look", "terms": TERMS},
        {"place": 2, "endpoint": "two:acme/large", "share": 0.13, "comes_first_as": None, "terms": None},
    ],
    "skipped": [{"endpoint": "three:acme/large", "reason": "'provider.ignore' names it"}],
}
PAST = {
    "id": "gen-18-aa",
    "requested": "acme/large",
    "provider": "two",
    "end": "ok",
    "candidates": [{"place": 1, "endpoint": "one:acme/large", "score": 0.1, "expected_s": 0.5, "comes_first_as": None}],
    "skipped": [],
    "attempts": [{"provider": "one", "status": 0, "verdict": "timeout", "duration_ms": 900}],
}


@pytest.fixture
def explain(fairlead, tmp_path):
    (tmp_path / "request.json").write_bytes(b'{"model":"acme/large","messages":[]}')

    def run(*arguments, answer, status=200):
        with answering(reply(status, json.dumps(answer).encode())) as (port, asked):
            done = fairlead("explain", *arguments, FAIRLEAD_ADMIN_KEY=KEY, FAIRLEAD_PORT=str(port))
        return done, asked[0]

    return run


def test_a_request_in_a_file(explain, tmp_path):
    done, asked = explain(str(tmp_path / "request.json"), answer=PLAN)
    assert (done.returncode, done.stderr) == (0, "")
    assert asked.startswith(b"POST /admin/v1/explain ")
    assert asked.endswith(b'{"model":"acme/large","messages":[]}')
    lines = done.stdout.splitlines()
    assert lines[0] == "acme/large: asked in this order"
    assert lines[3].split() == ["1", "one:acme/large", "87%", "-0.500", "0.610", "-0.700", "+0.000", "+0.010", "look"]
    assert lines[4].split()[:3] == ["2", "two:acme/large", "13%"]
    assert lines[-1].split(maxsplit=1) == ["three:acme/large", "'provider.ignore' names it"]


def test_a_name_that_a_caller_made_up_does_not_speak_to_the_terminal(explain):
    done, _ = explain("gen-18-aa", answer={**PAST, "requested": "\x1b[2Jacme\n/\x9b31mlarge"})
    assert done.stdout.splitlines()[0] == "gen-18-aa: ?[2Jacme?/?31mlarge was answered by two (ok)"


def test_a_request_that_has_been(explain):
    done, asked = explain("gen-18-aa", answer=PAST)
    assert asked.startswith(b"GET /admin/v1/explain/gen-18-aa ")
    assert done.stdout.splitlines()[0] == "gen-18-aa: acme/large was answered by two (ok)"
    assert done.stdout.splitlines()[-1].split() == ["one", "timeout", "-", "900", "ms"]


def test_as_another_key_would_fare(explain, tmp_path):
    done, asked = explain(str(tmp_path / "request.json"), "--key", "abc", "--json", answer=PLAN)
    assert asked.startswith(b"POST /admin/v1/explain?key=abc ")
    assert json.loads(done.stdout) == PLAN


def test_a_refusal_is_what_the_caller_would_get(explain, tmp_path):
    refusal = {**PLAN, "error": {"code": 404, "message": "No endpoints found"}, "candidates": [], "skipped": []}
    done, _ = explain(str(tmp_path / "request.json"), answer=refusal)
    assert done.stdout == "Refused with 404: No endpoints found\n"


def test_a_file_that_is_not_there(fairlead):
    done = fairlead("explain", "nowhere.json", FAIRLEAD_ADMIN_KEY=KEY)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nowhere.json cannot be read: No such file or directory" in done.stderr
