"""For pytest: `--examples` says how many examples each property is tried with, whatever it says itself.

The file `--found` is made as soon as one has failed.
"""

from pathlib import Path

from hypothesis import HealthCheck, settings


def pytest_addoption(parser):
    parser.addoption("--examples", type=int, required=True)
    parser.addoption("--found", type=Path, required=True)


def pytest_configure(config):
    # As the root's conftest has it, which has loaded its own by now.
    settings.register_profile(
        "fuzz", max_examples=config.getoption("--examples"), deadline=None, suppress_health_check=list(HealthCheck)
    )
    settings.load_profile("fuzz")
    config.pluginmanager.register(_Finds(config.getoption("--found")))


class _Finds:
    def __init__(self, file):
        self._file = file

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self._file.touch()
