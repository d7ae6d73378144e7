import json
import signal
import socket

from fairlead.config import SETTINGS

KEY = "sk-proj-0123456789abcdefghijklmnop"


def test_shows_every_setting_with_value_and_source(fairlead):
    done = fairlead("check", FAIRLEAD_PORT="9000")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert list(rows) == [setting.variable for setting in SETTINGS]
    assert rows["FAIRLEAD_PORT"] == ["9000", "environment"]
    assert rows["FAIRLEAD_HOST"] == ["127.0.0.1", "default"]


def test_json_has_the_same(fairlead):
    rows = json.loads(fairlead("check", "--json", FAIRLEAD_PORT="9000").stdout)
    assert {"variable": "FAIRLEAD_PORT", "value": "9000", "source": "environment"} in rows
    assert [row["variable"] for row in rows] == [setting.variable for setting in SETTINGS]


def test_secrets_are_masked(fairlead):
    done = fairlead("check", OPENAI_API_KEY=KEY, FAIRLEAD_REDIS_URL="redis://me:secretword@redis.example/0")
    assert "OPENAI_API_KEY" in done.stdout
    assert KEY not in done.stdout
    assert "secretword" not in done.stdout


def test_reads_dotenv_of_the_working_directory(fairlead, tmp_path):
    (tmp_path / ".env").write_text("FAIRLEAD_WORKERS=3\n", encoding="utf-8")
    row = next(line for line in fairlead("check").stdout.splitlines() if line.startswith("FAIRLEAD_WORKERS"))
    assert row.split() == ["FAIRLEAD_WORKERS", "3", ".env"]


def test_everything_wrong_is_told_at_once_a_line_each(fairlead):
    done = fairlead("check", FAIRLEAD_PORT="x", FAIRLEAD_PROT="1", FAIRLEAD_LOG_LEVEL="loud")
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("fairlead: FAIRLEAD_") for line in lines)
    assert "did you mean FAIRLEAD_PORT?" in done.stderr


def test_a_catalogue_that_a_start_would_refuse(fairlead, tmp_path):
    (tmp_path / "catalog.toml").write_text("[models]\nnonsense = 1\n", encoding="utf-8")
    done = fairlead("check", FAIRLEAD_CATALOG="catalog.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nonsense" in done.stderr
    assert "Traceback" not in done.stderr


class TestLive:
    def test_providers_that_answer(self, fairlead, started):
        with started("demo") as demo:
            base_url = demo.read_until("demo-steady").split()[1]
            done = fairlead("check", "--live", FAIRLEAD_PROVIDERS__LAB__BASE_URL=base_url)
            shown = fairlead("check", "--live", "--json", FAIRLEAD_PROVIDERS__LAB__BASE_URL=base_url)
            demo.end(signal.SIGTERM)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[1].split()[:2] == ["lab", "ok"]
        (row,) = json.loads(shown.stdout)
        assert (shown.returncode, row["provider"], row["ok"], row["status"]) == (0, "lab", True, 200)

    def test_one_that_does_not_is_1_and_says_what_to_do(self, fairlead):
        with socket.socket() as held:  # bound and not listening
            held.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
            done = fairlead(
                "check", "--live", FAIRLEAD_PROVIDERS__LAB__BASE_URL=url, FAIRLEAD_PROVIDERS__LAB__API_KEY=KEY
            )
        assert (done.returncode, done.stderr) == (1, "")
        assert "no connection" in done.stdout
        assert "FAIRLEAD_PROVIDERS__LAB__BASE_URL" in done.stdout
        assert KEY not in done.stdout

    def test_nobody_to_ask(self, fairlead):
        done = fairlead("check", "--live")
        assert (done.returncode, done.stdout) == (0, "")
        assert "OPENAI_API_KEY" in done.stderr
        assert fairlead("check", "--live", "--json").stdout == "[]\n"

    def test_a_wrong_setting_is_2_before_anybody_is_asked(self, fairlead):
        done = fairlead("check", "--live", FAIRLEAD_PORT="x")
        assert (done.returncode, done.stdout) == (2, "")
