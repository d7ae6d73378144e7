"""One gateway that most tests share, its simulated providers, and clients for it.

The gateway serves families of models, so that what a test does to one endpoint is no other test's matter:

    solo/…    by `solo` alone
    twin/…    by `first` and `second`
    hasty/…   by `hasty`, with a short time to the first byte, and `first`
    brisk/…   by `brisk`, with little patience for silence in a reply
    shut/…    by `shut`, where nobody listens, and `first`
    locked/…  by `locked` and `first`; and broke/… by `broke` and `first`: one test may spoil the account
"""

import collections
import contextlib
import itertools
from pathlib import Path

import pytest
from openai import OpenAI

from harness.process import GatewayProcess
from harness.simulators import Simulators

from .caller import Caller

CLIENT_KEY = "sk-e2e-client-8f3a61c0d2"
MODELS = 100
SERVED = {
    "solo": ["solo"],
    "first": ["twin", "hasty", "shut", "locked", "broke"],
    "second": ["twin"],
    "hasty": ["hasty"],
    "brisk": ["brisk"],
    "shut": ["shut"],
    "locked": ["locked"],
    "broke": ["broke"],
}
"""The families of each provider."""


def provider(name, upstream, **members):
    """The variables that declare a provider."""
    tree = f"FAIRLEAD_PROVIDERS__{name.upper()}__"
    members = {"base_url": upstream.base_url, "api_key": f"sk-e2e-upstream-of-{name}", **members}
    return {f"{tree}{member.upper()}": str(value) for member, value in members.items()}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def simulators():
    with Simulators() as simulators:
        yield simulators


@pytest.fixture(scope="session")
def all_upstreams(simulators):
    upstreams = {name: simulators.start() for name in SERVED}
    upstreams["shut"].does(refuse=True)  # before anybody has connected: what is open would go on
    return upstreams


@pytest.fixture(scope="session")
def shared(all_upstreams, tmp_path_factory):
    """The gateway that nobody hurts."""
    env = {"FAIRLEAD_WORKERS": "2", "FAIRLEAD_LOG_FORMAT": "json", "FAIRLEAD_API_KEYS": CLIENT_KEY}
    for name, upstream in all_upstreams.items():
        models = [f"{family}/m{n}={name}-{family}-{n}" for family in SERVED[name] for n in range(MODELS)]
        env |= provider(name, upstream, models=",".join(models), price_prompt=1, price_completion=2)
    env["FAIRLEAD_PROVIDERS__HASTY__TIMEOUT_FIRST_BYTE_S"] = "0.3"
    env["FAIRLEAD_PROVIDERS__BRISK__TIMEOUT_FIRST_BYTE_S"] = "1.5"
    env["FAIRLEAD_PROVIDERS__BRISK__TIMEOUT_IDLE_S"] = "0.3"
    with GatewayProcess(tmp_path_factory.mktemp("shared"), env) as gateway:
        yield gateway


@pytest.fixture
def upstreams(all_upstreams):
    """The providers of the shared gateway, by name, as new."""
    listening = {name: upstream for name, upstream in all_upstreams.items() if name != "shut"}
    for upstream in listening.values():
        upstream.reset()
    yield listening
    for upstream in listening.values():
        upstream.reset()


@pytest.fixture
def solo(upstreams):
    return upstreams["solo"]


_numbers = collections.defaultdict(itertools.count)


@pytest.fixture
def new_model():
    """Makes names of models, of a family, that no test has asked for yet: nothing is known of their endpoints."""
    return lambda family="solo": f"{family}/m{next(_numbers[family])}"


@pytest.fixture
def model(new_model):
    return new_model()


@pytest.fixture
def caller(shared):
    with Caller(shared, CLIENT_KEY) as caller:
        yield caller


@pytest.fixture
def client(shared):
    """OpenAI's own, as it comes but for retries, which would hide what it got."""
    with OpenAI(base_url=shared.base_url, api_key=CLIENT_KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def new_gateway(tmp_path):
    """Makes gateways of a test's own, not started; all of a test are one installation. Each is ended with the test."""
    with contextlib.ExitStack() as made:

        def make(env, **options):
            gateway = GatewayProcess(tmp_path, env, **options)
            made.push(gateway)
            return gateway

        yield make


@pytest.fixture(scope="session")
def rough_upstream(simulators):
    return simulators.start()


@pytest.fixture(scope="session")
def rough(rough_upstream, tmp_path_factory):
    """The gateway whose processes are killed, frozen and exchanged; each test leaves it whole.

    It has two workers, one model, and its keys in the store.
    """
    env = {"FAIRLEAD_WORKERS": "2", **provider("lab", rough_upstream, models="acme/large")}
    with GatewayProcess(tmp_path_factory.mktemp("rough"), env) as gateway:
        yield gateway


@pytest.fixture
def upstream(rough_upstream):
    """The one provider of the rough gateway."""
    rough_upstream.reset()
    yield rough_upstream
    rough_upstream.reset()
