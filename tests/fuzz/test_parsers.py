"""The list of parsers is complete, and each has property tests."""

import pytest

from .parsers import ELSEWHERE, PARSERS, READS, SOURCE, properties


@pytest.mark.parametrize("module", PARSERS)
def test_each_has_property_tests(module):
    assert (SOURCE / module).exists()
    assert properties(module)


def test_whatever_reads_is_on_the_list_or_says_why_not():
    readers = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if READS.search(path.read_text(encoding="utf-8"))
    }
    assert readers - PARSERS.keys() - ELSEWHERE.keys() == set(), "write property tests, or say in ELSEWHERE why not"
    assert ELSEWHERE.keys() - readers == set(), "these read nothing any more: take them off"
    assert not ELSEWHERE.keys() & PARSERS.keys()
