"""In processes of their own: what is loaded once stays."""

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
    """And without what libraries load where it is installed, as it is here."""
    before, after = loaded(START)
    worker = {"fairlead.app", "redis", "starlette", "uvicorn"}
    assert not before & worker
    assert after >= worker
    assert not after & set(UNUSED)


def test_what_was_hidden_can_be_loaded_afterwards():
    name = "wsgiref.validate"
    assert name not in sys.modules
    with absent(name), pytest.raises(ModuleNotFoundError):
        __import__(name)
    assert name not in sys.modules
    __import__(name)


def test_what_is_loaded_already_stays():
    with absent("subprocess"):
        assert sys.modules["subprocess"] is subprocess
    assert sys.modules["subprocess"] is subprocess


def test_it_can_be_loaded_after_an_import_that_failed():
    with pytest.raises(ZeroDivisionError), absent("wsgiref.handlers"):
        raise ZeroDivisionError
    assert "wsgiref.handlers" not in sys.modules
