"""Redis away is a slower kind of normal."""

import os
import signal

import pytest

from fairlead.access.keys import generate
from harness.process import until

from .caller import Caller, Load, callers_of_each_worker


@pytest.fixture
def stopped(rough):
    """Returns once the store is frozen; it comes back with the end of the test, whatever that is."""
    pid = rough.store_pid()

    def stop():
        os.kill(pid, signal.SIGSTOP)

    yield stop
    os.kill(pid, signal.SIGCONT)


def test_while_it_hangs_what_is_known_works_and_what_is_not_is_refused_soon(rough, stopped):
    with callers_of_each_worker(rough, rough.new_key, "acme/large") as callers:
        stopped()
        for caller in callers.values():
            assert {caller.chat("acme/large").status for _ in range(20)} == {200}
            refused = caller.chat("acme/large", key=generate())
            assert refused.status == 503
            assert refused.headers["retry-after"] == "1"
            assert "key store cannot be reached" in refused.json["error"]["message"]
            assert caller.chat("acme/large", key="sk-not-even-ours").status == 401
            assert caller.chat("acme/large").status == 200
            assert caller.get("/readyz").status == 200


def test_when_it_comes_back_everything_works(rough, stopped):
    key = rough.create_key("created before")
    with callers_of_each_worker(rough, rough.new_key, "acme/large") as callers:
        stopped()
        for caller in callers.values():
            assert caller.chat("acme/large", key=key).status == 503
        os.kill(rough.store_pid(), signal.SIGCONT)
        for caller in callers.values():
            until(lambda caller=caller: caller.chat("acme/large", key=key).status == 200)
            assert caller.chat("acme/large", key=generate()).status == 401


def test_when_it_dies_it_is_started_again_and_no_request_fails(rough):
    heard = len(rough.lines)
    before = rough.store_pid()
    with Load(rough, rough.new_key, "acme/large") as load:
        os.kill(before, signal.SIGKILL)
        rough.expect("embedded store died (signal 9), starting it again", after=heard)
        until(rough.store_url)
        load.go_on()
    assert load.is_flawless, (load.failures, set(load.answers))
    assert rough.store_pid() != before
    key = rough.create_key("created after")
    with Caller(rough, rough.new_key) as caller:
        until(lambda: caller.chat("acme/large", key=key).status == 200)
        assert caller.chat("acme/large").status == 200, "its data survived"


def test_changes_made_after_its_death_are_pushed_again(rough):
    heard = len(rough.lines)
    key = rough.create_key("seen before")
    with callers_of_each_worker(rough, rough.new_key, "acme/large") as callers:
        for caller in callers.values():
            assert caller.chat("acme/large", key=key).status == 200
        os.kill(rough.store_pid(), signal.SIGKILL)
        rough.expect("embedded store died", after=heard)
        until(rough.store_url)
        rough.run("keys", "disable", "seen before")
        for caller in callers.values():
            until(lambda caller=caller: caller.chat("acme/large", key=key).status == 401)
