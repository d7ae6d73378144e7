"""Targets are started as their tables say, whatever they need to be asked."""

import urllib.request
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from bench.processes import NotReady, Processes
from bench.targets import Target

from bench import targets

SERVER = """
import http.server
server = http.server.HTTPServer(("127.0.0.1", {port}), http.server.SimpleHTTPRequestHandler)
print(f"listening at http://127.0.0.1:{{server.server_port}}/somewhere", flush=True)
server.serve_forever()
"""
PLAIN = Target("plain", ("@python@", "-c", SERVER.format(port="@port@")), headers={"Authorization": "Bearer @key@"})
ITS_OWN = replace(PLAIN, command=("@python@", "-c", SERVER.format(port=0)), is_port_its_own=True)


@pytest.fixture
def start(tmp_path):
    with Processes(tmp_path) as processes:
        yield lambda target: targets.start(
            target, processes, upstream_port=1, key="sk-told", core=None, folder=tmp_path / "two" / "deep"
        )


def test_a_target_gets_a_port_and_the_key(start):
    running = start(PLAIN)
    assert running.headers == {"Authorization": "Bearer sk-told"}
    assert running.chat_url.endswith("/v1/chat/completions")
    assert len(running.pids()) == 1


@pytest.mark.parametrize("ready", ["/", ""])
def test_a_target_may_say_where_it_listens(start, ready):
    running = start(replace(ITS_OWN, ready=ready, path="/elsewhere"))
    parts = urlsplit(running.chat_url)
    assert parts.path == "/elsewhere"
    with urllib.request.urlopen(f"http://127.0.0.1:{parts.port}/", timeout=10) as reply:
        assert reply.status == 200


def test_the_key_may_be_made_once_it_is_ready(start):
    prepare = ("@python@", "-c", "import os; print('made for', os.environ['WHOM']); print('sk-made')")
    running = start(replace(PLAIN, prepare=prepare, env={"WHOM": "@key@"}))
    assert running.headers == {"Authorization": "Bearer sk-made"}


def test_a_key_that_cannot_be_made_is_told(start):
    with pytest.raises(NotReady, match="plain could not be prepared: no key today"):
        start(replace(PLAIN, prepare=("@python@", "-c", "raise SystemExit('no key today')")))


def test_a_target_that_does_not_say_where_it_listens_is_told(start):
    mute = ("@python@", "-c", "print('hello', flush=True); import time; time.sleep(60)")
    with pytest.raises(NotReady, match="did not say in 2 s where it listens\nhello"):
        start(replace(ITS_OWN, command=mute, start_s=2.0))


def test_a_target_that_ends_before_it_says_where_it_listens_is_told_at_once(start):
    with pytest.raises(NotReady, match="ended with status 1\nnot today"):
        start(replace(ITS_OWN, command=("@python@", "-c", "raise SystemExit('not today')"), start_s=60.0))
