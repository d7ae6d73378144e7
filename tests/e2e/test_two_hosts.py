"""Two hosts that share a store are one gateway: in one server, behind a sentinel, and in a cluster of three.

What is exact here is what README.md says of limits; how much a rate lets through in a time is reckoned from that time.
"""

from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fairlead.demo import Script
from fairlead.store.money import SLOT
from fairlead.store.server import TIMEOUT_S
from faults.balancer import Balancer
from faults.load import MODEL, Load
from harness.process import until
from harness.slow import SlowWay
from harness.valkey import Valkey, free_port

from .caller import Caller
from .hosts import AT_ONCE, COMPLETION_USD, KEY, PROMPT_USD, Hosts

PROBES = {"FAIRLEAD_PROBE_MIN_S": "0.2", "FAIRLEAD_PROBE_MAX_S": "0.4"}
NO_PROBES = {"FAIRLEAD_PROBE_MIN_S": "300", "FAIRLEAD_PROBE_MAX_S": "300"}
IN_A_ROW = 5
"""Failures after which an endpoint is out (design, routing)."""


def worst_usd_nanos(max_tokens):
    """What a request may cost at the most, and so may be left over: its prompt is a handful of tokens."""
    return 1_000 * (PROMPT_USD * 20 + COMPLETION_USD * max_tokens)


class Store:
    """`url` for the hosts, `money` for who reads the ledger."""

    def __init__(self, url, money):
        self.url, self.money = url, money


@pytest.fixture(scope="module")
def single():
    server = Valkey(port=free_port()).start()
    yield server
    server.close()


@pytest.fixture(scope="module", params=["single", "sentinel", "cluster"])
def store(request):
    if request.param == "single":
        server = request.getfixturevalue("single")
        return Store(server.url, lambda: server.url)
    if request.param == "sentinel":
        servers = request.getfixturevalue("shared_sentinelled")
        return Store(servers.url, lambda: servers.master.url)
    cluster = request.getfixturevalue("shared_cluster")
    return Store(cluster.url, lambda: cluster.node_of(f"{SLOT}workers").url)


@pytest.fixture(scope="module")
def upstreams(simulators):
    """`lab` is well; `bad` fails, and so does `ill`, of whose models `well` has the same; `still` never ends."""
    found = {name: simulators.start(keep_requests=100_000) for name in ("lab", "bad", "well", "still")}
    found["lab"].does(first_byte_delay_s=0.005, token_delay_s=0.001)
    found["bad"].does(status=500)
    found["well"].does(first_byte_delay_s=0.02)
    found["still"].does(stall_after=2)
    return found


def serving(upstreams):
    families = {"lab": ["lab"], "bad": ["shaky"], "well": ["shaky"], "still": ["still"]}
    return {name: (upstreams[name], families[name]) for name in families}


@pytest.fixture(scope="module")
def hosts(store, upstreams, tmp_path_factory):
    """That nobody hurts. What is out stays out."""
    directory = tmp_path_factory.mktemp("hosts")
    with Hosts(directory, [store.url] * 2, serving(upstreams), store.money, **NO_PROBES) as hosts:
        yield hosts


# What is known of keys


def test_a_key_of_one_works_at_the_other_and_is_refused_there_once_it_is_revoked(hosts):
    here, there = hosts
    key, key_hash = hosts.new_key(here, "of two hosts")
    with hosts.callers() as callers:
        for caller in callers:
            assert caller.chat("lab/any", key=key).status == 200
    hosts.manage(there, "PATCH", f"/api/v1/keys/{key_hash}", {"disabled": True})
    with hosts.callers() as callers:
        for caller in callers:
            until(lambda caller=caller: caller.chat("lab/any", key=key).status == 401)
    hosts.manage(here, "PATCH", f"/api/v1/keys/{key_hash}", {"disabled": False})
    with hosts.callers() as callers:
        for caller in callers:
            until(lambda caller=caller: caller.chat("lab/any", key=key).status == 200)


# What is known of endpoints


def eject(host, model):
    """Let a host alone find out that `bad` fails."""
    with Caller(host, KEY) as caller:
        for _ in range(IN_A_ROW):
            assert caller.chat(model, provider={"only": ["bad"]}).status == 502


@pytest.mark.parametrize("finds_out", [0, 1])
def test_what_one_finds_out_of_an_endpoint_the_other_knows_though_it_never_asked(hosts, upstreams, finds_out):
    model, there = f"shaky/{finds_out}", hosts.all[1 - finds_out]
    eject(hosts.all[finds_out], model)
    until(lambda: all(hosts.is_out(host, model, "bad") for host in hosts))
    asked = upstreams["bad"].record.seen
    with Caller(there, KEY) as caller:
        for _ in range(20):
            assert caller.chat(model).status == 200
    assert upstreams["bad"].record.seen == asked


def test_one_probe_for_both_hosts_and_both_come_back(store, simulators, tmp_path):
    """A wave of failures, then what the provider gets is what was granted, whichever host it was granted to."""
    quick = simulators.start(keep_requests=100_000)
    well = simulators.start(script=Script(first_byte_delay_s=0.2))
    families = {"quick": (quick, ["acme"]), "well": (well, ["acme", "lab"])}
    named = {f"FAIRLEAD_PROVIDERS__{name}__MODELS": f"{MODEL},lab/any" for name in ("QUICK", "WELL")}
    with (
        Hosts(tmp_path, [store.url] * 2, families, store.money, **PROBES, **named) as hosts,
        Load(lambda: [(host.url, KEY) for host in hosts]) as load,
    ):
        until(lambda: quick.record.seen)
        quick.does(status=500)
        until(lambda: hosts.is_heard_by_all("endpoint ejected"))
        load.rest()  # what was on its way to the provider has arrived
        asked, heard = quick.record.seen, hosts.heard
        load.go()
        until(lambda: hosts.is_heard_by_all("endpoint probing", count=3, after=heard))
        load.rest()
        granted = Counter(line["worker"] for line in hosts.lines_of("endpoint probing", after=heard))
        # And the one, at most, of which was heard before and which was sent after.
        assert 1 <= quick.record.seen - asked <= max(granted.values()) + 1, "the probes, and nothing else"
        quick.does()
        load.go()
        until(lambda: hosts.is_heard_by_all("endpoint recovered"))
        heard = hosts.heard
        until(lambda: all(serves(host, "quick", known) for host, known in zip(hosts, heard, strict=True)))
    assert (load.failed, load.cut) == ([], [])


def serves(host, name, after):
    return any(f'"provider":"{name}"' in line for line in host.lines[after:] if '"event":"request"' in line)


# What is limited


def test_both_spend_one_limit_and_not_a_nano_more(hosts):
    """Eight callers at once. What is left over is less than a request may cost, and no worker has it in hand."""
    limit_usd_nanos, tokens = 1_000_000, 20
    key, key_hash = hosts.new_key(hosts.all[0], "spent by two hosts", limit=limit_usd_nanos / 1e9)
    spending = hosts.spend(key, "lab/any", until_status=(402, 403), patience=(429,), max_tokens=tokens)
    assert 0 <= limit_usd_nanos - spending.usd_nanos < worst_usd_nanos(tokens)
    assert len(spending.by_host) == 2
    until(lambda: hosts.ledger()[0][key_hash] == spending.usd_nanos)
    assert set(hosts.ledger()[1].values()) == {1}
    assert hosts.reconcile() == {"no difference"}


def test_both_have_one_rate_of_requests(hosts):
    """A whole minute's may come at once, and then so many as the time since the first brings."""
    per_minute = 40
    key, _ = hosts.new_key(hosts.all[1], "asked by two hosts", requests_per_minute=per_minute)
    spending = hosts.spend(key, "lab/any", until_status=(429,), max_tokens=5)
    assert per_minute <= len(spending.answers) <= per_minute + per_minute / 60 * spending.lasted_s
    assert len(spending.by_host) == 2
    for _, refusal in spending.refusals:
        assert refusal.headers["x-ratelimit-limit"] == str(per_minute)
        assert refusal.headers["retry-after"]


def test_both_have_one_rate_of_tokens(hosts):
    """Of the prompt, more may be counted afterwards than was foreseen: that is known of requests under way only."""
    per_minute, tokens = 2_000, 20
    key, _ = hosts.new_key(hosts.all[1], "tokens of two hosts", tokens_per_minute=per_minute)
    spending = hosts.spend(key, "lab/any", until_status=(429,), max_tokens=tokens)
    prompt = max(answer.json["usage"]["prompt_tokens"] for _, answer in spending.answers)
    under_way = AT_ONCE * len(hosts.all) * prompt
    assert spending.tokens <= per_minute + per_minute / 60 * spending.lasted_s + under_way
    assert spending.tokens > per_minute / 2
    assert len(spending.by_host) == 2


def test_both_have_so_many_at_a_time_and_the_place_of_one_is_free_for_the_other(hosts):
    here, there = hosts
    key, _ = hosts.new_key(here, "held by two hosts", max_concurrency=3)
    with Caller(here, key) as one, Caller(here, key) as two, Caller(there, key) as three, hosts.callers() as others:
        for caller in (one, two, three):
            assert caller.send_chat("still/any", stream=True).status == 200
        for caller in others:
            answer = caller.chat("lab/any", key=key)
            assert (answer.status, "3 requests under way" in answer.json["error"]["message"]) == (429, True)
        one.close()
        until(lambda: others[1].chat("lab/any", key=key).status == 200)


# What comes and goes


def test_one_after_the_other_is_restarted_and_nothing_is_lost(single, upstreams, tmp_path):
    """Behind a load balancer. What a host had in hand of a limit the other can spend, to the last request."""
    served = {**serving(upstreams), "acme": (upstreams["lab"], [])}
    named = {"FAIRLEAD_PROVIDERS__ACME__MODELS": MODEL, "FAIRLEAD_DRAIN_DELAY_S": "0.5", "FAIRLEAD_WORKERS": "1"}
    limit_usd_nanos = 400_000
    with Hosts(tmp_path, [single.url] * 2, served, lambda: single.url, **named) as hosts, Balancer() as balancer:
        key, key_hash = hosts.new_key(hosts.all[0], "limited", limit=limit_usd_nanos / 1e9)
        with hosts.callers() as callers:
            begun = [caller.chat("lab/any", key=key, max_tokens=10).json["usage"]["cost"] for caller in callers]
        for host in hosts:
            balancer.add(host)
        with Load(lambda: [(url, KEY) for url in balancer.ready()]) as load:
            for place, host in enumerate(list(hosts)):
                hosts.stop(place)
                balancer.remove(host)
                balancer.add(hosts.start(place))
                load.go_on()
        assert (load.failed, load.cut) == ([], [])
        until(lambda: {one.id for one in load.told} <= hosts.ledger()[1].keys())
        assert set(hosts.ledger()[1].values()) == {1}
        spending = hosts.spend(key, "lab/any", until_status=(402, 403), patience=(429,), max_tokens=10)
        spent = spending.usd_nanos + sum(round(cost * 1e9) for cost in begun)
        assert 0 <= limit_usd_nanos - spent < worst_usd_nanos(10)
        until(lambda: hosts.ledger()[0][key_hash] == spent)
        assert hosts.reconcile() == {"no difference"}


def test_after_a_failover_they_are_still_one(sentinelled, upstreams, tmp_path):
    """The replica has all that was confirmed. Limits and what is out go on from there."""
    limit_usd_nanos = 400_000
    with Hosts(
        tmp_path, [sentinelled.url] * 2, serving(upstreams), lambda: sentinelled.master.url, **NO_PROBES
    ) as hosts:
        here, there = hosts
        key, key_hash = hosts.new_key(here, "spent over a failover", limit=limit_usd_nanos / 1e9)
        revoked, revoked_hash = hosts.new_key(here, "revoked after it")
        with hosts.callers() as callers:
            spent = 0
            for caller in callers:
                assert caller.chat("lab/any", key=revoked).status == 200
                spent += round(caller.chat("lab/any", key=key, max_tokens=10).json["usage"]["cost"] * 1e9)
        eject(here, "shaky/2")
        until(lambda: all(hosts.is_out(host, "shaky/2", "bad") for host in hosts))
        until(lambda: hosts.ledger()[0][key_hash] == spent)
        until(sentinelled.is_level)
        sentinelled.fail_over()
        sentinelled.demote()

        hosts.manage(here, "PATCH", f"/api/v1/keys/{revoked_hash}", {"disabled": True})
        with hosts.callers() as callers:
            for caller in callers:
                until(lambda caller=caller: caller.chat("lab/any", key=revoked).status == 401)
        assert all(hosts.is_out(host, "shaky/2", "bad") for host in hosts)
        eject(there, "shaky/3")
        until(lambda: all(hosts.is_out(host, "shaky/3", "bad") for host in hosts))
        spending = hosts.spend(key, "lab/any", until_status=(402, 403), patience=(429,), max_tokens=10)
        assert 0 <= limit_usd_nanos - spent - spending.usd_nanos < worst_usd_nanos(10)
        until(lambda: hosts.ledger()[0][key_hash] == spent + spending.usd_nanos)
        assert hosts.reconcile() == {"no difference"}


def test_one_that_cannot_reach_the_store_spends_what_it_has_and_no_more(single, upstreams, tmp_path):
    """The other goes on; afterwards they are one again, and what happened meanwhile is known to both."""
    limit_usd_nanos = 400_000
    with SlowWay(single.port) as way:
        urls = [f"redis://127.0.0.1:{port}" for port in (single.port, way.port)]
        with (
            Hosts(tmp_path, urls, serving(upstreams), lambda: single.url, **NO_PROBES) as hosts,
            hosts.callers() as callers,
        ):
            here, there = hosts
            key, key_hash = hosts.new_key(here, "spent apart", limit=limit_usd_nanos / 1e9)
            revoked, revoked_hash = hosts.new_key(here, "revoked meanwhile")
            told = []

            def spend(caller, *statuses):
                """Ask until it is refused so."""
                while (answer := caller.chat("lab/any", key=key, max_tokens=10)).status not in statuses:
                    assert answer.status in (200, 429, 503), answer.body
                    if answer.status == 200:
                        told.append(round(answer.json["usage"]["cost"] * 1e9))
                    assert sum(told) <= limit_usd_nanos
                return True

            for caller in callers:
                assert caller.chat("lab/any", key=key, max_tokens=10).status == 200
                assert caller.chat("lab/any", key=revoked).status == 200
            until(lambda: hosts.ledger()[0][key_hash])
            until(lambda: hosts.ledger()[0][revoked_hash])
            told.append(hosts.ledger()[0][key_hash])

            way.delay_s = 1.2 * TIMEOUT_S
            until(lambda: callers[1].get("/readyz?verbose").json["store"] == "away")
            assert callers[0].get("/readyz?verbose").json["store"] == "ok"
            hosts.manage(here, "PATCH", f"/api/v1/keys/{revoked_hash}", {"disabled": True})
            eject(here, "shaky/4")
            spend(callers[1], 503)
            assert callers[1].chat("lab/any").status == 200

            way.delay_s = 0.0
            until(lambda: callers[1].get("/readyz?verbose").json["store"] == "ok")
            until(lambda: callers[1].chat("lab/any", key=revoked).status == 401)
            until(lambda: hosts.is_out(there, "shaky/4", "bad"))
            for caller in callers:
                spend(caller, 402, 403)
            assert limit_usd_nanos - sum(told) < worst_usd_nanos(10)
            until(lambda: hosts.ledger()[0][key_hash] == sum(told))
            assert hosts.reconcile() == {"no difference"}


def test_both_tell_the_same_of_the_fleet(hosts):
    """Of which `deploy/prometheus` takes what any of them tells."""
    eject(hosts.all[0], "shaky/5")

    def states(host):
        with Caller(host, KEY) as caller:
            told = text_string_to_metric_families(caller.get("/metrics").body.decode())
        samples = [sample for family in told if family.name == "fairlead_endpoint_state" for sample in family.samples]
        return {sample.labels["state"] for sample in samples if sample.labels["model"] == "shaky/5" and sample.value}

    until(lambda: all("ejected" in states(host) for host in hosts))
