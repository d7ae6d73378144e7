import contextlib
import json
import os
import signal
import socket
import sys
import time
import urllib.request

import pytest

from fairlead.errors import ConfigError
from fairlead.supervisor.demo import COMMAND, Demo

NAMES = ["demo-swift", "demo-steady"]


@pytest.fixture
def new_demo():
    with contextlib.ExitStack() as made:

        def make(names=NAMES, command=COMMAND):
            demo = Demo(names, pause=time.sleep, command=command)
            made.callback(demo.stop)
            return demo

        yield make


def models(url):
    """Ask until it answers: a restart does not wait."""
    while True:
        with contextlib.suppress(ConnectionRefusedError, urllib.error.URLError):
            return json.load(urllib.request.urlopen(f"{url}/models", timeout=10))["data"]


def test_serves_each_personality_at_its_url_from_start_on(new_demo):
    demo = new_demo()
    demo.start()
    assert list(demo.base_urls) == NAMES
    for url in demo.base_urls.values():
        assert json.load(urllib.request.urlopen(f"{url}/models", timeout=10))["data"]
    assert demo.how_it_ended() is None


def test_it_may_be_begun_before_it_is_waited_for(new_demo):
    demo = new_demo()
    demo.begin()
    begun = demo._process
    demo.start()
    assert demo._process is begun
    assert list(demo.base_urls) == NAMES


def test_one_that_was_begun_and_never_waited_for_is_ended(new_demo):
    demo = new_demo()
    demo.begin()
    begun = demo._process
    demo.stop()
    assert begun.returncode is not None


def test_comes_back_on_the_same_ports(new_demo):
    demo = new_demo()
    demo.start()
    process = demo._process
    process.kill()
    process.wait()
    assert demo.how_it_ended() == "signal 9"
    demo.restart()
    for url in demo.base_urls.values():
        assert models(url)
    assert demo.how_it_ended() is None


def test_stop_ends_the_process_and_may_come_twice(new_demo):
    demo = new_demo()
    demo.stop()
    demo.start()
    process = demo._process
    demo.stop()
    demo.stop()
    assert process.returncode == 0


def test_other_ports_are_tried_when_somebody_was_faster(new_demo, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], 0])
        monkeypatch.setattr("fairlead.supervisor.demo._free_ports", lambda count: next(ports))
        demo = new_demo()
        demo.start()
        assert len(demo.base_urls) == 2


@pytest.mark.parametrize("program", ["raise SystemExit(1)", "import os; os.close(1); input()", "print('{}')"])
def test_a_demo_that_announces_nothing_is_an_error_with_a_remedy(new_demo, program):
    demo = new_demo(command=[sys.executable, "-S", "-c", program])
    with pytest.raises(ConfigError, match="set FAIRLEAD_DEMO=off"):
        demo.start()
    assert demo._process is None


def test_a_start_can_be_interrupted(new_demo):
    def interrupt(seconds):
        raise KeyboardInterrupt

    demo = Demo(NAMES, pause=interrupt, command=[sys.executable, "-S", "-c", "input()"])
    try:
        with pytest.raises(KeyboardInterrupt):
            demo.start()
        process = demo._process
    finally:
        demo.stop()
    assert process.returncode == -signal.SIGTERM


def test_it_has_a_session_of_its_own(new_demo):
    demo = new_demo(NAMES[:1])
    demo.start()
    assert os.getsid(demo._process.pid) == demo._process.pid


def test_ports_come_in_a_row(new_demo):
    demo = new_demo()
    demo.start()
    first, second = (int(url.split(":")[2].split("/")[0]) for url in demo.base_urls.values())
    assert second == first + 1


def test_it_ends_when_its_parent_closes_the_pipe(new_demo):
    demo = new_demo(NAMES[:1])
    demo.start()
    demo._process.stdin.close()
    assert demo._process.wait(10) == 0
