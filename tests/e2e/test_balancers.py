"""The shipped load balancers, as real programs, in front of two gateways that share one Valkey."""

import contextlib
import http.client
import os
import signal
import socket

import pytest

from fairlead.edge.brake import BURST
from harness.balancers import KINDS, Balancer
from harness.paced import WORDS, Paced
from harness.process import PATIENCE_S, GatewayProcess, until
from harness.valkey import Valkey, free_port

from .caller import Caller, Load
from .conftest import provider

KEY = "sk-e2e-balanced-4c19d2"
ALL = [pytest.param(kind, id=kind.name) for kind in KINDS]
MANY = 4 * BURST
"""Guesses: twice as many as two gateways let pass."""
CHECKING = [pytest.param(kind, id=kind.name) for kind in KINDS if kind.has_health_checks]


@pytest.fixture(scope="module")
def paced():
    with Paced() as paced:
        yield paced


@pytest.fixture(scope="module")
def lab(simulators):
    return simulators.start()


@pytest.fixture(scope="module")
def env(paced, lab):
    """Of both gateways; their drain takes as long as it does where nobody says otherwise."""
    with contextlib.closing(Valkey()) as store:
        store.start()
        yield {
            "FAIRLEAD_REDIS_URL": store.url,
            "FAIRLEAD_WORKERS": "1",
            "FAIRLEAD_API_KEYS": KEY,
            "FAIRLEAD_TRUSTED_PROXIES": "127.0.0.1/32",
            "FAIRLEAD_DRAIN_DELAY_S": "5",
            "FAIRLEAD_DRAIN_TIMEOUT_S": "60",
            **provider("lab", lab, models="acme/large"),
            **provider("slow", paced, models="acme/paced"),
        }


@contextlib.contextmanager
def pair(folder, env, **first):
    """Two gateways; `first` has settings that the second does not have."""
    with contextlib.ExitStack() as running:
        yield [
            running.enter_context(GatewayProcess(folder / f"{n}", {**env, "FAIRLEAD_PORT": str(free_port()), **more}))
            for n, more in enumerate((first, {}), 1)
        ]


@pytest.fixture(scope="module")
def gateways(env, tmp_path_factory):
    """Two that each test leaves whole."""
    with pair(tmp_path_factory.mktemp("pair"), env) as gateways:
        yield gateways


@pytest.fixture
def balancer(request, gateways, tmp_path):
    with Balancer(request.param, tmp_path / "balancer", [gateway.port for gateway in gateways]) as balancer:
        yield balancer


@pytest.fixture(autouse=True)
def as_new(paced, lab):
    paced.allow(1)
    lab.reset()


@pytest.fixture
def opened():
    with contextlib.ExitStack() as opened:
        yield opened


def worker_of(reply):
    """As `Answer.worker`, of a reply that is still being read."""
    return reply.getheader("x-generation-id").split("-")[2][:10]


def read_to(stream, word):
    """Read on until `word` has come; return all that came."""
    text = b""
    while word.encode() not in text:
        part = stream.read1()
        assert part, f"it ended before {word!r}: {text}"
        text += part
    return text


@pytest.mark.parametrize("kind", ALL)
def test_the_program_takes_the_shipped_file(kind, tmp_path):
    """Warnings count: what it would only grumble about today it refuses tomorrow."""
    said, is_taken = Balancer(kind, tmp_path / "checked", [free_port(), free_port()]).check()
    assert is_taken, said
    assert "warn" not in said.lower(), said


@pytest.mark.parametrize("balancer", ALL, indirect=True)
def test_a_stream_comes_through_word_by_word(balancer, paced):
    with Caller(balancer, KEY) as caller:
        stream = caller.send_chat("acme/paced", stream=True)
        assert stream.getheader("content-type").startswith("text/event-stream")
        for said, word in enumerate(WORDS, 1):
            came = read_to(stream, word.strip())
            assert not any(later.strip().encode() in came for later in WORDS[said:])
            paced.allow(said + 1)
        assert (came + stream.read()).endswith(b"data: [DONE]\n\n")


def streams_on_both(balancer, opened):
    """Streams that have begun, at least one on each gateway: (worker, stream)."""
    streams = []
    for _ in range(60):
        stream = opened.enter_context(Caller(balancer, KEY)).send_chat("acme/paced", stream=True)
        assert stream.status == 200
        read_to(stream, WORDS[0].strip())
        streams.append((worker_of(stream), stream))
        if len({worker for worker, _ in streams}) == 2:
            break
    assert len({worker for worker, _ in streams}) == 2, "all went to one gateway"
    return streams


def refuses(gateway):
    try:
        socket.create_connection(("127.0.0.1", gateway.port), PATIENCE_S).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass
    return False


@pytest.mark.parametrize("balancer", ALL, indirect=True)
def test_a_gateway_is_exchanged_under_load_and_nobody_notices(balancer, gateways, paced, opened):
    first, _ = gateways
    loads = [opened.enter_context(Load(balancer, KEY, "acme/large")) for _ in range(2)]
    streams = streams_on_both(balancer, opened)
    before = {worker for worker, _ in streams}
    first.signal(signal.SIGTERM)
    until(lambda: refuses(first))
    for load in loads:
        load.go_on()
    paced.allow(len(WORDS))
    for _, stream in streams:
        assert stream.read().endswith(b"data: [DONE]\n\n")
    assert first.wait() == 0
    for load in loads:
        load.go_on()
    first.close()
    first.start()

    def is_back():
        with Caller(balancer, KEY) as caller:
            return caller.chat("acme/large").worker not in before

    until(is_back)
    for load in loads:
        load.go_on()
        load.__exit__()
        assert load.is_flawless, (load.failures, set(load.answers), balancer.log)


@pytest.mark.parametrize("kind", CHECKING)
def test_a_gateway_that_drains_is_left_alone_while_it_still_serves(kind, env, tmp_path):
    assert kind.program  # or it is skipped
    with (
        pair(tmp_path, env, FAIRLEAD_DRAIN_DELAY_S="3600") as gateways,
        Balancer(kind, tmp_path / "balancer", [gateway.port for gateway in gateways]) as balancer,
    ):

        def workers(gateway, count=20):
            with contextlib.ExitStack() as opened:
                return {opened.enter_context(Caller(gateway, KEY)).chat("acme/large").worker for _ in range(count)}

        drained, other = (workers(gateway, 1) for gateway in gateways)
        until(lambda: workers(balancer) == drained | other)
        gateways[0].signal(signal.SIGTERM)
        until(lambda: workers(balancer) == other)
        assert workers(gateways[0], 1) == drained, "it would still have served"


def chats(lab):
    return len(lab.asked("/chat/completions"))


def has_request(gateway):
    with Caller(gateway, KEY) as caller:
        return caller.get("/readyz?verbose").json["in_flight"] > 0


@pytest.mark.parametrize("balancer", ALL, indirect=True)
def test_what_a_gateway_had_begun_is_not_sent_again(balancer, gateways, lab):
    """It would be paid twice."""
    lab.does(hang=True)
    before = chats(lab)
    with Caller(balancer, KEY) as caller:
        caller.ask_chat("acme/large")
        lab.wait_for(lambda record: record.in_flight == 1)
        [asked] = filter(has_request, gateways)
        [worker] = asked.workers()
        os.kill(worker, signal.SIGKILL)
        assert caller.reply().status in (502, 503)
    assert chats(lab) - before == 1
    lab.does()
    with Caller(asked, KEY) as caller:
        assert caller.chat("acme/large").status == 200, "its supervisor has started another worker"


def guess(gateway, source, claims=()):
    """Ask with wrong keys from an address of loopback until told to wait, claiming to be somebody else each time.

    Returns how many tries it took; None when it was never slowed down.
    """
    for n, claim in enumerate(claims or [None] * MANY, 1):
        connection = http.client.HTTPConnection(
            "127.0.0.1", gateway.port, timeout=PATIENCE_S, source_address=(source, 0)
        )
        with contextlib.closing(connection):
            headers = {"authorization": f"Bearer sk-wrong-{n}"}
            if claim is not None:
                headers |= {"x-forwarded-for": claim, "forwarded": f"for={claim}", "x-real-ip": claim}
            connection.request("GET", "/v1/key", headers=headers)
            status = connection.getresponse().status
        if status == 429:
            return n
        assert status == 401
    return None


@pytest.mark.parametrize("balancer", ALL, indirect=True)
def test_who_guesses_keys_is_known_by_the_address_that_the_balancer_saw(balancer):
    kind = 10 * (1 + KINDS.index(balancer.kind))  # addresses that no other balancer's test has used
    strangers = [f"198.51.100.{n}" for n in range(MANY)]
    assert guess(balancer, f"127.0.{kind}.1") is not None
    assert guess(balancer, f"127.0.{kind}.2", strangers[:1]) is None, "a neighbour pays for it: all look like one"
    assert guess(balancer, f"127.0.{kind}.3", strangers) is not None, "a caller's word was believed"


def test_a_caller_that_comes_past_the_balancer_is_not_believed(gateways):
    strangers = [f"198.51.100.{n}" for n in range(MANY)]
    assert guess(gateways[0], "127.0.9.1", strangers) is not None
    assert guess(gateways[0], "127.0.0.1", strangers) is None, "this is the address of the balancer"
