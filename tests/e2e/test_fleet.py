"""Workers know together what each of them has met: an endpoint that fails is out for all, and probed by one."""

import json
import subprocess
import sys
from collections import Counter
from datetime import datetime

import pytest

from fairlead.demo import Script
from harness.process import until
from harness.valkey import Valkey, free_port

from .caller import Load
from .conftest import provider

KEY = "sk-e2e-fleet-51c07b9e44"
MODEL = "acme/large"
WORKERS = 2


class KillableProvider:
    """A simulated provider as a process, on one port for as long as it is started again."""

    def __init__(self):
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self._process = None

    def start(self):
        command = [sys.executable, "-m", "fairlead.demo", "--personality", "demo", "--announce", "--port", self.port]
        self._process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE)
        assert self._process.stdout.readline(), "it did not start"

    def kill(self):
        if self._process is not None:
            with self._process:
                self._process.kill()
            self._process = None


@pytest.fixture
def quick():
    upstream = KillableProvider()
    upstream.start()
    yield upstream
    upstream.kill()


@pytest.fixture
def valkey():
    server = Valkey()
    server.start()
    yield server
    server.close()


@pytest.fixture
def fleet(quick, valkey, simulators, new_gateway):
    """Two workers, a store that may be stopped, and two providers of one model: `quick`, and one that is well.

    That one is slower, so that `quick` is asked until it is ejected, rather than left alone for its first failure.
    """
    well = simulators.start(script=Script(first_byte_delay_s=0.2))
    env = {"FAIRLEAD_WORKERS": str(WORKERS), "FAIRLEAD_LOG_FORMAT": "json", "FAIRLEAD_API_KEYS": KEY}
    env |= {"FAIRLEAD_REDIS_URL": valkey.url, "FAIRLEAD_PROBE_MIN_S": "0.2", "FAIRLEAD_PROBE_MAX_S": "0.4"}
    env |= provider("quick", quick, models=MODEL) | provider("well", well, models=MODEL)
    return new_gateway(env).start()


def lines_of(gateway, event, after=0):
    """The lines of the log that say so, decoded."""
    return [json.loads(line) for line in gateway.lines[after:] if f'"event":"{event}' in line]


def is_heard_by_all(gateway, event, count=1, after=0):
    """Whether each worker has said so, `count` times at least."""
    said = Counter(line["worker"] for line in lines_of(gateway, event, after))
    return len(said) == WORKERS and min(said.values()) >= count


def attempts(gateway):
    """When, at whom and with which verdict: of all requests in the log."""
    for line in lines_of(gateway, "request"):
        at = line["time"]
        for attempt in line["attempts"]:
            yield at, attempt["provider"], attempt["verdict"]
            at += attempt["duration_s"]


def first_moments(gateway, event):
    """When each worker said so first."""
    first = {}
    for line in lines_of(gateway, event):
        first.setdefault(line["worker"], datetime.fromisoformat(line["timestamp"]).timestamp())
    return first


def serves(gateway, name, after):
    return any(line["provider"] == name for line in lines_of(gateway, "request", after))


def test_a_killed_provider_is_out_for_all_probed_by_one_and_comes_back(fleet, quick):
    with Load(fleet, KEY, MODEL) as load:
        until(lambda: serves(fleet, "quick", 0))
        quick.kill()
        until(lambda: is_heard_by_all(fleet, "endpoint ejected"))
        load.go_on()
        until(lambda: is_heard_by_all(fleet, "endpoint probing", count=3))
        quick.start()
        until(lambda: is_heard_by_all(fleet, "endpoint recovered"))
        heard = len(fleet.lines)
        until(lambda: serves(fleet, "quick", heard))
    assert load.is_flawless, (load.failures, Counter(load.answers))

    fleet.close()  # then all that it has to say is said
    out_at = max(first_moments(fleet, "endpoint ejected").values())
    back_at = min(first_moments(fleet, "endpoint recovered").values())
    sent = [verdict for at, name, verdict in attempts(fleet) if name == "quick" and out_at < at < back_at]
    granted = Counter(line["worker"] for line in lines_of(fleet, "endpoint probing"))
    assert 3 <= len(sent) <= max(granted.values()), "the probes, and nothing else"
    assert sent[-1] == "ok"


def test_while_the_store_is_stopped_requests_go_on_and_each_worker_judges_by_itself(fleet, quick, valkey):
    with Load(fleet, KEY, MODEL) as load:
        until(lambda: serves(fleet, "quick", 0))
        valkey.freeze()
        until(lambda: is_heard_by_all(fleet, "health store away"))
        load.go_on()
        quick.kill()
        until(lambda: is_heard_by_all(fleet, "endpoint ejected"))
        load.go_on()
        heard = len(fleet.lines)
        valkey.thaw()
        until(lambda: is_heard_by_all(fleet, "health store back", after=heard))
        quick.start()
        heard = len(fleet.lines)
        until(lambda: serves(fleet, "quick", heard))
    assert load.is_flawless, (load.failures, Counter(load.answers))
