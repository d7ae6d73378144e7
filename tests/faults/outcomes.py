"""What came of faults of the store and of processes, as a table for people.

python -m pytest tests/faults/test_store_faults.py tests/faults/test_process_faults.py --junitxml=outcomes.xml
PYTHONPATH=tests python -m faults.outcomes outcomes.xml > tests/faults/STORE.md
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from .store_faults import FAULTS

COUNTS = ("sent", "failed", "cut", "twice")


@dataclass(frozen=True)
class Row:
    """A test, and what it does in words."""

    test: str
    fault: str
    how: str


def _row_of(fault):
    name = "test_a_store_that_has_lost_everything" if fault.loses else "test_no_request_notices"
    return Row(f"{name}[{fault.name}]", fault.name, fault.what)


STORE = [
    *map(_row_of, FAULTS),
    Row("test_it_is_slow", "slow", "each reply takes longer than a worker waits; every command is done all the same"),
    Row("test_a_replica_takes_over", "failover", "Sentinel: the master hangs, is replaced, and comes back"),
    Row("test_a_slot_moves", "MOVED, ASK", "Cluster of three: the slot of all money goes to another node, key by key"),
    Row("test_nodes_of_a_cluster_are_frozen", "a node frozen", "Cluster of three: SIGSTOP, each node in turn"),
]
PROCESSES = [
    Row("test_each_worker_is_killed", "worker killed", "SIGKILL, each in turn"),
    Row("test_the_supervisor_is_killed", "supervisor killed", "SIGKILL; started again when all processes were gone"),
    Row("test_the_embedded_store_is_killed", "embedded store killed", "SIGKILL"),
    Row("test_the_workers_are_exchanged", "reload", "SIGHUP, three times"),
    Row("test_one_gateway_after_the_other_is_drained", "drain", "SIGTERM, one of two behind a load balancer, in turn"),
    Row(
        "test_the_disk_is_full",
        "data directory full",
        "nothing can be written there, and the store is frozen",
    ),
    Row("test_the_wall_clock_jumps", "clock jumps", "the workers' by an hour, 400 days, two days, there and back"),
]

HEAD = """# What becomes of requests when the store or a process fails

Each line is a test with real processes: a gateway of two workers under 30 to 50 requests a second, half of them streams
(`test_store_faults.py`, `test_process_faults.py`). This page is made of their outcome (`outcomes.py` says how); the
figures are those of one run, what else stands here is tested.

- *failed*: refused, or without an answer. *cut*: begun, and not ended as it should.
- *twice*: charged for more, or for less, than the caller was told. After each fault the ledger has every request, once,
  and its sum is that of the counters.
- *healed*: until all workers share again what they share: new keys, changes of keys, and who is ejected.

While the store is away all requests under way are answered before it is let back, so none waits for it. A key with a
limit spends what its workers have of it in hand, and then gets a 503; afterwards the rest of its limit can be spent, to
the last request and no further.
"""
STORE_FOOT = """
A store that was flushed, or came back empty, has lost its keys, limits and ledger; what is under way then, and comes
later, is in the new one. A replica that takes over may lack what its master had confirmed in the last moment.
"""
PROCESS_FOOT = """
What a killed worker had under way breaks off. When the supervisor is killed its workers finish what they have begun and
end, as the embedded store does; the requests that failed found nobody, until the next start.
"""
COLUMNS = "| fault | how | sent | failed | cut | twice | healed |"


def page(measured):
    """`measured`: of each row's test the words for the last columns."""
    lines = [HEAD]
    for title, rows, foot in (("The store", STORE, STORE_FOOT), ("Processes", PROCESSES, PROCESS_FOOT)):
        lines += [
            f"## {title}\n",
            "| fault | how | sent | failed | cut | twice | healed |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [f"| {' | '.join((row.fault, row.how, *measured[row.test]))} |" for row in rows]
        lines.append(foot)
    return "\n".join(lines)


def figures_of(report):
    """As `page` wants them, of a report in JUnit's form."""
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        told = {one.get("name"): one.get("value") for one in case.iter("property")}
        if told:
            healed = f"{told['healed_s']} s" if "healed_s" in told else "at once"
            found[case.get("name")] = [*(told[name] for name in COUNTS), healed]
    return found


def figures_on(text):
    """As `page` wants them, of a page."""
    lines = {line.split(" | ")[0]: line.strip("| ").split(" | ")[2:] for line in text.splitlines()}
    return {row.test: lines[f"| {row.fault}"] for row in (*STORE, *PROCESSES)}


if __name__ == "__main__":
    print(page(figures_of(Path(sys.argv[1]))), end="")  # noqa: T201 - that is what it is for
