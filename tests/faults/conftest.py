"""One gateway in front of a provider for each fault and way of asking: what one does spoils nothing for the next."""

import json

import pytest

from harness.process import GatewayProcess
from harness.simulators import Simulators

from .matrix import BAD_TEXT, FAULTS, GOOD_TEXT

KEY = "sk-faults-client-5d1c7be2a4"
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
