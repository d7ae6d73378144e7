"""What can happen to a store, and how it is mended. Each is done to a real one, under load (`test_store_faults.py`)."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from redis import Redis

from harness.process import until
from harness.valkey import free_port

PASSWORD = "nobody-told-the-workers"


def _client(server, password=None):
    return Redis(port=server.port, password=password, decode_responses=True)


def _set(server, name, value):
    with _client(server) as client:
        client.config_set(name, value)


def _flush(server):
    with _client(server) as client:
        client.flushall()


def _restart_empty(server):
    server.kill()
    shutil.rmtree(server.directory / "appendonlydir", ignore_errors=True)
    (server.directory / "appendonly.aof").unlink(missing_ok=True)  # where Redis 6.2 has it
    server.start()


def _follow_nobody(server):
    with _client(server) as client:
        client.replicaof("127.0.0.1", free_port())


def _follow_no_more(server):
    with _client(server) as client:
        client.replicaof("NO", "ONE")


def _lock(server):
    with _client(server) as client:
        client.config_set("requirepass", PASSWORD)
        for kind in ("normal", "pubsub"):
            client.client_kill_filter(_type=kind, skipme=True)


def _unlock(server):
    with _client(server, PASSWORD) as client:
        client.config_set("requirepass", "")


def _saves(client, status):
    if client.info("persistence")["rdb_bgsave_in_progress"]:
        return False
    if client.info("persistence")["rdb_last_bgsave_status"] == status:
        return True
    client.bgsave()
    return False


def _fill_disk(server):
    """It cannot write a snapshot any more, and so takes no more writes."""
    (server.directory / "dump.rdb").unlink(missing_ok=True)
    (server.directory / "dump.rdb" / "in the way").mkdir(parents=True)
    with _client(server) as client:
        client.config_set("save", "3600 1")
        until(lambda: _saves(client, "err"))


def _free_disk(server):
    shutil.rmtree(server.directory / "dump.rdb")
    with _client(server) as client:
        until(lambda: _saves(client, "ok"))
        client.config_set("save", "")


def _nothing(server):
    pass


@dataclass(frozen=True)
class StoreFault:
    """`harm` and `heal` are given the server."""

    name: str
    what: str
    harm: Callable
    heal: Callable
    loses: bool = False
    """Whether what it knew is gone afterwards."""


FAULTS = [
    StoreFault("killed", "SIGKILL; started again with its files", lambda it: it.kill(), lambda it: it.start()),
    StoreFault("frozen", "SIGSTOP; SIGCONT", lambda it: it.freeze(), lambda it: it.thaw()),
    StoreFault("READONLY", "`REPLICAOF` a dead host; `NO ONE`", _follow_nobody, _follow_no_more),
    StoreFault(
        "OOM",
        "`maxmemory 1`, `noeviction`; 0",
        lambda it: _set(it, "maxmemory", "1"),
        lambda it: _set(it, "maxmemory", "0"),
    ),
    StoreFault("wrong password", "`requirepass`, all connections killed; none", _lock, _unlock),
    StoreFault("full disk", "snapshots fail: `MISCONF`; they can be written", _fill_disk, _free_disk),
    StoreFault("flushed", "`FLUSHALL`", _flush, _nothing, loses=True),
    StoreFault("restarted empty", "SIGKILL, its files removed, started at once", _restart_empty, _nothing, loses=True),
]
