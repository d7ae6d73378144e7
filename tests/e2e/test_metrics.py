"""One scrape, of any worker, tells what all have counted: exactly, over reloads and deaths, and nothing more."""

import os
import signal
from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fairlead.demo import Script
from harness.process import kill, until

from .caller import Caller, callers_of_each_worker
from .conftest import provider
from .test_response_cache import ask

KEY = "sk-e2e-metrics-77aa01c3f5"
STRANGE = "acme/no-such-model"
FINDER = "acme/finder"
"""For finding out which worker is at the other end; counted, but not looked at."""


@pytest.fixture
def well(simulators):
    return simulators.start(script=Script(usage={"prompt_tokens": 7, "completion_tokens": 3}))


@pytest.fixture
def gateway(simulators, well, new_gateway):
    """Two workers; `well` answers, `ill` fails. What it counts is told by `scrape`."""
    ill = simulators.start(script=Script(status=500))
    env = {"FAIRLEAD_WORKERS": "2", "FAIRLEAD_LOG_FORMAT": "json", "FAIRLEAD_API_KEYS": KEY, "FAIRLEAD_CACHE": "true"}
    env |= provider("well", well, models=f"acme/large,acme/both,{FINDER}", price_prompt=1, price_completion=2)
    env |= provider("ill", ill, models="acme/both", price_prompt=1, price_completion=2)
    return new_gateway(env).start()


def scrape(caller):
    """Return every sample by name and labels, without those of the finder."""
    answer = caller.get("/metrics")
    assert answer.status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
        if sample.labels.get("model") != FINDER
    }


def total(told, name, **labels):
    """The sum of the samples with these labels, whatever else they are labelled with."""
    wanted = set(labels.items())
    return sum(value for (found, of), value in told.items() if found == name and wanted <= of)


def requests(told):
    """How many requests ended in which way: model, provider, status, end, error."""
    found = Counter()
    for (name, labels), value in told.items():
        if name == "fairlead_requests_total":
            of = dict(labels)
            found[of["model"], of["provider"], of["status"], of["end"], of["error"]] += value
    return found


def counts(told):
    """All that only ever grows, but for what time itself counts."""
    return {
        key: value
        for key, value in told.items()
        if key[0].endswith(("_total", "_bucket", "_count", "_sum"))
        and "event_loop" not in key[0]
        and "overhead" not in key[0]  # the finder has part in it
        and key[0] not in ("fairlead_worker_starts_total", "fairlead_attempts_total")
    }


def test_a_scrape_of_any_worker_tells_of_all_and_survives_reload_and_death(gateway, well):
    expected = Counter()
    with callers_of_each_worker(gateway, KEY, FINDER) as found:
        callers = [*found.values()]
        for number, caller in enumerate(callers):
            for _ in range(3 + number):
                assert caller.chat("acme/large").status == 200
                expected["acme/large", "well", "2xx", "ok", "none"] += 1
            assert caller.chat("acme/both", provider={"order": ["ill", "well"]}).status == 200
            expected["acme/both", "well", "2xx", "ok", "none"] += 1
            assert caller.chat(f"{STRANGE}-{number}").status == 400
            expected["other", "none", "4xx", "error", "invalid_request"] += 1
            assert caller.chat("acme/large", key="sk-nobodys").status == 401
            expected["none", "none", "4xx", "error", "authentication"] += 1
            stream = caller.send_chat("acme/large", stream=True)
            assert stream.read().endswith(b"data: [DONE]\n\n")
            expected["acme/large", "well", "2xx", "ok", "none"] += 1

        well.does(cut_after=3, cut="close")
        with Caller(gateway, KEY) as caller:
            assert b'"error"' in caller.send_chat("acme/large", stream=True).read()
        expected["acme/large", "well", "2xx", "cut", "none"] += 1

        well.does(stall_after=2)
        with Caller(gateway, KEY) as caller:
            assert caller.send_chat("acme/large", stream=True, request_id="leaves").readline()
        assert gateway.request("leaves")["end"] == "gone"
        expected["acme/large", "well", "2xx", "gone", "none"] += 1

        well.reset()
        kept = []
        until(lambda: kept.append(ask(gateway, KEY, "cached")[0]) or kept[-1] == "HIT")
        expected["acme/large", "well", "2xx", "ok", "none"] += len(kept) - 1
        expected["acme/large", "cache", "2xx", "ok", "none"] += 1

        until(lambda: requests(scrape(callers[0])) == expected)
        told, others = scrape(callers[0]), scrape(callers[1])
        assert counts(told) == counts(others)
        assert total(told, "fairlead_workers") == total(others, "fairlead_workers") == 2

        assert total(told, "fairlead_attempts_total", provider="ill") == 2
        assert total(told, "fairlead_failovers_total") == total(told, "fairlead_failovers_total", provider="ill") == 2
        assert total(told, "fairlead_stream_aborts_total", side="caller") == 1
        assert total(told, "fairlead_stream_aborts_total", side="provider") == 1
        assert total(told, "fairlead_stream_aborts_total") == 2
        assert total(told, "fairlead_response_cache_requests_total", result="hit") == 1
        assert total(told, "fairlead_response_cache_requests_total", result="miss") == len(kept) - 1
        assert total(told, "fairlead_time_to_first_token_seconds_count") == 4  # all that streamed
        assert total(told, "fairlead_request_duration_seconds_count") == sum(expected.values())
        assert total(told, "fairlead_store_up") == 1
        assert total(told, "fairlead_endpoint_state", model="acme/large", provider="well", state="healthy") == 1

        before = counts(told)
        old = gateway.workers()

    heard = len(gateway.lines)
    gateway.signal(signal.SIGHUP)
    gateway.expect("reloaded, 2 workers exchanged", after=heard)
    until(lambda: len(gateway.workers()) == 2)
    assert not set(old) & set(gateway.workers())
    with Caller(gateway, KEY) as caller:
        until(lambda: total(scrape(caller), "fairlead_workers") == 2)
        assert counts(scrape(caller)) == before
        assert total(scrape(caller), "fairlead_worker_starts_total") == 4

    with callers_of_each_worker(gateway, KEY, FINDER) as found:
        callers = [*found.values()]
        for caller in callers:
            assert caller.chat("acme/large").status == 200
        until(lambda: sum(requests(scrape(callers[0])).values()) == sum(expected.values()) + 2)
        until(lambda: counts(scrape(callers[0])) == counts(scrape(callers[1])))
        before = counts(scrape(callers[0]))
    heard = len(gateway.lines)
    killed, stays = gateway.workers()
    kill([killed])
    gateway.expect("starting another", after=heard)
    until(lambda: len(set(gateway.workers()) - {killed}) == 2)
    with Caller(gateway, KEY) as caller:
        until(lambda: total(scrape(caller), "fairlead_worker_starts_total") == 5)
        until(lambda: total(scrape(caller), "fairlead_workers") == 2)
        assert counts(scrape(caller)) == before
    os.kill(stays, 0)  # it is still there


def test_nothing_in_it_is_anybodys(gateway, well):
    with Caller(gateway, KEY) as caller:
        answer = caller.chat("acme/large", user="somebody", request_id="given-by-them")
        assert caller.chat("a model named /etc/passwd").status == 400
        until(lambda: sum(requests(scrape(caller)).values()) == 2)
        text = caller.get("/metrics").body.decode()
    generation_id = answer.headers["x-generation-id"]
    upstream_key = gateway.env["FAIRLEAD_PROVIDERS__WELL__API_KEY"]
    for word in (KEY, upstream_key, generation_id, "given-by-them", "somebody", "passwd", str(gateway.directory)):
        assert word not in text
    assert not [line for line in text.splitlines() if not line.startswith("#") and "/" in line.replace("acme/", "")]


def test_a_change_that_all_workers_hear_of_is_counted_once(gateway):
    """Five failures in a row eject it, for the whole fleet: both workers say so in the log."""
    with Caller(gateway, KEY) as caller:
        for _ in range(5):
            assert caller.chat("acme/both", provider={"order": ["ill"]}).status == 200
        until(lambda: sum('"event":"endpoint ejected"' in line for line in gateway.lines) >= 2)
        until(lambda: total(scrape(caller), "fairlead_ejections_total") >= 1)
        told = scrape(caller)
        logged = {line.split('"worker":')[1] for line in gateway.lines if '"event":"endpoint ejected"' in line}
    assert len(logged) == 2
    assert total(told, "fairlead_ejections_total", provider="ill", model="acme/both", why="in_a_row") == 1
    assert total(told, "fairlead_breaker_transitions_total", provider="ill", to="ejected") == 1


def test_its_place_is_private_to_one_process_tree_and_gone_with_it(simulators, new_gateway, tmp_path):
    place = tmp_path / "temporary"
    place.mkdir()
    gateway = new_gateway({"TMPDIR": str(place), **provider("lab", simulators.start(), models="acme/large")}).start()
    [directory] = place.glob("fairlead-metrics-*")
    assert directory.stat().st_mode & 0o077 == 0
    gateway.close()
    assert [*place.glob("fairlead-metrics-*")] == []
