"""What `bench.soak` makes of what it has seen."""

from collections import Counter
from dataclasses import replace

import pytest
from bench.soak import gateway, keys, table
from bench.soak.levels import GROWN_BYTES, RISE_BYTES, RISE_LOOKS, TO_STORE, Ended, is_at_rest, verdict
from bench.soak.looks import Look, Worker
from bench.soak.mischief import WEIGHTS

HASH = "0f" * 32
THERE_ARE = {"one": 1, "key": 2, "group": 3, "endpoint": 4, "day": 2}
LEFT = [("fl:1:keys", -1), (f"fl:1:key:{{{HASH}}}", -1), ("fl:1:{cache}:order", 100), ("fl:1:{a/b}:health2", 100)]
WORKER = Worker(rss_bytes=60_000_000, fds=30, to_store=10, threads=4, tasks=12, in_flight=0, upstream=0)
STILL = Look(at_s=0.0, workers={7: WORKER, 8: WORKER}, left=LEFT, store_bytes=2_000_000)


def seen(look=STILL, **members):
    """The look, with one worker changed."""
    return replace(look, workers={**look.workers, 8: replace(look.workers[8], **members)})


def ended(rest=STILL, *, curve=(), wrong=()):
    return Ended([STILL], list(curve), rest, THERE_ARE, Counter(wrong))


def rising(bytes_each):
    return [seen(rss_bytes=60_000_000 + n * bytes_each) for n in range(4 * RISE_LOOKS)]


class TestVerdict:
    def test_all_as_before(self):
        assert verdict(ended()) == []
        assert is_at_rest([STILL], STILL, THERE_ARE)

    @pytest.mark.parametrize(
        ("rest", "told"),
        [
            (seen(in_flight=1), "worker 8: 1 in flight"),
            (seen(upstream=2, fds=32), "worker 8: 2 connections to providers"),
            (seen(tasks=13), "worker 8: 13 tasks, 12 at the start"),
            (seen(threads=50), "worker 8: 50 threads, 4 at the start"),
            (seen(fds=31), "worker 8: 31 fds, 30 at the start"),
            (seen(rss_bytes=WORKER.rss_bytes + GROWN_BYTES + 100_000), "worker 8: 20.1 MB more"),
            (
                seen(to_store=TO_STORE + 1),
                f"worker 8: {TO_STORE + 1} connections to the store, at most {TO_STORE} expected",
            ),
        ],
        ids=lambda it: it if isinstance(it, str) else "",
    )
    def test_each_level_that_does_not_come_back(self, rest, told):
        assert verdict(ended(rest)) == [told]
        assert not is_at_rest([STILL], rest, THERE_ARE)

    def test_connections_to_the_store_may_come_and_go(self):
        assert verdict(ended(seen(to_store=TO_STORE))) == []

    def test_the_start_is_the_highest_of_some_looks(self):
        several = replace(ended(seen(tasks=13)), start=[STILL, seen(tasks=13), STILL])
        assert verdict(several) == []

    def test_no_start(self):
        assert verdict(replace(ended(), start=[])) == ["it never came to rest before the load"]

    def test_memory_that_rises_to_the_end(self):
        each = RISE_BYTES // RISE_LOOKS
        assert verdict(ended(curve=rising(each))) == []
        assert verdict(ended(curve=rising(2 * each))) == [
            "worker 8: memory rose by 16.0 MB over the second half of the load"
        ]

    def test_memory_that_rises_at_first(self):
        risen = [seen(rss_bytes=90_000_000)] * (3 * RISE_LOOKS)
        assert verdict(ended(curve=[*rising(10_000_000)[:RISE_LOOKS], *risen])) == []

    def test_too_short_a_curve_says_nothing_of_memory(self):
        assert verdict(ended(curve=rising(1_000_000)[: RISE_LOOKS - 1])) == []

    def test_what_must_not_have_happened(self):
        assert verdict(ended(wrong=["asks: 500", "asks: 500"])) == ["2 × asks: 500"]


class TestKeys:
    def test_each_kind_says_why_it_stays_or_has_a_time_to_live(self):
        assert keys.surplus(LEFT, THERE_ARE) == []
        assert keys.surplus([("fl:1:keys", 50)], THERE_ARE) == []

    @pytest.mark.parametrize("name", ["fl:1:{money}:open:w", "fl:1:{money}:rate:k", f"fl:1:{{cache}}:{HASH}", "else"])
    def test_what_should_have_gone(self, name):
        assert keys.surplus([*LEFT, (name, 5)], THERE_ARE) == [f"Redis key that should have gone: {name}"]

    def test_without_a_time_to_live(self):
        name = "fl:1:{a/b}:percentiles"
        assert keys.surplus([(name, -1)], THERE_ARE) == [f"Redis key without a time to live: {name}"]

    def test_more_of_a_kind_than_there_can_be(self):
        left = [(f"fl:1:{{m/{n}}}:percentiles", 100) for n in range(4)]
        assert keys.surplus(left, THERE_ARE) == [r"4 Redis keys \{.*\}:percentiles, at most 3 expected"]


class TestComplaints:
    @pytest.mark.parametrize(
        ("line", "is_one"),
        [
            ('{"event":"request","status":502}', False),
            ('{"event":"endpoint ejected","level":"info"}', False),
            ('{"event":"flush failed","level":"error"}', True),
            ('{"event":"worker 7 died (signal 9), starting another","level":"warning"}', True),
            ("Traceback (most recent call last):", True),
            ("", False),
        ],
    )
    def test_lines(self, line, is_one):
        assert gateway.is_complaint(line) is is_one


def test_the_curve_and_the_summary(capsys):
    curve = table.Curve()
    for second in range(21):
        curve.add(replace(STILL, at_s=float(second)))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["0", "10", "20"]
    text = table.summary(ended(curve=curve.looks), {"asks: 200": 3, "asks: 502": 1})
    assert "asks  200 × 3, 502 × 1" in text
    assert "4 things were done" in text
    assert "1 × keys  (names all keys" in text
    assert r"1 × \{cache\}:(order|sizes)  (100 s to live)" in text


def test_each_kind_of_mischief_has_a_name_of_its_own():
    names = [kind.__name__ for kind in WEIGHTS]
    assert len(set(names)) == len(names)
