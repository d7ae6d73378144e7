"""What it prints where there is no terminal; the live view is in `test_watch.py`."""

import json

import pytest

from .test_gateway import answering, reply
from .test_screen import EJECTED, row, view

KEY = "sk-0123456789abcdef"
FOUND = reply(200, json.dumps(view(row(), EJECTED, row(model="other/one"))).encode())


@pytest.fixture
def top(fairlead):
    """Run it with the admin key in the environment, against a gateway that gives one answer."""

    def run(*arguments, answer=FOUND, **variables):
        with answering(answer) as (port, asked):
            done = fairlead("top", *arguments, **{"FAIRLEAD_ADMIN_KEY": KEY, "FAIRLEAD_PORT": str(port), **variables})
        return done, asked[0]

    return run


@pytest.mark.parametrize("arguments", [[], ["--once"]])
def test_without_a_terminal_it_prints_once(top, arguments):
    done, asked = top(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert asked.startswith(b"GET /admin/v1/endpoints?active=1 ")
    assert f"\r\nauthorization: Bearer {KEY}\r\n".encode() in asked
    lines = done.stdout.splitlines()
    assert lines[0].endswith("2 of 3 endpoints healthy   9.4 attempts/s")
    assert [line.split()[0] for line in lines[3:]] == ["acme/large", "acme/large", "other/one"]
    assert lines[3].split()[1] == "bad"
    assert "\x1b" not in done.stdout


def test_the_key_is_found_where_the_gateway_keeps_it(top, tmp_path):
    key = "sk-fl-admin-v1-" + "0f" * 32
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "admin.key").write_text(f"{key}\n")
    done, asked = top(FAIRLEAD_ADMIN_KEY="")
    assert done.returncode == 0
    assert f"Bearer {key}\r\n".encode() in asked


def test_no_key_is_2_and_names_the_remedy(fairlead):
    done = fairlead("top")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fairlead: no admin key: there is no ")
    assert "set FAIRLEAD_ADMIN_KEY, or start fairlead" in done.stderr


def test_json_is_the_answer_of_the_api(top):
    done, asked = top("--json", "--model", "ACME")
    assert asked.startswith(b"GET /admin/v1/endpoints ")
    assert json.loads(done.stdout) == view(row(), EJECTED)


def test_all_asks_for_those_never_used_too(top):
    _, asked = top("--all")
    assert asked.startswith(b"GET /admin/v1/endpoints ")


def test_colour_can_be_forced(top):
    done, _ = top(FORCE_COLOR="1")
    assert "\x1b[31macme/large  bad" in done.stdout


def test_a_refusal_is_told_as_it_came(top):
    body = json.dumps({"error": {"message": "This is not the admin key: send it"}}).encode()
    done, _ = top(answer=reply(401, body))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("answered 401: This is not the admin key: send it\n")
    assert KEY not in done.stderr


def test_nobody_there(fairlead):
    done = fairlead("top", FAIRLEAD_ADMIN_KEY=KEY, FAIRLEAD_PORT="1")
    assert done.returncode == 1
    assert "fairlead: no answer from http://127.0.0.1:1/admin/v1/endpoints?active=1: " in done.stderr
