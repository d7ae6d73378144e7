"""The shape of the tree: where tests stand, what files may be called, how long they may be, what none may contain."""

import ast
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "fairlead"
MODULES = sorted(SOURCE.rglob("*.py"))

UNMIRRORED = {
    "app.py": "builds and connects; tests/e2e/ runs what it has built",
}
"""Modules with code and without a test file of their own, each with the reason."""

WITHOUT_MODULE = {
    "tests/health/test_away.py": "of board, endpoint and merge together, without the store and after its return",
    "tests/health/test_fleet.py": "of board, endpoint and merge together: several workers and their store",
    "tests/health/test_invariants.py": "of all of health together: what holds whatever happens, in any order",
    "tests/store/test_money_invariants.py": "of till, store and script together: what holds whatever happens",
}
"""Test files among those of a package that are about no single module of it, each with the reason."""

BAGS = {"util", "utils", "helper", "helpers", "common", "base", "manager", "managers", "misc", "router"}
MOST_LINES = 600

NOT_OURS = {
    ".git", ".venv", ".peers", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".import_linter_cache",
    "__pycache__", "build", "dist", "results", "node_modules",
}  # fmt: skip
"""What .gitignore leaves out, by the name of the folder."""

# In pieces, so that this file does not contain them.
REGISTRIES = re.compile("|".join(re.escape("".join(parts)) for parts in [
    ("py", "pi.org"), ("python", "hosted.org"), ("registry.npm", "js"), ("npm", "js.org"), ("deb.", "debian.org"),
]))  # fmt: skip
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:" + "|".join(["wo" + "rk", "fa" + "rm", "ho" + "me", "Us" + "ers"]) + ")/")


def name_of(path):
    return path.relative_to(SOURCE).as_posix()


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def has_code(path):
    """Whether a function in it does something: what only declares is tested by whoever uses it."""
    functions = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return any(not isinstance(statement, ast.Expr) for function in functions for statement in function.body)


def own_files():
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS and not name.endswith(".egg-info")]
        yield from (Path(folder, name) for name in files if name != ".env")


def mirror_of(path):
    return ROOT / "tests" / path.relative_to(SOURCE).with_name(f"test_{path.name}")


def test_each_module_has_its_test_file():
    missing = {name_of(path) for path in MODULES if has_code(path) and not mirror_of(path).exists()}
    assert missing - UNMIRRORED.keys() == set(), "write tests for them, or say in UNMIRRORED why not"
    assert UNMIRRORED.keys() - missing == set(), "these have a test file now: take them off the list"


def test_each_test_file_has_its_module():
    """But for those of the project as a whole, which stand at the top, and folders that no package has."""
    packages = [path for path in SOURCE.rglob("*") if path.is_dir() and path.name != "__pycache__"]
    tests = [test for package in packages for test in (ROOT / "tests" / package.relative_to(SOURCE)).glob("test_*.py")]
    assert tests
    orphans = {
        test.relative_to(ROOT).as_posix()
        for test in tests
        if not (SOURCE / test.relative_to(ROOT / "tests").with_name(test.name.removeprefix("test_"))).exists()
    }
    assert orphans - WITHOUT_MODULE.keys() == set()
    assert WITHOUT_MODULE.keys() - orphans == set(), "these are gone: take them off the list"


def test_no_module_is_a_bag():
    assert not [name_of(path) for path in MODULES if BAGS & {path.stem, *path.relative_to(SOURCE).parts[:-1]}]


def test_no_module_is_too_long():
    assert not [name_of(path) for path in MODULES if path.read_text(encoding="utf-8").count("\n") > MOST_LINES]


def test_each_module_says_what_it_is():
    assert not [name_of(path) for path in MODULES if not ast.get_docstring(tree_of(path))]


@pytest.mark.parametrize("pattern", [REGISTRIES, MACHINE_PATHS], ids=["registry", "path of a machine"])
def test_no_file_names_a_registry_or_a_machine(pattern):
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in own_files()
        if (match := pattern.search(path.read_text(encoding="utf-8", errors="replace")))
    ]
    assert not found


def test_the_search_finds_what_it_is_for():
    assert REGISTRIES.search("https://files.python" + "hosted.org/packages")
    assert MACHINE_PATHS.search('cd "/wo' + 'rk/main"')
    assert not MACHINE_PATHS.search("docs/work/list, example.com/home/page")
