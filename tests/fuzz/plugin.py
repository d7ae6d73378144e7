"""For pytest: `--examples` says how many examples each property is tried with, whatever it says itself."""

from hypothesis import HealthCheck, settings


def pytest_addoption(parser):
    parser.addoption("--examples", type=int, required=True)


def pytest_configure(config):
    # As the root's conftest has it, which has loaded its own by now.
    settings.register_profile(
        "fuzz", max_examples=config.getoption("--examples"), deadline=None, suppress_health_check=list(HealthCheck)
    )
    settings.load_profile("fuzz")
