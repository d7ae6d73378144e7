"""Two gateways of two workers each, and the providers behind both.

    calm    with the limits that it comes with, but for short bodies; its log is JSON
    hasty   with little patience for slow callers; its log is text

`lab` is the provider that hostile callers ask for, `good` the one that everybody else does. After each test the
gateway in question is looked at: see `aftermath.py`.
"""

from pathlib import Path

import pytest

from harness.process import GatewayProcess
from harness.simulators import Simulators

from .aftermath import GOOD_MODEL, GOOD_TEXT, Aftermath
from .raw import ADMIN_KEY, KEY
from .upstream import MODEL, UPSTREAM_KEYS, UPSTREAM_MODEL

LAB_TEXT = "of the lab"
MAX_BODY_BYTES = 12 * 1024 * 1024
MAX_REPLY_BYTES = 4 * 1024 * 1024

CALM = {"FAIRLEAD_LOG_FORMAT": "json", "FAIRLEAD_MAX_BODY_BYTES": str(MAX_BODY_BYTES)}
CALM["FAIRLEAD_MAX_REPLY_BYTES"] = str(MAX_REPLY_BYTES)
HASTY = {
    "FAIRLEAD_LOG_FORMAT": "text",
    "FAIRLEAD_RECEIVE_TIMEOUT_S": "0.4",
    "FAIRLEAD_KEEP_ALIVE_S": "1",
    "FAIRLEAD_TIMEOUT_TOTAL_S": "1.5",
}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def simulators():
    with Simulators() as simulators:
        yield simulators


@pytest.fixture(scope="session")
def shared_lab(simulators):
    return simulators.start()


@pytest.fixture(scope="session")
def good(simulators):
    upstream = simulators.start()
    upstream.does(text=GOOD_TEXT)
    return upstream


@pytest.fixture
def lab(shared_lab):
    """The provider that is asked for, as new: what it has seen is what the test has sent."""
    shared_lab.wait_for(lambda record: record.in_flight == 0)
    shared_lab.reset()
    shared_lab.does(text=LAB_TEXT)
    yield shared_lab
    shared_lab.reset()


@pytest.fixture(scope="session")
def new_gateway(shared_lab, good, tmp_path_factory):
    """Makes gateways, not started."""

    def make(name, **env):
        declared = {}
        for slug, upstream, model in (("lab", shared_lab, f"{MODEL}={UPSTREAM_MODEL}"), ("good", good, GOOD_MODEL)):
            members = {
                "base_url": upstream.base_url,
                "api_key": UPSTREAM_KEYS[slug],
                "models": model,
                "price_prompt": "1",
                "price_completion": "2",
            }
            declared |= {f"FAIRLEAD_PROVIDERS__{slug.upper()}__{member.upper()}": it for member, it in members.items()}
        keys = {"FAIRLEAD_WORKERS": "2", "FAIRLEAD_API_KEYS": KEY, "FAIRLEAD_ADMIN_KEY": ADMIN_KEY}
        return GatewayProcess(tmp_path_factory.mktemp(name), {**keys, **declared, **env})

    return make


@pytest.fixture(scope="session")
def calm(new_gateway):
    with new_gateway("calm", **CALM) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def hasty(new_gateway):
    with new_gateway("hasty", **HASTY) as gateway:
        yield gateway


@pytest.fixture
def gateway(calm):
    """The one that a module is about; the module of slow callers says otherwise."""
    return calm


@pytest.fixture(autouse=True)
def unharmed(gateway, lab):
    """Whatever a test has done to it, the gateway is as before."""
    aftermath = Aftermath(gateway)
    yield
    seen = lab.record.seen
    lab.does(text=LAB_TEXT)
    lab.wait_for(lambda record: record.in_flight == 0)
    aftermath.check()
    assert lab.record.seen == seen, "a request has come after its test"
