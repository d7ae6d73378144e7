import contextlib
import json
import os
import pty
import subprocess

import pytest

from harness.command import COMMAND, LIMIT_S, clean_environ

OPERATOR = {
    f"FAIRLEAD_PROVIDERS__{name}__{member}": text
    for name in ("ALPHA", "BETA")
    for member, text in {
        "BASE_URL": f"https://{name.lower()}.invalid/v1",
        "API_KEY": f"sk-real-{name.lower()}-0123456789",
        "MODELS": "lab/one",
    }.items()
}
FEW = ("--fast", "--only", "connection refused", "--only", "stall in mid", "--only", "402")


def test_a_configuration_that_stands_it(fairlead, tmp_path):
    done = fairlead("drill", *FEW, FAIRLEAD_REDIS_URL="redis://127.0.0.1:9/0", **OPERATOR)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["402", "ok", "ok", "ok", "ok"] in rows
    assert ["stall", "in", "mid-stream", "ok", "ok", "ok", "ok"] in rows
    assert "12 of 12 passed" in done.stdout
    assert "\x1b" not in done.stdout
    assert "sk-real" not in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_configuration_that_does_not_is_told_what_to_set(fairlead):
    done = fairlead("drill", "--json", "--only", "402", FAIRLEAD_MAX_ATTEMPTS="1", **OPERATOR)
    assert (done.returncode, done.stderr) == (1, "")
    card = json.loads(done.stdout)
    failed = {row["way"]: row for row in card["rows"] if not row["passed"]}
    assert failed.keys() == {"stream", "plain"}
    assert all("FAIRLEAD_MAX_ATTEMPTS" in row["set"] for row in failed.values())
    assert {"what": "status", "expected": "200", "seen": "502"} in failed["plain"]["wrong"]


def test_one_provider_leaves_nobody_to_go_on_with(fairlead):
    alpha = {name: text for name, text in OPERATOR.items() if "ALPHA" in name}
    done = fairlead("drill", "--only", "402", **alpha)
    assert done.returncode == 1
    assert "set: the key of a second provider" in done.stdout
    assert "2 of 2 passed" in done.stdout


def test_dotenv_is_read_as_serve_does(fairlead, tmp_path):
    (tmp_path / ".env").write_text("\n".join(f"{name}={text}" for name, text in OPERATOR.items()), encoding="utf-8")
    done = fairlead("drill", "--only", "model gone")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("variables", "said"),
    [({}, "no provider gets traffic"), ({**OPERATOR, "FAIRLEAD_PORT": "x"}, "FAIRLEAD_PORT")],
)
def test_a_wrong_configuration_ends_with_2(fairlead, variables, said):
    done = fairlead("drill", **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_fault_that_there_is_not_is_wrong_usage(fairlead):
    done = fairlead("drill", "--only", "earthquake", **OPERATOR)
    assert done.returncode == 2
    assert "earthquake" in done.stderr


def test_a_terminal_sees_how_far_it_is(tmp_path):
    ours, theirs = pty.openpty()
    environ = {**clean_environ(tmp_path, **OPERATOR), "TERM": "xterm", "COLUMNS": "60", "NO_COLOR": "1"}
    with subprocess.Popen(
        [*COMMAND, "drill", "--only", "402"],
        env=environ,
        cwd=tmp_path,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # that is how the end of a terminal reads
            while part := os.read(ours, 65_536):
                said += part
        assert process.wait(LIMIT_S) == 0, said.decode()
    os.close(ours)
    assert f"[{'#' * 24}] 4/4 402".encode() in said
    assert b"\x1b[3" not in said  # no colour
    assert said.rindex(b"\x1b[K") < said.index(b"4 of 4 passed")
