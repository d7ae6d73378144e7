import pytest

from docs.commands import faults, lines
from docs.pages import Block


def block(text):
    return Block("page.md", 1, "sh", text, "")


def test_each_command_is_found():
    text = """A=b fairlead check   # shows "all" of it
git clone x && cd x
curl -d '{"a": [1]}' \\
  http://x | tar -x
id=$(curl http://x \\
  -s)
export B=c
"""
    assert lines(block(text)) == [
        ["fairlead", "check"],
        ["git", "clone", "x"],
        ["cd", "x"],
        ["curl", "-d", '{"a": [1]}', "http://x"],
        ["tar", "-x"],
        ["curl", "http://x", "-s"],
        ["export", "B=c"],
    ]


@pytest.mark.parametrize("line", [
    "fairlead keys create --name web --limit 20 --reset monthly",
    "make run",
    ".venv/bin/python -m bench --only throughput",
    "cp deploy/systemd/fairlead.service /etc",
])  # fmt: skip
def test_what_exists_is_nothing_to_complain_about(line):
    assert [list(faults(words)) for words in lines(block(line))] == [[]]


@pytest.mark.parametrize(("line", "fault"), [
    ("fairlead kyes", "No such command 'kyes'"),
    ("fairlead keys create --nmae web", "No such option '--nmae'"),
    ("make rnu", "there is no make rnu"),
    ("python -m bench.nothing", "there is no python -m bench.nothing"),
    ("python -m bench --quikc", "python -m bench has no --quikc"),
    ("cp deploy/nothing.conf /etc", "there is no deploy/nothing.conf"),
    ("crul http://x", "crul is no program that is known here"),
    ("docker build -t fairlead:9.9.9 .", "fairlead:9.9.9 is not of this version"),
])  # fmt: skip
def test_what_does_not_exist_is_told(line, fault):
    (words,) = lines(block(line))
    assert fault in "".join(faults(words))
