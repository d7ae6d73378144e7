"""Two hosts: process trees with addresses, directories and loads of their own, that share nothing but the store."""

import contextlib
import json
import signal
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from redis import Redis

from fairlead import clock
from fairlead.store.money import SLOT
from fairlead.telemetry.generation import unpack
from harness.process import PATIENCE_S, GatewayProcess, until

from .caller import Caller, callers_of_each_worker
from .conftest import provider

ADDRESSES = ("127.0.0.2", "127.0.0.3")
KEY = "sk-e2e-two-hosts-93d7a1f0c4"
ADMIN_KEY = "e2e-two-hosts-admin-6f20b8c15e"
WORKERS = 2
SEVERAL = 60
AT_ONCE = 4
"""Callers of each host that spend a limit together."""
PROMPT_USD, COMPLETION_USD = 1, 2
"""Per million tokens."""


class Hosts:
    """`urls`: of the store, one for each host. `upstreams`: providers by name, each with the families that it serves.

    Use `with`. `money` returns the URL of the server that has the ledger.
    """

    def __init__(self, directory, urls, upstreams, money, **variables):
        for address in ADDRESSES:
            _must_have(address)
        self.money = money
        self._made = contextlib.ExitStack()
        self.all = [
            GatewayProcess(directory / address, _environment(address, url, upstreams) | variables)
            for address, url in zip(ADDRESSES, urls, strict=True)
        ]
        """Those of now: one that was restarted is another process, in the same directory."""

    def __enter__(self):
        with self._made:
            for host in self.all:
                self._made.enter_context(host)
            self._made = self._made.pop_all()
        return self

    def __exit__(self, *exc):
        return self._made.__exit__(*exc)

    def __iter__(self):
        return iter(self.all)

    def stop(self, place):
        """Let a host end by itself, as SIGTERM makes it do."""
        self.all[place].signal(signal.SIGTERM)
        assert self.all[place].wait() == 0

    def start(self, place):
        """Start one that has ended, and return it."""
        former = self.all[place]
        self.all[place] = GatewayProcess(former.directory, former.env, secrets=former.secrets)
        return self._made.enter_context(self.all[place])

    def callers(self):
        """A `with` block's connections to each host, one to any worker of it."""
        return contextlib.closing(_Callers([Caller(host, KEY) for host in self.all]))

    # Keys

    def manage(self, host, method, path, members):
        """Ask one of the hosts for something that only who has the admin key may ask."""
        with Caller(host, ADMIN_KEY) as caller:
            done = until(lambda: (answer := caller.send(method, path, members)).status != 503 and answer)
        assert done.status in (200, 201), done.body
        return done.json

    def new_key(self, host, name, **members):
        """Return a new key and its hash."""
        made = self.manage(host, "POST", "/api/v1/keys", {"name": name, **members})
        for each in self.all:
            each.secrets.add(made["key"])
        return made["key"], made["data"]["hash"]

    # Everything at once

    def each_asks(self, ask):
        """Run `ask(host)` for each host `AT_ONCE` times side by side, and return what they return."""
        with ThreadPoolExecutor(AT_ONCE * len(self.all)) as threads:
            return list(threads.map(ask, self.all * AT_ONCE))

    def spend(self, key, model, *, until_status, patience=(), **members):
        """Ask both hosts at once, again and again, until each caller is refused with one of `until_status`.

        Others of `patience` pass: what is held for requests under way, and a store that took too long.
        """
        spending = Spending(clock.monotonic())

        def ask(host):
            with Caller(host, key) as caller:
                deadline = clock.monotonic() + PATIENCE_S
                while (answer := caller.chat(model, **members)).status not in until_status:
                    assert answer.status in (200, 503, *patience), answer.body
                    assert clock.monotonic() < deadline, "never refused"
                    if answer.status == 200:
                        spending.answers.append((host, answer))
                spending.refusals.append((host, answer))

        self.each_asks(ask)
        spending.lasted_s = clock.monotonic() - spending.began
        return spending

    def ledger(self):
        """The sum of what each key has been charged, in nano-USD, and of each generation how often."""
        with Redis.from_url(self.money()) as store:
            entries = store.xrange(f"{SLOT}ledger")
        spent, times = Counter(), Counter()
        for _, fields in entries:
            generation = unpack(fields[b"g"])
            _, _, usd_nanos, *_, requests = fields[b"n"].split()
            spent[generation.key] += int(usd_nanos)
            times[generation.id] += int(requests)
        return spent, times

    def reconcile(self):
        """What each host says of the books, in one line."""
        return {host.run("reconcile").splitlines()[-1].partition(": ")[2] for host in self.all}

    # Endpoints

    def is_out(self, host, model, name):
        """Whether each worker of a host leaves the provider out for the model; none of them is asked anything."""
        with callers_of_each_worker(host, KEY, "lab/any", WORKERS) as callers:
            plans = [
                caller.post("/admin/v1/explain", {"model": model, "messages": []}, key=ADMIN_KEY).json
                for caller in callers.values()
            ]
        return all(name in {one["provider"] for one in plan["skipped"]} for plan in plans)

    def lines_of(self, event, after=(0, 0)):
        """The lines of both logs that say so, decoded; `after`: so many lines of each are not looked at."""
        return [
            json.loads(line)
            for host, known in zip(self.all, after, strict=True)
            for line in host.lines[known:]
            if f'"event":"{event}' in line
        ]

    def is_heard_by_all(self, event, count=1, after=(0, 0)):
        """Whether each worker of both has said so, `count` times at least."""
        said = Counter(line["worker"] for line in self.lines_of(event, after))
        return len(said) == WORKERS * len(self.all) and min(said.values()) >= count

    @property
    def heard(self):
        """How many lines there are in each log."""
        return tuple(len(host.lines) for host in self.all)


@dataclass
class Spending:
    """What the callers of a limited key were told. `began` is monotonic seconds."""

    began: float
    answers: list = field(default_factory=list)
    """(host, answer) of each that was served."""
    refusals: list = field(default_factory=list)
    lasted_s: float = 0.0
    """From before the first request to after the last refusal."""

    @property
    def usd_nanos(self):
        return sum(round(answer.json["usage"]["cost"] * 1e9) for _, answer in self.answers)

    @property
    def tokens(self):
        return sum(answer.json["usage"]["total_tokens"] for _, answer in self.answers)

    @property
    def by_host(self):
        """How many requests each host has served."""
        return Counter(host for host, _ in self.answers)


class _Callers(list):
    def close(self):
        for caller in self:
            caller.close()


def _must_have(address):
    """Linux has all of 127.0.0.0/8; elsewhere somebody has to add them."""
    with socket.socket() as listener:
        try:
            listener.bind((address, 0))
        except OSError as error:
            pytest.skip(f"this machine has no {address}: {error}")


def _environment(address, url, upstreams):
    env = {
        "FAIRLEAD_HOST": address,
        "FAIRLEAD_WORKERS": str(WORKERS),
        "FAIRLEAD_LOG_FORMAT": "json",
        "FAIRLEAD_REDIS_URL": url,
        "FAIRLEAD_API_KEYS": KEY,
        "FAIRLEAD_ADMIN_KEY": ADMIN_KEY,
    }
    for name, (upstream, families) in upstreams.items():
        models = [f"{family}/{number}" for family in families for number in ("any", *range(SEVERAL))]
        env |= provider(
            name, upstream, models=",".join(models), price_prompt=PROMPT_USD, price_completion=COMPLETION_USD
        )
    return env
