"""For providers' faults: one gateway in front of a provider for each of them and way of asking, so that what one does
spoils nothing for the next. For faults of stores and processes: gateways in front of two providers.
"""

import contextlib
import json

import pytest

from harness.process import GatewayProcess
from harness.simulators import Simulators

from .matrix import BAD_TEXT, FAULTS, GOOD_TEXT
from .rig import environment

KEY = "sk-faults-client-5d1c7be2a4"
QUICK = {"text": GOOD_TEXT, "first_byte_delay_s": 0.01, "token_delay_s": 0.001}
WAYS = ("stream", "plain", "stream-alone", "plain-alone")


def _scripted(fault):
    script = dict(fault.script)
    if isinstance(script.get("body"), dict):
        script["body"] = json.dumps(script["body"]).encode()
    return {"text": BAD_TEXT, **script}


@pytest.fixture(scope="session")
def bad():
    """The faulty providers, by slug."""
    with Simulators() as simulators:
        found = {}
        for number, fault in enumerate(FAULTS):
            for way in range(len(WAYS)):
                found[f"f{number}w{way}"] = upstream = simulators.start()
                upstream.does(**_scripted(fault))
        yield found


@pytest.fixture(scope="session")
def good():
    """The provider behind them all."""
    with Simulators() as simulators:
        upstream = simulators.start()
        upstream.does(text=GOOD_TEXT)
        yield upstream


@pytest.fixture(scope="session")
def gateway(bad, good, tmp_path_factory):
    env = {"FAIRLEAD_WORKERS": "1", "FAIRLEAD_LOG_FORMAT": "json", "FAIRLEAD_API_KEYS": KEY}

    def declare(slug, **members):
        members = {"api_key": f"sk-faults-upstream-{slug}", "price_prompt": 1, "price_completion": 2, **members}
        env.update({f"FAIRLEAD_PROVIDERS__{slug.upper()}__{name.upper()}": str(it) for name, it in members.items()})

    for slug, upstream in bad.items():
        members = FAULTS[int(slug[1:].partition("w")[0])].members
        base_url = upstream.base_url
        if members.get("base_url") == "https":
            members = {**members, "base_url": base_url.replace("http:", "https:")}
        declare(slug, **{"base_url": base_url, "models": f"fault/{slug}={slug}", **members})
    declare("good", base_url=good.base_url, models=",".join(f"fault/{slug}=good-{slug}" for slug in bad))
    with GatewayProcess(tmp_path_factory.mktemp("faults"), env) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def providers():
    """One that is quick and well, and one that always fails."""
    with Simulators() as simulators:
        lab, shaky = simulators.start(), simulators.start()
        lab.does(**QUICK)
        shaky.does(status=500)
        yield lab, shaky


@pytest.fixture
def new_gateway(providers, tmp_path):
    """Makes gateways of a test's own; all of a test are one installation, unless they are told another directory."""
    with contextlib.ExitStack() as made:

        def make(directory=tmp_path, **variables):
            gateway = GatewayProcess(directory, environment(*providers, **variables))
            made.push(gateway)
            return gateway

        yield make
