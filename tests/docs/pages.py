"""The Markdown pages of the project, and the fenced blocks in them.

What stands in an HTML comment right before a block says what is to be done with it:

    <!-- not run: why -->         its commands are only checked by what they name
    <!-- goes on -->              it starts the gateway that the rest of the page is about
    <!-- kept as request.json --> its text is a file of that name for the commands after it
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELL = ("sh", "bash", "console", "shell")
RUN = (*SHELL, "python")

_LEFT_OUT = {".git", ".venv", "node_modules", "build", "dist", "results", "__pycache__", ".pytest_cache"}
"""What .gitignore leaves out, by the name of the folder."""
_FENCE = re.compile(r"^( *)(```+)(\w*)\s*$")
_NOTE = re.compile(r"^ *<!-- (.+?) -->$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. `line` is that of its fence, counted from 1; `note` the comment before it, empty if none."""

    page: str
    line: int
    language: str
    text: str
    note: str

    @property
    def reason(self) -> str:
        """Why it is not run; empty if it is."""
        return self.note.removeprefix("not run: ") if self.note.startswith("not run: ") else ""

    @property
    def file(self) -> str:
        """Under which name it is kept; empty if it is not."""
        return self.note.removeprefix("kept as ") if self.note.startswith("kept as ") else ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages():
    """The path of every page, from the root."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(set(folders) - _LEFT_OUT)
        yield from (Path(folder, name).relative_to(ROOT).as_posix() for name in sorted(files) if name.endswith(".md"))


def blocks(page):
    """The blocks of a page, in order."""
    return blocks_of((ROOT / page).read_text(encoding="utf-8"), page)


def blocks_of(text, page=""):
    found, note, lines = [], "", text.splitlines()
    numbers = iter(range(len(lines)))
    for number in numbers:
        if (fence := _FENCE.match(lines[number])) is None:
            said = _NOTE.match(lines[number])
            note = said[1] if said else note if not lines[number].strip() else ""
            continue
        indent, ticks, language = fence.groups()
        inside = []
        for inner in numbers:
            if lines[inner].strip() == ticks:
                break
            inside.append(lines[inner].removeprefix(indent) + "\n")
        else:
            raise AssertionError(f"{page}:{number + 1}: a block without an end")
        found.append(Block(page, number + 1, language, "".join(inside), note))
        note = ""
    return found


def prose(text):
    """The text without its blocks, line numbers as they were."""
    return re.sub(r"^ *```.*?^ *```$", lambda match: "\n" * match[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE)
