"""Two workers are one gateway."""

import http.client
import os
import signal

from harness.process import until

from .caller import Load, callers_of_each_worker


def test_each_gets_connections(rough):
    with callers_of_each_worker(rough, rough.new_key, "acme/large") as callers:
        assert len(callers) == 2


def test_a_new_key_works_at_once_on_each_and_a_disabled_one_on_none(rough):
    with callers_of_each_worker(rough, rough.new_key, "acme/large") as callers:
        key = rough.create_key("for a while")
        for caller in callers.values():
            assert caller.chat("acme/large", key=key).status == 200
        rough.run("keys", "disable", "for a while")
        for caller in callers.values():
            until(lambda caller=caller: caller.chat("acme/large", key=key).status == 401)
        rough.run("keys", "enable", "for a while")
        for caller in callers.values():
            until(lambda caller=caller: caller.chat("acme/large", key=key).status == 200)
        rough.run("keys", "delete", "for a while")
        for caller in callers.values():
            until(lambda caller=caller: caller.chat("acme/large", key=key).status == 401)


def test_one_that_is_killed_is_replaced_and_the_other_does_not_notice(rough, upstream):
    before = rough.workers()
    with callers_of_each_worker(rough, rough.new_key, "acme/large") as callers:
        upstream.does(text="word " * 60, token_delay_s=0.01)
        streams = {mark: caller.send_chat("acme/large", stream=True) for mark, caller in callers.items()}
        upstream.does()
        heard = len(rough.lines)
        os.kill(before[0], signal.SIGKILL)
        ends = [_end_of(stream) for stream in streams.values()]
        assert sorted(ends) == ["broken", "whole"]
        rough.expect("died (signal 9), starting another", after=heard)
        until(lambda: len(rough.workers()) == 2)
        assert before[0] not in rough.workers()
        assert before[1] in rough.workers()
    until(lambda: _marks(rough) - set(callers))  # the new one serves
    with Load(rough, rough.new_key, "acme/large") as load:
        load.go_on()
    assert load.is_flawless


def _end_of(stream):
    try:
        return "whole" if stream.read().endswith(b"data: [DONE]\n\n") else "cut"
    except (http.client.IncompleteRead, ConnectionResetError):
        return "broken"


def _marks(gateway):
    with callers_of_each_worker(gateway, gateway.new_key, "acme/large", count=1) as callers:
        return set(callers)


def test_each_tells_how_it_is(rough):
    with callers_of_each_worker(rough, rough.new_key, "acme/large") as callers:
        for caller in callers.values():
            assert caller.get("/livez").json == {"status": "alive"}
            assert caller.get("/readyz").json == {"status": "ready"}
            told = caller.get("/readyz?verbose").json
            assert told["models"] == told["endpoints"] == 1
            assert told["worker"] in rough.workers()
            assert told["tasks"] > 0
