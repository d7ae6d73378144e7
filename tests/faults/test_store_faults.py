"""Redis faults, under load: no request fails or waits, limits are kept to, nothing counts twice, and all heals."""

import contextlib

import pytest

from fairlead.store.money import SLOT
from fairlead.store.server import TIMEOUT_S
from harness.process import GatewayProcess, until
from harness.slow import SlowWay
from harness.valkey import Valkey, free_port

from .load import MODEL
from .rig import KEY, Allowance, Rig, environment, judge, timed
from .store_faults import FAULTS


@pytest.fixture(scope="module")
def server():
    with contextlib.closing(Valkey(port=free_port(), appendonly="yes", appendfsync="always")) as server:
        yield server.start()


@pytest.fixture(scope="module")
def rig(providers, server, tmp_path_factory):
    env = environment(*providers, FAIRLEAD_REDIS_URL=f"redis://127.0.0.1:{server.port}")
    gateway = GatewayProcess(tmp_path_factory.mktemp("store-faults"), env)
    with gateway, Rig(gateway, server.url).connected() as rig:
        yield rig


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if not fault.loses], ids=lambda fault: fault.name)
def test_no_request_notices(rig, server, fault, record_property):
    stored, _ = rig.new_key("in the store")
    allowance = Allowance(rig)
    allowance.ask_each(200)
    rig.show(stored)
    with rig.load(KEY, stored) as load:
        fault.harm(server)
        until(lambda: rig.says("away"))
        refusals = allowance.ask_each(503)  # what is here of its limit is used up, and no more can be had
        load.go_on()
        load.rest()  # all of them were answered while it lasted: none has waited for its end
        fault.heal(server)
        load.go()
        with timed(record_property):
            rig.wait_until_healed()
        load.go_on()
    judge(rig, load, load.told, record_property)
    assert all("limits of this key cannot be checked now" in refusal.json["error"]["message"] for refusal in refusals)
    assert allowance.is_used_up()


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.loses], ids=lambda fault: fault.name)
def test_a_store_that_has_lost_everything(rig, server, fault, record_property):
    """What it knew is gone, and what it is told from then on is there, once."""
    _, key_hash = rig.new_key("before")
    assert rig.is_stored(key_hash)
    with rig.load(KEY) as load:
        fault.harm(server)
        harmed = len(load.told)
        load.go_on()
        with timed(record_property):
            rig.wait_until_healed()
        load.go_on()
    judge(rig, load, load.told[harmed:], record_property)
    assert not rig.is_stored(key_hash)


def test_a_replica_takes_over(sentinelled, new_gateway, record_property):
    """The master is frozen, and comes back as a replica. Until then its connections stand: nobody hears of its fate."""
    rig = Rig(new_gateway(FAIRLEAD_REDIS_URL=sentinelled.url).start(), lambda: sentinelled.master.url)
    key, key_hash = rig.new_key("before")
    with rig.load(KEY) as load, rig.each_worker() as callers:
        rig.show(key)
        load.rest()
        rig.wait_until_charged(load.told)
        former = sentinelled.master
        until(sentinelled.is_level)
        former.freeze()
        load.go()
        until(lambda: rig.says("away"))
        load.go_on()
        load.rest()
        sentinelled.fail_over()
        load.go()
        with timed(record_property):
            rig.disable(key_hash)
            for caller in callers.values():
                until(lambda caller=caller: caller.chat(MODEL, key=key).status == 401)
            rig.wait_until_healed()
        former.thaw()
        sentinelled.demote()
        load.go_on()
    judge(rig, load, load.told, record_property)


def test_a_slot_moves(cluster, new_gateway, record_property):
    """That of all money, key by key, while its new node is asked for what the old one has no more."""
    move = cluster.move(f"{SLOT}workers")
    rig = Rig(new_gateway(FAIRLEAD_REDIS_URL=cluster.url).start(), move.other.url)
    try:
        with rig.load(KEY) as load:
            move.begin()
            while move.carry():
                load.go_on(5)
            load.rest()
            move.end()
            load.go()
            with timed(record_property):
                rig.wait_until_healed()
            load.go_on()
        judge(rig, load, load.told, record_property)
    finally:
        rig.gateway.close()
        move.undo()


def test_nodes_of_a_cluster_are_frozen(cluster, new_gateway, record_property):
    """One after the other."""
    rig = Rig(new_gateway(FAIRLEAD_REDIS_URL=cluster.url).start(), cluster.node_of(f"{SLOT}workers").url)
    with rig.load(KEY) as load:
        for node in cluster.nodes:
            node.freeze()
            load.go_on(15)
            load.rest()
            node.thaw()
            load.go()
        with timed(record_property):
            rig.wait_until_healed()
    judge(rig, load, load.told, record_property)


def test_it_is_slow(server, new_gateway, record_property):
    """Every command is done there, and no worker ever hears of it."""
    with SlowWay(server.port) as way:
        rig = Rig(new_gateway(FAIRLEAD_REDIS_URL=f"redis://127.0.0.1:{way.port}").start(), server.url)
        with rig.load(KEY) as load:
            way.delay_s = 1.2 * TIMEOUT_S
            until(lambda: rig.says("away"))
            load.go_on(40)
            load.rest()
            way.delay_s = 0.0
            load.go()
            with timed(record_property):
                rig.wait_until_healed()
            load.go_on()
        judge(rig, load, load.told, record_property)
        rig.gateway.close()
