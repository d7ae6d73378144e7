"""In processes of their own: what is loaded once stays."""

import importlib
import subprocess
import sys

import pytest

from fairlead.start import UNUSED, absent

START = """
import sys
from fairlead.start import UNUSED, run_worker
print(*sys.modules)
try:
    run_worker(None)  # of which nothing can be served
except AttributeError as error:
    assert "settings" in str(error)
print(*sys.modules)
"""


def loaded(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=True)
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_a_worker_is_loaded_when_it_starts_and_no_sooner():
    """And with no part of the supervisor's, nor what libraries load where it is installed, as it is here."""
    before, after = loaded(START)
    worker = {"fairlead.app", "redis", "starlette", "uvicorn"}
    assert not before & worker
    assert after >= worker
    assert not after & {"fairlead.supervisor.run", "fairlead.store.embedded", "urllib.request", "aiohttp", *UNUSED}


@pytest.fixture
def rare(tmp_path, monkeypatch):
    """The name of a module that nobody has loaded."""
    (tmp_path / "a_rare_module.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield "a_rare_module"
    sys.modules.pop("a_rare_module", None)


def test_what_was_hidden_can_be_loaded_afterwards(rare):
    with absent(rare), pytest.raises(ModuleNotFoundError):
        importlib.import_module(rare)
    assert rare not in sys.modules
    importlib.import_module(rare)


def test_or_after_an_import_that_failed(rare):
    with pytest.raises(ZeroDivisionError), absent(rare):
        raise ZeroDivisionError
    importlib.import_module(rare)


def test_what_is_loaded_already_stays(rare):
    loaded = importlib.import_module(rare)
    with absent(rare):
        assert importlib.import_module(rare) is loaded
    assert importlib.import_module(rare) is loaded
