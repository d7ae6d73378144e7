"""Every test that the contract names is there."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CONTRACT = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::([\w:]+)`", CONTRACT)))


@pytest.mark.parametrize(("path", "name"), NAMED, ids="::".join)
def test_what_it_names_is_there(path, name):
    found = ast.parse((TESTS / path).read_text(encoding="utf-8")).body
    for part in name.split("::"):
        [node] = [one for one in found if getattr(one, "name", None) == part]
        found = getattr(node, "body", [])


def test_it_names_some():
    assert len(NAMED) > 100
