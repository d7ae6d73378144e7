"""The whole tree: real processes, real signals, a real store."""

import http.client
import os
import pty
import signal
import socket
import subprocess
import sys
import threading

import pytest
import redis

pytestmark = pytest.mark.e2e

EMBEDDED = {"redis_url": None}
DEMO = {"demo": ["demo-swift", "demo-thrifty"]}


def until(condition):
    """Ask again and again; a hung test is ended by the limits of what it asks."""
    for _ in range(100_000):
        if condition():
            return
    raise AssertionError("it never came true")


# Start


def test_announces_once_every_slot_serves(gateway):
    running = gateway.serve(workers=2)
    assert running["pid"] == gateway.process.pid
    assert running["workers"] == len(gateway.workers()) == 2
    assert running["store"] == "masked"
    status, shown = gateway.get()
    assert (status, shown["redis"]) == (200, "redis://:secret@127.0.0.1:1/0")
    seen = set()
    until(lambda: seen.add(gateway.get()[1]["pid"]) or seen == set(gateway.workers()))


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("config", "worker 1 could not start: FAIRLEAD_X=1: is wrong, set it to 2"),
        ("bug", "worker 1 could not start: KeyError: 'missing' (tiny_gateway.py:"),
        ("told", "worker 1 could not start: no cheese"),
        ("killed", "worker 1 could not start: signal 9"),
    ],
)
def test_a_worker_that_cannot_start_ends_the_program_with_one_line(gateway, wait_until_gone, fault, why):
    gateway.start(workers=2, fault=fault, faulty_slot=1)
    assert gateway.expect("error")["text"].startswith(why)
    assert gateway.wait() == 3
    assert gateway.stderr() == ""
    wait_until_gone(gateway.seen)


def test_a_port_in_use_names_the_variable_and_the_remedy(gateway, new_gateway):
    gateway.serve()
    port = int(gateway.url.rpartition(":")[2])
    second = new_gateway("second").start(port=port)
    refused = second.expect("refused")["text"]
    assert refused.startswith(f"FAIRLEAD_PORT={port}: another program listens")
    assert second.wait() == 3


def test_a_data_directory_in_use_names_the_holder(gateway, new_gateway):
    gateway.serve(**EMBEDDED)
    second = new_gateway("second").start(**EMBEDDED)
    refused = second.expect("refused")["text"]
    assert refused.startswith("FAIRLEAD_DATA_DIR=")
    assert f"(pid {gateway.process.pid})" in refused
    assert second.wait() == 3
    assert gateway.get()[0] == 200


def test_can_be_stopped_while_it_starts(gateway, wait_until_gone):
    gateway.start(workers=2)
    until(lambda: len(gateway.workers()) == 2)
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    wait_until_gone(gateway.seen)


# Workers that end


def test_a_killed_worker_is_replaced_and_its_queue_is_served(gateway, wait_until_gone):
    gateway.serve()
    [worker] = gateway.workers()
    os.kill(worker, signal.SIGSTOP)
    with gateway.connect() as queued:
        queued.request("GET", "/show")  # accepted by the kernel, by no process
        os.kill(worker, signal.SIGKILL)
        gateway.expect("warning", "worker 0 died (signal 9), starting another")
        response = queued.getresponse()
        assert response.status == 200
        response.read()
    wait_until_gone([worker])
    assert gateway.workers() != [worker]


def test_a_worker_told_to_end_is_replaced_while_it_drains(gateway, open_stream):
    gateway.serve()
    [worker] = gateway.workers()
    stream = open_stream()
    os.kill(worker, signal.SIGTERM)
    gateway.expect("warning", "worker 0 is leaving, starting another")
    until(lambda: gateway.get()[1]["pid"] != worker)
    stream.send(b"still")
    assert stream.response.read(5) == b"still"
    assert stream.finish() == b""


# Stop


def test_drains_on_sigterm(gateway, open_stream, wait_until_gone):
    gateway.serve(workers=2)
    stream = open_stream()
    gateway.signal(signal.SIGTERM)
    gateway.expect("info", "stopping")
    until(lambda: len(gateway.workers()) == 1)  # the idle one
    stream.send(b"still")
    assert stream.response.read(5) == b"still"
    assert stream.finish() == b""
    assert gateway.wait() == 0
    wait_until_gone(gateway.seen)


def test_ctrl_c_is_for_the_supervisor_only(gateway, open_stream):
    gateway.serve(workers=2)
    stream = open_stream()
    os.killpg(gateway.process.pid, signal.SIGINT)
    gateway.expect("info", "stopping")
    stream.send(b"still")
    assert stream.response.read(5) == b"still"
    assert stream.finish() == b""
    assert gateway.wait() == 0
    assert gateway.stderr() == ""


def test_serves_unready_for_the_delay_and_a_second_signal_is_now(gateway, open_stream, wait_until_gone):
    gateway.serve(drain_delay_s=600)
    stream = open_stream()
    assert gateway.get("/readyz")[0] == 200
    gateway.signal(signal.SIGTERM)
    gateway.expect("info", "stopping")
    until(lambda: gateway.get("/readyz")[0] == 503)
    with gateway.connect() as client:
        client.request("GET", "/show")
        response = client.getresponse()
        assert (response.status, response.headers["connection"]) == (200, "close")
        response.read()
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        stream.response.read()
    wait_until_gone(gateway.seen)


def test_ends_what_is_open_in_band_when_the_drain_time_runs_out(gateway, open_stream):
    gateway.serve(drain_timeout_s=0)
    stream = open_stream()
    gateway.signal(signal.SIGTERM)
    assert stream.response.read() == b"expired"
    assert gateway.wait() == 0


def test_everything_ends_with_a_killed_supervisor(gateway, open_stream, wait_until_gone):
    gateway.serve(workers=2, **EMBEDDED, **DEMO)
    stream = open_stream()
    gateway.signal(signal.SIGKILL)
    assert stream.finish() == b""
    wait_until_gone(gateway.seen)


def test_the_port_is_free_at_once_after_a_killed_supervisor(gateway, new_gateway, open_stream, wait_until_gone):
    gateway.serve()
    port = int(gateway.url.rpartition(":")[2])
    stream = open_stream()
    gateway.signal(signal.SIGKILL)

    def is_free():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    until(is_free)
    second = new_gateway("second")
    second.serve(port=port)
    assert stream.finish() == b""  # by the old worker, still draining


@pytest.mark.parametrize(
    ("before", "kind", "text"),
    [("pass", "info", "stopping"), ("signal.signal(signal.SIGHUP, signal.SIG_IGN)", "info", "reloaded")],
    ids=["plain", "nohup"],
)
def test_the_closing_of_its_terminal_stops_it_unless_under_nohup(gateway, before, kind, text):
    gateway.configure()
    ours, theirs = pty.openpty()
    program = [sys.executable, "-c", TAKE_TERMINAL.format(before=before), os.ttyname(theirs), *gateway.command()]
    gateway.process = subprocess.Popen(program, stdout=subprocess.PIPE, start_new_session=True)
    os.close(theirs)
    gateway.expect("running")
    gateway.note_processes()
    os.close(ours)
    gateway.expect(kind, text)


TAKE_TERMINAL = "import os, signal, sys; {before}; os.open(sys.argv[1], os.O_RDWR); os.execv(sys.argv[2], sys.argv[2:])"
"""The first terminal that a session leader opens controls it."""


# Reload


def test_sighup_exchanges_the_workers_without_a_failed_request(gateway, open_stream):
    gateway.serve(workers=2, mark="old")
    before = gateway.workers()
    stream = open_stream()
    failures, served, enough = [], [], threading.Event()

    def load(is_kept):
        while not enough.is_set():
            with gateway.connect() as client:
                try:
                    for _ in range(20 if is_kept else 1):
                        client.request("GET", "/show")
                        served.append(client.getresponse().read())
                except (OSError, http.client.HTTPException) as error:
                    failures.append(error)

    clients = [threading.Thread(target=load, args=(is_kept,)) for is_kept in (True, False)]
    for client in clients:
        client.start()
    gateway.configure(workers=2, mark="new")
    gateway.signal(signal.SIGHUP)
    gateway.expect("info", "reloaded, 2 workers exchanged")
    until(lambda: sum(b'"new"' in shown for shown in served) > 100)
    enough.set()
    for client in clients:
        client.join()
    assert failures == []
    assert stream.finish() == b""  # by an old one
    until(lambda: len(gateway.workers()) == 2)
    assert not set(before) & set(gateway.workers())
    assert gateway.get()[1]["mark"] == "new"


def test_a_bad_configuration_is_refused(gateway):
    gateway.serve(mark="old")
    before = gateway.workers()
    gateway.configure(bad=1)
    gateway.signal(signal.SIGHUP)
    refused = gateway.expect("error")["text"]
    assert refused == "reload refused, the old configuration stays: FAIRLEAD_BAD=1: is bad"
    assert gateway.workers() == before
    assert gateway.get()[1]["mark"] == "old"


@pytest.mark.parametrize("faulty_slot", [0, 1])
def test_all_workers_keep_the_old_settings_when_one_cannot_start_with_the_new(gateway, faulty_slot):
    gateway.serve(workers=2, mark="old")
    gateway.configure(workers=2, mark="new", fault="told", faulty_slot=faulty_slot)
    gateway.signal(signal.SIGHUP)
    gateway.expect("error", f"reload given up, worker {faulty_slot} could not start: no cheese")
    until(lambda: {gateway.get()[1]["mark"] for _ in range(20)} == {"old"} and len(gateway.workers()) == 2)
    gateway.configure(workers=2, mark="newer")
    gateway.signal(signal.SIGHUP)
    gateway.expect("info", "reloaded")


def test_says_which_changes_need_a_restart(gateway):
    gateway.serve()
    gateway.configure(workers=3, port=1, redis_url="redis://other")
    gateway.signal(signal.SIGHUP)
    said = gateway.expect("warning")["text"]
    assert said == "reload leaves out FAIRLEAD_PORT, FAIRLEAD_WORKERS, FAIRLEAD_REDIS_URL: restart to change that"
    gateway.expect("info", "reloaded, 1 workers exchanged")


def test_systemd_is_told(tmp_path, new_gateway):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        gateway = new_gateway("notifying", str(tmp_path / "notify"))
        gateway.serve()
        assert systemd.recv(256) == b"READY=1"
        gateway.signal(signal.SIGHUP)
        assert systemd.recv(256).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert systemd.recv(256) == b"READY=1"
        gateway.signal(signal.SIGTERM)
        assert systemd.recv(256) == b"STOPPING=1"
        assert gateway.wait() == 0


def pulses_before_silence(systemd, most=10):
    for count in range(most):
        try:
            assert systemd.recv(256) == b"WATCHDOG=1"
        except TimeoutError:
            return count
    return most


def test_systemd_hears_that_the_workers_live_until_one_does_not(tmp_path, new_gateway):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        gateway = new_gateway("watched", str(tmp_path / "notify"), "3")
        gateway.serve(workers=2)
        assert [systemd.recv(256) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        frozen, _ = gateway.workers()
        os.kill(frozen, signal.SIGSTOP)
        systemd.settimeout(3)  # as long as it waits itself, before it ends what is silent
        assert pulses_before_silence(systemd) <= 2, "what was on its way"
        systemd.settimeout(30)
        os.kill(frozen, signal.SIGCONT)
        assert systemd.recv(256) == b"WATCHDOG=1"
        gateway.signal(signal.SIGTERM)
        said = b""
        while said != b"STOPPING=1":
            said = systemd.recv(256)
        assert gateway.wait() == 0


# The other children


def test_the_embedded_store_keeps_its_data_through_its_death_and_ours(gateway, new_gateway):
    running = gateway.serve(**EMBEDDED)
    assert running["store"].startswith("embedded ")
    url = gateway.get()[1]["redis"]
    with redis.Redis.from_url(url) as store:
        store.set("kept", "yes")
    os.kill(gateway.child(b"unixsocket:"), signal.SIGKILL)
    gateway.expect("warning", "embedded store died (signal 9), starting it again")
    until(lambda: answer(url) == b"yes")
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    second = new_gateway("second")
    second.serve(**EMBEDDED)
    assert answer(second.get()[1]["redis"]) == b"yes"


def answer(url):
    try:
        with redis.Redis.from_url(url) as store:
            return store.get("kept")
    except redis.ConnectionError:
        return None


def test_the_demo_comes_back_on_its_ports(gateway):
    running = gateway.serve(**DEMO)
    assert list(running["demo"]) == DEMO["demo"]
    assert gateway.get()[1]["demo"] == running["demo"]
    os.kill(gateway.child(b"fairlead.demo"), signal.SIGKILL)
    gateway.expect("warning", "demo died (signal 9), starting it again")
    for url in running["demo"].values():
        until(lambda url=url: listens(url))
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0


def listens(url):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", int(url.split(":")[2].split("/")[0]))) == 0
