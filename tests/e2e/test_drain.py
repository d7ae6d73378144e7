"""SIGTERM: finish without starting."""

import contextlib
import http.client
import itertools
import signal
import socket

import openai
import pytest
from openai import OpenAI

from harness.process import until

from .caller import HELLO, Caller
from .conftest import provider

KEY = "sk-e2e-drain-11d0c7"


@pytest.fixture
def lab(simulators):
    return simulators.start()


@pytest.fixture
def start(new_gateway, lab):
    """Starts a gateway with one worker and the given limits of its drain."""

    def start(delay_s, timeout_s):
        env = {
            "FAIRLEAD_WORKERS": "1",
            "FAIRLEAD_API_KEYS": KEY,
            "FAIRLEAD_DRAIN_DELAY_S": str(delay_s),
            "FAIRLEAD_DRAIN_TIMEOUT_S": str(timeout_s),
            **provider("lab", lab, models="acme/large"),
        }
        return new_gateway(env).start()

    return start


def readiness(gateway):
    with Caller(gateway, KEY) as caller:
        return caller.get("/readyz").status


def test_it_goes_on_serving_while_load_balancers_notice_and_streams_finish(start, lab):
    gateway = start(delay_s=2, timeout_s=30)
    lab.does(text="word " * 150, token_delay_s=0.02)
    with Caller(gateway, KEY) as streaming, Caller(gateway, KEY) as kept:
        assert kept.get("/readyz").status == 200
        stream = streaming.send_chat("acme/large", stream=True)
        lab.does()
        gateway.signal(signal.SIGTERM)
        until(lambda: readiness(gateway) == 503)
        assert kept.chat("acme/large").status == 200
        with Caller(gateway, KEY) as late:
            answer = late.chat("acme/large")
            assert (answer.status, answer.headers["connection"]) == (200, "close")
        with Caller(gateway, KEY) as late:
            told = late.get("/readyz?verbose").json
            assert (told["status"], told["in_flight"]) == ("draining", 1)
        assert stream.read().endswith(b"data: [DONE]\n\n")
        assert gateway.wait() == 0


def test_once_it_accepts_no_more_connections_are_refused_rather_than_left_waiting(start, lab):
    gateway = start(delay_s=0, timeout_s=60)
    lab.does(text="one two three", stall_after=2)
    with Caller(gateway, KEY) as caller:
        caller.send_chat("acme/large", stream=True)
        gateway.signal(signal.SIGTERM)
        with pytest.raises(ConnectionRefusedError):
            _ask_for_ever(gateway.port)


def _ask_for_ever(port):
    """Connect until that is refused. A connection that nobody accepts raises TimeoutError."""
    while True:
        with (
            # What is queued at the moment of closing, or still being connected.
            contextlib.suppress(ConnectionResetError, BrokenPipeError),
            socket.create_connection(("127.0.0.1", port), timeout=1) as late,
        ):
            late.sendall(b"GET /livez HTTP/1.1\r\nhost: gateway\r\n\r\n")
            late.recv(1)


def test_a_stream_that_takes_longer_is_told_so(start, lab):
    gateway = start(delay_s=0, timeout_s=0.5)
    lab.does(text="one two three four five", stall_after=4)
    with (
        OpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0) as client,
        client.chat.completions.create(model="acme/large", messages=HELLO, stream=True) as stream,
    ):
        texts = (chunk.choices[0].delta.content or "" for chunk in stream)
        assert list(itertools.islice(texts, 4)) == ["", "one ", "two ", "three "]
        gateway.signal(signal.SIGTERM)
        with pytest.raises(openai.APIError, match="The gateway is shutting down") as caught:
            next(texts)
    assert caught.value.code == "503"
    assert gateway.wait() == 0
    lab.wait_for(lambda record: record.aborted == 1)


def test_a_request_that_has_no_answer_by_then_is_refused(start, lab):
    gateway = start(delay_s=0, timeout_s=0.5)
    lab.does(hang=True)
    with Caller(gateway, KEY) as caller:
        caller.ask_chat("acme/large")
        lab.wait_for(lambda record: record.in_flight == 1)
        gateway.signal(signal.SIGTERM)
        reply = caller.reply()
        assert reply.status == 503
        assert b"shutting down" in reply.read()
    assert gateway.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_the_second_signal_ends_it_at_once(start, lab, number):
    gateway = start(delay_s=60, timeout_s=60)
    lab.does(text="one two three", stall_after=2)
    with Caller(gateway, KEY) as caller:
        stream = caller.send_chat("acme/large", stream=True)
        gateway.signal(number)
        gateway.expect("stopping")
        gateway.signal(number)
        assert gateway.wait() == 0
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            stream.read()
