import json

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
