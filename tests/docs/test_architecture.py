"""src/fairlead/README.md: what it names is there, and nothing of weight is missing."""

import re

import pytest

from docs.pages import ROOT, prose

SOURCE = ROOT / "src" / "fairlead"
TEXT = (SOURCE / "README.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([\w/]+(?:\.\w+|/))`", prose(TEXT))
OF_THE_DATA_DIR = {"store/", "admin.key", "unsettled/", "fairlead.lock"}


def test_every_file_that_it_names_is_there():
    files = [name for name in NAMED if name not in OF_THE_DATA_DIR and name != "pyproject.toml"]
    assert len(files) > 60
    assert not [name for name in files if not (SOURCE / name).exists()]


def test_every_package_is_named():
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert packages - {name.split("/")[0] for name in NAMED} == set()


def test_every_module_beside_the_packages_is_named():
    modules = {path.name for path in SOURCE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert modules - set(NAMED) == set()


def test_its_steps_are_numbered_in_order():
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", TEXT, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def families():
    """The key names that the store's modules document, up to the first part that varies."""
    for path in (SOURCE / "store").glob("*.py"):
        for name in re.findall(r"^ *(fl:1:[^ ]+)  ", path.read_text(encoding="utf-8"), re.MULTILINE):
            yield path.relative_to(SOURCE).as_posix(), name


def test_every_kind_of_key_is_told():
    rows = re.findall(r"^\| (`fl:1:.+?) \|", TEXT, re.MULTILINE)
    beginnings = [name.rstrip("…`").lstrip("`") for row in rows for name in row.split(", ")]
    found = {name for _, name in families()}
    assert len(found) > 20
    untold = {
        name for name in found if not name.startswith(tuple(beginnings)) and not name.endswith(("changed", ":changes"))
    }  # channels
    assert not untold


@pytest.mark.parametrize("place", sorted(OF_THE_DATA_DIR))
def test_what_is_in_the_data_directory_is_written_by_somebody(place):
    code = "".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    assert f'"{place.rstrip("/")}"' in code
