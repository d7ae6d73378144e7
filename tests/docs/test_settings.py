import pytest

from docs.pages import ROOT
from docs.settings import TABLES, env_example, page
from fairlead.config import SETTINGS

PAGE = (ROOT / "src/fairlead/config/README.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TABLES)
def test_every_setting_stands_in_the_table(name):
    assert f"<!-- made: {name} -->\n{TABLES[name]()}\n<!-- end -->" in PAGE, "make docs"


def test_what_make_docs_would_write_is_there():
    assert page(PAGE) == PAGE
    assert env_example(EXAMPLE) == EXAMPLE


def test_what_is_missing_is_written():
    setting = next(one for one in SETTINGS if one.variable == "FAIRLEAD_LEDGER_DAYS")
    spoilt = PAGE.replace(setting.meaning, "nothing any more")
    assert spoilt != PAGE
    assert page(spoilt) == PAGE
    lost = EXAMPLE.replace(f"# {setting.meaning}\n#{setting.variable}={setting.default}\n\n", "")
    assert lost != EXAMPLE
    assert env_example(lost) == EXAMPLE
