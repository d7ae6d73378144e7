"""Process faults, under load: killed, exchanged, drained, without room on the disk, and with clocks that jump."""

import contextlib
import os
import re
import resource
import signal
import struct

import pytest

from harness.process import SOURCE, GatewayProcess, children, until
from harness.valkey import Valkey, free_port

from .balancer import Balancer
from .conftest import QUICK
from .load import Load
from .rig import KEY, WORKERS, Allowance, Rig, environment, judge, judge_money, timed


@pytest.fixture
def long_replies(providers):
    """So that some are under way whenever something happens."""
    lab, _ = providers
    lab.does(text="word " * 15, first_byte_delay_s=0.01, token_delay_s=0.005)
    yield
    lab.does(**QUICK)


@pytest.fixture(scope="module")
def rig(providers, tmp_path_factory):
    """With the embedded store; each test leaves it whole."""
    with GatewayProcess(tmp_path_factory.mktemp("process-faults"), environment(*providers)) as gateway:
        yield Rig(gateway, gateway.store_url)


def test_each_worker_is_killed(rig, long_replies, record_property):
    """What it had under way breaks off; nobody else notices. What it had leased of a limit can be spent by others."""
    gateway = rig.gateway
    allowance = Allowance(rig, max_tokens=40)
    with rig.load(KEY) as load:
        allowance.ask_each(200)
        for pid in gateway.workers():
            heard, known = len(gateway.lines), {one.worker for one in load.told}
            broken = len(load.failed + load.cut)
            os.kill(pid, signal.SIGKILL)
            gateway.expect("died (signal 9), starting another", after=heard)
            dead = len(load.told)
            with timed(record_property):
                until(lambda: len(gateway.workers()) == WORKERS)
                until(lambda known=known: {one.worker for one in load.told} - known)  # the new one serves
            load.go_on()
            hit = (load.failed + load.cut)[broken:]
            assert all(one.number < dead for one in hit)
            alive = {one.worker for one in load.told[dead:]}
            assert {one.worker for one in hit} & alive <= {""}
    judge_money(rig, load, load.whole, record_property)
    assert allowance.is_used_up()


def test_the_supervisor_is_killed(new_gateway, long_replies, record_property):
    """The workers finish what they have begun, and everything ends; a new start on the same files has all of it."""
    gateway = new_gateway().start()
    family = [gateway.pid, *children(gateway.pid)]
    with Load(lambda: [(gateway.url, KEY)]) as load:
        gateway.signal(signal.SIGKILL)
        gateway.wait()
        until(lambda: not any(map(is_alive, family)))
        load.rest()
        ended = len(load.told)
        again = new_gateway(FAIRLEAD_PORT=str(gateway.port)).start()
        rig = Rig(again, again.store_url)
        load.go()
        with timed(record_property):
            rig.wait_until_healed()
        load.go_on()
    assert load.cut == []
    assert all(one.number < ended and CONNECTION_FAULT.search(one.fault) for one in load.failed)
    judge_money(rig, load, load.whole, record_property)


CONNECTION_FAULT = re.compile("ClientConnectorError|ServerDisconnectedError|reset by peer")
"""What is to be expected where nobody listens."""


def is_alive(pid):
    """A zombie is not."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"
    return False


def test_the_embedded_store_is_killed(rig, record_property):
    heard = len(rig.gateway.lines)
    with rig.load(KEY) as load:
        os.kill(rig.gateway.store_pid(), signal.SIGKILL)
        rig.gateway.expect("embedded store died (signal 9), starting it again", after=heard)
        with timed(record_property):
            rig.wait_until_healed()
        load.go_on()
    judge(rig, load, load.told, record_property)


def test_the_workers_are_exchanged(rig, long_replies, record_property):
    """Three times."""
    with rig.load(KEY) as load:
        for _ in range(3):
            heard = len(rig.gateway.lines)
            rig.gateway.signal(signal.SIGHUP)
            rig.gateway.expect("reloaded, 2 workers exchanged", after=heard)
            load.go_on(10)
        until(lambda: len(rig.gateway.workers()) == WORKERS)
        with timed(record_property):
            rig.wait_until_healed()
    judge(rig, load, load.told, record_property)


def test_one_gateway_after_the_other_is_drained(new_gateway, tmp_path, long_replies, record_property):
    """Both behind a load balancer, with a store that they share."""
    with contextlib.closing(Valkey(port=free_port())) as server, Balancer() as balancer:
        url = f"redis://127.0.0.1:{server.start().port}"

        def start(name):
            gateway = new_gateway(
                tmp_path / name, FAIRLEAD_WORKERS="1", FAIRLEAD_REDIS_URL=url, FAIRLEAD_DRAIN_DELAY_S="0.5"
            )
            balancer.add(gateway.start())
            return gateway

        def drain(gateway):
            gateway.signal(signal.SIGTERM)
            assert gateway.wait() == 0
            balancer.remove(gateway)

        one, other = start("one"), start("other")
        with Load(lambda: [(url, KEY) for url in balancer.ready()]) as load:
            drain(one)
            again = start("one")
            load.go_on()
            drain(other)
            load.go_on()
        judge(Rig(again, server.url), load, load.told, record_property)
        assert len({one.worker for one in load.told}) == 3


def test_the_disk_is_full(rig, record_property):
    """Nothing can be written to it, while the store does not answer: what is charged is in memory alone."""
    gateway = rig.gateway
    store, heard = gateway.store_pid(), len(gateway.lines)
    with rig.load(KEY) as load:
        for pid in gateway.workers():
            limit_files(pid, 0)
        os.kill(store, signal.SIGSTOP)
        try:
            gateway.expect("charges cannot be written to the disk", after=heard)
            until(lambda: rig.says("away"))
            load.go_on()
            load.rest()
        finally:
            os.kill(store, signal.SIGCONT)
        for pid in gateway.workers():
            limit_files(pid, resource.RLIM_INFINITY)
        load.go()
        with timed(record_property):
            gateway.expect("charges are written to the disk again", after=heard)
            rig.wait_until_healed()
    judge(rig, load, load.told, record_property)
    assert sum("charges cannot be written to the disk" in line for line in gateway.lines) == WORKERS


def limit_files(pid, most_bytes):
    """No file may be longer than that, of those that it writes."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most_bytes, hard))


JUMPING_CLOCK = """
import mmap, os, struct, time
with open(os.environ["CLOCK_OFFSET"], "r+b") as file:
    _offset = mmap.mmap(file.fileno(), 8)
_time = time.time
time.time = lambda: _time() + struct.unpack("d", _offset)[0]
"""
"""Of every Python process that has it on its path as sitecustomize: its wall clock shows so many seconds more."""


@pytest.fixture
def set_wall_clock(tmp_path):
    """Sets the wall clock of gateways that are started with these `variables`, by so many seconds of offset."""
    (tmp_path / "sitecustomize.py").write_text(JUMPING_CLOCK)

    def set_wall_clock(offset_s):
        with open(tmp_path / "offset", "r+b" if (tmp_path / "offset").exists() else "wb") as file:
            file.write(struct.pack("d", offset_s))

    set_wall_clock.variables = {"PYTHONPATH": f"{tmp_path}:{SOURCE}", "CLOCK_OFFSET": str(tmp_path / "offset")}
    set_wall_clock(0.0)
    return set_wall_clock


def test_the_wall_clock_jumps(new_gateway, set_wall_clock, record_property):
    """By an hour, a day and more, there and back. Only the dates of the books change."""
    gateway = new_gateway(**set_wall_clock.variables).start()
    rig = Rig(gateway, gateway.store_url)
    with rig.load(KEY) as load:
        for offset_s in (3_600.0, -3_600.0, 400 * 86_400.0, -2 * 86_400.0):
            set_wall_clock(offset_s)
            load.go_on(10)
        with timed(record_property):
            rig.wait_until_healed()
    judge(rig, load, load.told, record_property)
    days = {int(one.id.split("-")[1]) // 86_400 for one in load.told}
    assert len(days) >= 3, "the clock was never set"
