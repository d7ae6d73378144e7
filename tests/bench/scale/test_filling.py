"""Keys that were written many at a time are keys like all others."""

import os
from contextlib import contextmanager
from dataclasses import replace

import pytest
from bench.scale.filling import fill
from bench.window import BadRun
from redis import Redis

from bench.scale import filling
from fairlead.access.keys import from_token
from fairlead.store import PREFIX
from fairlead.store.embedded import EmbeddedStore
from fairlead.store.key_fields import key_of
from fairlead.store.keys import ALL

CORE = min(os.sched_getaffinity(0))


@contextmanager
def opened(folder):
    """The store of the directory once more: whoever has filled it has let go of it."""
    store = EmbeddedStore(folder)
    store.start()
    try:
        yield store.url
    finally:
        store.stop()


def kept(url):
    """What a gateway would find, read without its haste: it gives a store half a second for 500 keys."""
    with Redis.from_url(url) as redis:
        hashes = [digest.decode() for digest in redis.smembers(ALL)]
        return {digest: key_of(digest, redis.hgetall(f"{PREFIX}key:{{{digest}}}")) for digest in hashes}


@pytest.mark.parametrize(("keys", "fresh"), [(1, 5), (2_500, 20)])
def test_all_of_them_are_there_and_those_that_are_told_can_be_used(tmp_path, keys, fresh):
    filled, tokens = fill(tmp_path, keys, fresh, CORE)
    assert len(set(tokens)) == min(keys, fresh)
    assert (filled.keys, filled.disk_mb > 0, filled.bytes_per_key > 100) == (keys, True, True)
    with opened(tmp_path) as url:
        known = kept(url)
    assert len(known) == keys
    for token in tokens:
        meant = from_token(token, "team/service", 1_700_000_000)
        assert replace(known[meant.hash], label=meant.label, limit_usd_nanos=None, limit_reset=None) == meant
    assert {(key.limit_usd_nanos, key.limit_reset) for key in known.values()} == {(10**14, "monthly")}


def test_a_store_that_lost_some_is_not_measured_and_is_let_go_of(tmp_path, monkeypatch):
    monkeypatch.setattr(filling, "_ADD", filling._ADD.replace("'SADD', KEYS[1], ARGV[n]", "'SADD', KEYS[1], 'x'"))
    with pytest.raises(BadRun, match="of 30 keys that were written 1 are there"):
        fill(tmp_path, 30, 5, CORE)
    with opened(tmp_path) as url, Redis.from_url(url) as redis:
        assert redis.dbsize() == 31
