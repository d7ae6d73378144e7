import json

from fairlead.config import SETTINGS, as_json, as_text, effective

KEY = "sk-0123456789abcdefghijklmnop"


def test_it_tells_every_setting_with_its_source_and_no_secret(configure):
    rows = effective(configure({"OPENAI_API_KEY": KEY, "PORT": "9000", "FAIRLEAD_API_KEYS": f"{KEY},x"}))
    assert [row[0] for row in rows] == [*(setting.variable for setting in SETTINGS), "OPENAI_API_KEY"]
    assert ("FAIRLEAD_PORT", "9000", "environment (PORT)") in rows
    assert ("FAIRLEAD_WORKERS", "2", "default") in rows
    assert ("FAIRLEAD_REDIS_URL", "embedded", "default") in rows
    assert ("FAIRLEAD_API_KEYS", "sk-…mnop,…", "environment") in rows
    assert ("OPENAI_API_KEY", "sk-…mnop", "environment") in rows


def test_paths_are_told_as_they_are_used(configure, tmp_path):
    rows = effective(configure(dotenv="FAIRLEAD_DATA_DIR=state"))
    assert ("FAIRLEAD_DATA_DIR", str(tmp_path / "state"), ".env") in rows


def test_text_has_aligned_columns():
    assert as_text([("A", "1", "default"), ("LONG", "", "flag")]) == "A     1  default\nLONG     flag"
    assert as_text([]) == ""


def test_json_has_one_object_a_row():
    assert json.loads(as_json([("A", "…", "flag")])) == [{"variable": "A", "value": "…", "source": "flag"}]
