import re
from pathlib import Path

import pytest

from . import outcomes, test_process_faults, test_store_faults
from .outcomes import PROCESSES, STORE

FIGURE = re.compile(r"[0-9]+(\.[0-9] s)?|at once")


@pytest.fixture
def text():
    return Path(__file__).with_name("STORE.md").read_text()


@pytest.mark.parametrize(("module", "rows"), [(test_store_faults, STORE), (test_process_faults, PROCESSES)])
def test_each_test_is_a_row(module, rows):
    names = {name for name in vars(module) if name.startswith("test_")}
    assert {row.test.partition("[")[0] for row in rows} == names


def test_the_page_is_made_of_the_rows(text):
    figures = outcomes.figures_on(text)
    assert outcomes.page(figures) == text
    assert all(FIGURE.fullmatch(one) for row in figures.values() for one in row)


def test_a_report_is_read(tmp_path):
    report = tmp_path / "outcomes.xml"
    told = "".join(f'<property name="{name}" value="{n}"/>' for n, name in enumerate(outcomes.COUNTS))
    healed = '<property name="healed_s" value="4.5"/>'
    report.write_text(
        f'<testsuites><testsuite><testcase name="a"><properties>{told}</properties></testcase>'
        f'<testcase name="b"><properties>{told}{healed}</properties></testcase>'
        '<testcase name="c"/></testsuite></testsuites>'
    )
    counts = ["0", "1", "2", "3"]
    assert outcomes.figures_of(report) == {"a": [*counts, "at once"], "b": [*counts, "4.5 s"]}
