"""What is found in what processes show, and what becomes of the session then."""

import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.access.keys import DEMO_KEY, from_token, generate
from harness import shown

TESTS = Path(__file__).parents[1]
KEY = "sk-" + "some-provider-0123"


@pytest.fixture
def places(monkeypatch):
    """What is noted in a test is none of the session's."""
    noted = []
    monkeypatch.setattr(shown, "places", noted)
    return noted


@pytest.mark.parametrize(
    "text", [KEY, f"Bearer {KEY}", f'{{"k":"{KEY}"}}', f"key={KEY}&x", f"\x00{KEY}\r\n", f"{KEY}."]
)
def test_a_key_is_found_wherever_it_stands(places, text):
    shown.look_through("here", text.encode())
    [place] = places
    assert place.startswith("here: ")
    assert KEY not in place


@pytest.mark.parametrize("key", [generate(), "sk-fl-admin-v1-" + "0f" * 32, "sk-or-v1-" + "0f" * 32], ids=range(3))
def test_each_form_of_key(places, key):
    shown.look_through("here", f"x {key} y")
    assert len(places) == 1


@pytest.mark.parametrize(
    "text", ["task-management-is", "sk-…wxyz", "sk-test", "sk-", DEMO_KEY, from_token(KEY, "n").label]
)
def test_what_is_no_key(places, text):
    for written in (text, text.encode("unicode_escape").decode()):
        shown.look_through("here", written)
    assert places == []


def test_a_label_is_the_beginning_of_a_key(places):
    shown.look_through("here", f"{from_token(generate(), 'n').label} {KEY[:-1]}…")
    assert places == []


def test_credentials_of_another_form_are_those_of_the_process(places):
    environment = {
        "LAB_API_KEY": "correct-horse-battery",
        "FAIRLEAD_API_KEYS": f"{KEY},another-client-key",
        "FAIRLEAD_PROVIDERS__LAB__HEADERS__X_TEAM": "team-credential",
        "FAIRLEAD_REDIS_URL": "redis://operator:pass%2Fword-of-redis@127.0.0.1:1/0",
        "FAIRLEAD_ALERT_WEBHOOK_SECRET": "shortone",
        "FAIRLEAD_DATA_DIR": "somewhere/else",
    }
    secrets = shown.credentials(environment)
    assert secrets == {"correct-horse-battery", "another-client-key", "team-credential", "pass/word-of-redis"}
    shown.look_through("here", "cannot log in with pass/word-of-redis", secrets)
    assert len(places) == 1


def test_a_summary_tells_new_keys_once(places):
    key = generate()
    summary = f"  key  {key}   (new; shown only this once)\n  curl -H 'authorization: Bearer {key}'\n    -d '{{}}'\n"
    shown.look_through_output("output", summary)
    assert places == []
    shown.look_through_output("output", f"{summary}later: {key}")
    assert len(places) == 1


def test_the_store_may_not_have_it_and_the_file_of_the_admin_key_may(places, tmp_path):
    (tmp_path / "admin.key").write_text(KEY)
    (tmp_path / "store" / "appendonlydir").mkdir(parents=True)
    shown.look_through_files(tmp_path)
    assert places == []
    (tmp_path / "store" / "appendonlydir" / "a.aof").write_bytes(b"\xff\x00SET\r\n" + KEY.encode())
    shown.look_through_files(tmp_path)
    assert len(places) == 1
    assert "a.aof" in places[0]


@pytest.mark.parametrize(("body", "code"), [(f"no such key: {KEY}", 1), ("no such key", 0)])
def test_the_session_fails_and_tells_the_place(tmp_path, body, code):
    (tmp_path / "conftest.py").write_text("from harness.shown import pytest_sessionfinish, pytest_terminal_summary\n")
    (tmp_path / "test_it.py").write_text(
        f"from harness import shown\ndef test_it():\n    shown.look_through_answer('POST /v1/x', 401, {body!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        env={"PYTHONPATH": f"{TESTS}:{TESTS.parent / 'src'}", "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert ("POST /v1/x, status 401" in done.stdout) is bool(code)
    assert KEY not in done.stdout
