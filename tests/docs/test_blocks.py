"""Every command on every page: run as a reader would run it, or checked by what it names, with the reason why."""

import contextlib
import re
import shutil

import pytest

from docs.commands import faults, lines
from docs.pages import ROOT, RUN, SHELL, blocks, pages, prose
from docs.reader import Reader

BLOCKS = {page: blocks(page) for page in pages()}
ALL = [block for found in BLOCKS.values() for block in found]
NOT_RUN = [block for block in ALL if block.reason]
ELSEWHERE = {"deploy/UPGRADE.md": "tests/docs/test_upgrade.py"}
"""Pages that are followed in another file, since it takes more to see whether they are right."""
FOLLOWED = [
    page
    for page, found in BLOCKS.items()
    if page not in ELSEWHERE and any(one.language in RUN and not one.reason for one in found)
]
SYNOPSES = [block for block in ALL if block.language == "text" and "python -m " in block.text]


def test_the_pages_are_found():
    assert {"README.md", "deploy/README.md", "src/fairlead/edge/README.md"} <= BLOCKS.keys()
    assert len(ALL) > 30
    assert len(FOLLOWED) >= 3


@pytest.mark.parametrize("page", FOLLOWED)
@pytest.mark.e2e
def test_a_page_can_be_followed(page, tmp_path):
    if missing := [name for name in ("curl", "git", "make") if shutil.which(name) is None]:
        pytest.skip(f"no {' and no '.join(missing)} on this machine")
    starts_it = any(block.note == "goes on" for block in BLOCKS[page])
    if starts_it and not (ROOT / ".git").exists():
        pytest.skip("this is no clone, so nobody can clone it")
    said = []
    settings = {} if starts_it else {"FAIRLEAD_WORKERS": "1"}  # which start sooner
    with contextlib.closing(Reader(tmp_path, **settings)) as reader:
        if not starts_it:
            reader.serve()
        for block in BLOCKS[page]:
            if block.file or (block.language in RUN and not block.reason):
                reader.do(block)
                said.append(reader.said)
    if page == "README.md":
        assert sum("DEMO" in text for text in said) == 2, "the first answers, by curl and by SDK"


@pytest.mark.parametrize("block", NOT_RUN, ids=str)
def test_what_is_not_run_says_why(block):
    assert len(block.reason) > 5
    pytest.skip(block.reason)


@pytest.mark.parametrize("block", [one for one in ALL if one.language in SHELL], ids=str)
def test_what_a_block_names_exists(block):
    found = [fault for words in lines(block) for fault in faults(words)]
    assert not found


@pytest.mark.parametrize("block", SYNOPSES, ids=str)
def test_what_a_synopsis_names_exists(block):
    for line in re.split(r"\n(?! )", block.text.strip("\n")):
        assert not list(faults(line.replace("[", "").replace("]", "").split()))


@pytest.mark.parametrize("page", BLOCKS)
def test_commands_stand_in_fenced_blocks(page):
    """Where they are found, and with a language, or nobody would know how to run them."""
    text = prose((ROOT / page).read_text(encoding="utf-8"))
    assert not re.findall(r"^\n {4}(?:make|git|curl|fairlead|pip|docker|python|\.venv/\S+)\b.*", text, re.MULTILINE)
    assert all(block.language for block in BLOCKS[page])


@pytest.mark.parametrize("page", BLOCKS)
def test_a_note_is_one_that_is_known(page):
    known = re.compile(r"not run: .+|goes on|kept as [\w.]+|made: \w+|end|")
    assert not [str(block) for block in BLOCKS[page] if not known.fullmatch(block.note)]
