"""Real Valkeys that belong together: a master and its replica with a sentinel, and a cluster.

Tests share them. One that kills, freezes or rearranges ends with `heal`; what was stored may be gone then.
"""

from redis import Redis
from redis.crc import key_slot

from harness.process import until
from harness.valkey import SentinelProcess, Valkey, free_cluster_port, free_port

SLOTS = 16384


class Sentinelled:
    """`master`, and a `replica` that the `sentinel` puts in its place when told to `fail_over`."""

    def __init__(self):
        self.master, self.replica = (Valkey(port=free_port(), repl_diskless_sync_delay=0) for _ in range(2))
        self.sentinel = SentinelProcess(free_port(), self.master.port)
        self.url = f"redis+sentinel://127.0.0.1:{self.sentinel.port}/main"

    def start(self):
        self.master.start()
        self.heal()
        self.sentinel.start()
        return self

    def fail_over(self):
        """Return once the sentinel names the other one. The former master goes on as such if it was alive."""
        until(self._has_failed_over)
        self.master, self.replica = self.replica, self.master

    def _has_failed_over(self):
        known = self.sentinel.ask("SENTINEL", "MASTER", "main")
        if known["port"] == str(self.replica.port):
            return True
        if "failover_in_progress" not in known["flags"]:  # not begun, or given up because the replica was too new
            self.sentinel.ask("SENTINEL", "FAILOVER", "main")
        return False

    def is_level(self):
        """Whether what has been confirmed is on both."""
        return _offset(self.master) == _offset(self.replica)

    def demote(self):
        """Make the former master a replica, as the sentinel does, but for the eight seconds for which that waits.

        With all that the sentinel does then: who is still connected has to look for the master anew. A subscriber that
        stayed would miss what is published before the new replica has its link.
        """
        self.replica.ask("REPLICAOF", "127.0.0.1", self.master.port)
        for kind in ("normal", "pubsub"):
            self.replica.ask("CLIENT", "KILL", "TYPE", kind)

    def heal(self):
        for server in (self.master, self.sentinel, self.replica):
            if server.is_running:
                server.thaw()
        if not self.replica.is_running:
            self.replica.start()
        self.demote()
        until(lambda: "connected" in self.replica.ask("ROLE"))

    def close(self):
        for server in (self.sentinel, self.replica, self.master):
            server.close()


class Cluster:
    """Three `nodes` with a third of the slots each. While one is away the others go on."""

    def __init__(self):
        self.nodes = [_node() for _ in range(3)]
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self):
        for n, node in enumerate(self.nodes):
            node.start()
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            node.ask("CLUSTER", "ADDSLOTS", *range(-(-SLOTS * n // 3), -(-SLOTS * (n + 1) // 3)))
            self._introduce(node)
        self.heal()
        return self

    def _introduce(self, node):
        first = self.nodes[0]
        node.ask("CLUSTER", "MEET", "127.0.0.1", first.port)

    def node_of(self, key):
        return self.nodes[key_slot(key.encode()) * 3 // SLOTS]

    def add_replica(self, node):
        """Return a fourth node, which can take the place of `node`."""
        replica = _node().start()
        self.nodes.append(replica)
        self._introduce(replica)
        name = node.ask("CLUSTER", "MYID")
        until(lambda: replica.ask("CLUSTER", "REPLICATE", name))
        until(lambda: "connected" in replica.ask("ROLE"))
        until(lambda: all(self._sees_all(node) and self._knows_all(node) for node in self.nodes))
        return replica

    def heal(self):
        for node in self.nodes:
            if node.is_running:
                node.thaw()
            else:
                node.start()
        until(lambda: all(self._sees_all(node) for node in self.nodes))

    def _sees_all(self, node):
        state = node.ask("CLUSTER", "INFO") or ""
        return "cluster_state:ok" in state and f"cluster_slots_ok:{SLOTS}" in state

    def _knows_all(self, node):
        """Redis tells of a new node slowly: who does not know it does not let it take over."""
        return f"cluster_known_nodes:{len(self.nodes)}" in (node.ask("CLUSTER", "INFO") or "")

    def close(self):
        for node in self.nodes:
            node.close()

    def move(self, key):
        """Return the move of this key's slot to the next node, not begun."""
        owner = self.node_of(key)
        return Move(self, key_slot(key.encode()), owner, self.nodes[self.nodes.index(owner) - 1])


class Move:
    """A slot that goes from one node to another: `begin`, `carry` until that returns False, `end`; and `undo` all."""

    def __init__(self, cluster, slot, owner, other):
        self._cluster = cluster
        self._slot = slot
        self.owner, self.other = owner, other

    def begin(self):
        """Who asks the owner for a key that it has not, is sent on to the other one for this time."""
        self.other.ask("CLUSTER", "SETSLOT", self._slot, "IMPORTING", self.owner.ask("CLUSTER", "MYID"))
        self.owner.ask("CLUSTER", "SETSLOT", self._slot, "MIGRATING", self.other.ask("CLUSTER", "MYID"))

    @property
    def left(self):
        """The keys that the owner still has."""
        return sorted(self.owner.ask("CLUSTER", "GETKEYSINSLOT", self._slot, 1_000_000))

    def carry(self, which=0):
        """Take one key over, by its place among those that are left; False when there is none."""
        if not (left := self.left):
            return False
        key = left[min(which, len(left) - 1)]
        assert self.owner.ask("MIGRATE", "127.0.0.1", self.other.port, key, 0, 5000) == "OK", f"{key} is there twice"
        return True

    def end(self):
        """From now on it is the other one's. Its keys must have been carried."""
        assert not self.left
        for node in (self.other, self.owner, *self._cluster.nodes):
            node.ask("CLUSTER", "SETSLOT", self._slot, "NODE", self.other.ask("CLUSTER", "MYID"))

    def undo(self):
        """The slot is the owner's again; nothing is stored any more."""
        for node in self._cluster.nodes:
            node.ask("FLUSHALL")
        for node in (self.owner, self.other, *self._cluster.nodes):
            node.ask("CLUSTER", "SETSLOT", self._slot, "NODE", self.owner.ask("CLUSTER", "MYID"))


def _offset(server):
    """How much of the master's stream a server has written, or read."""
    with Redis(port=server.port) as client:
        told = client.info("replication")
        return told["master_repl_offset"] if told["role"] == "master" else told["slave_repl_offset"]


def _node():
    return Valkey(
        port=free_cluster_port(),
        cluster_enabled="yes",
        cluster_require_full_coverage="no",
        repl_diskless_sync_delay=0,
    )
