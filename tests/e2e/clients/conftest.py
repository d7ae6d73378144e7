"""Clients as their users install them, in environments of their own, which `make clients` makes."""

import collections
import contextlib
import itertools
import json
import shutil
from pathlib import Path

import pytest

from e2e.conftest import CLIENT_KEY, provider
from harness.process import GatewayProcess

from .matrix import CLIENTS
from .neighbour import Neighbour
from .program import HERE, Program

SERVED = {"solo": ["solo"], "first": ["twin"], "second": ["twin"]}
"""The families of models of each provider, as in the tests around these."""
MODELS = 600
NODE_READY = HERE / "node" / "node_modules" / ".ready"


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def all_upstreams(simulators):
    return {name: simulators.start() for name in SERVED}


@pytest.fixture(scope="session")
def shared(all_upstreams, tmp_path_factory):
    """One gateway for all clients."""
    directory = tmp_path_factory.mktemp("clients")
    models = {name: [f"{family}/m{n}" for family in SERVED[name] for n in range(MODELS)] for name in SERVED}
    known = {"supported_parameters": ["max_tokens", "temperature", "tools", "tool_choice"]}
    catalog = directory / "catalog.json"
    catalog.write_text(json.dumps({"models": dict.fromkeys(itertools.chain(*models.values()), known)}))
    env = {"FAIRLEAD_API_KEYS": CLIENT_KEY, "FAIRLEAD_CATALOG": str(catalog)}
    for name, upstream in all_upstreams.items():
        env |= provider(name, upstream, models=",".join(models[name]), price_prompt=1, price_completion=2)
    with GatewayProcess(directory, env) as gateway:
        yield gateway


_numbers = collections.defaultdict(itertools.count)


@pytest.fixture
def new_model():
    """As in the tests around these: names of models that nobody has asked for yet."""
    return lambda family="solo": f"{family}/m{next(_numbers[family])}"


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """Makes the programs, each started once for all tests that tell it what to do."""
    made = {}
    with contextlib.ExitStack() as running:

        def program(client):
            name = client.program
            if name not in made:
                directory = tmp_path_factory.mktemp(name.partition(".")[0])
                made[name] = running.enter_context(contextlib.closing(Program(command_of(client), directory)))
            return made[name]

        yield program


def command_of(client):
    """How a program is started. Skips the test where what it needs is not there, and says what that is."""
    if client.environment != "node":
        environment = HERE / "environments" / client.environment / ".venv"
        if not (environment / ".ready").exists():
            pytest.skip("the clients in Python are not installed: `make clients` does that")
        return [environment / "bin" / "python", HERE / "python" / client.program]
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node on PATH (on Debian: apt-get install nodejs npm), then `make clients`")
    if not NODE_READY.exists():
        pytest.skip("the clients for node are not installed: `make clients` does that")
    return [node, HERE / "node" / client.program]


class Asked:
    """One client at one gateway; what the table says of it are its attributes."""

    def __init__(self, client, program, gateway):
        self.client = client
        self._program = program
        self._gateway = gateway

    def __getattr__(self, name):
        return getattr(self.client, name)

    def ask(self, do, model, *, url=None, key=CLIENT_KEY, base=None, **members):
        base_url = (url or self._gateway.url) + (base or self.client.base)
        return self._program.ask(do, model=model, key=key, base_url=base_url, **self.client.members, **members)


@pytest.fixture
def ask_of(programs, shared):
    """Makes what asks a client."""
    return lambda client: Asked(client, programs(client), shared)


@pytest.fixture(params=CLIENTS)
def asked(request, ask_of):
    return ask_of(CLIENTS[request.param])


@pytest.fixture(scope="session")
def neighbours(simulators, shared):
    """For each client of the table a door to the gateway, at an address of its own."""
    with contextlib.ExitStack() as opened:
        yield [
            (client, opened.enter_context(contextlib.closing(Neighbour(simulators, shared, f"127.0.0.{number}"))))
            for number, client in enumerate(CLIENTS.values(), 2)
        ]


@pytest.fixture
def strange_url(neighbours, asked):
    """Where nobody minds how often a client shows a wrong key."""
    return next(neighbour.url for client, neighbour in neighbours if client is asked.client)
