"""A gateway of two workers on a store of its own, and what is to be true of it again after a fault."""

import contextlib
import http.client
import itertools
import json
from collections import Counter

from redis import Redis
from redis.exceptions import RedisError

from e2e.caller import callers_of_each_worker
from fairlead import clock
from fairlead.store.money import SLOT
from fairlead.telemetry.generation import unpack
from harness.process import PATIENCE_S, GatewayProcess, until

from .load import MODEL, Load

KEY = "sk-faults-static-0b1f6ce3a9"
WORKERS = 2
SHAKY_MODELS = 50
_numbers = itertools.count()


def environment(lab, shaky, **variables):
    """Two providers: `lab` for the load, and `shaky`, which fails, for models of which each is asked for once."""
    declared = {
        "lab": (lab, [MODEL]),
        "shaky": (shaky, [f"shaky/m{n}" for n in range(SHAKY_MODELS)]),
    }
    env = {"FAIRLEAD_WORKERS": str(WORKERS), "FAIRLEAD_LOG_FORMAT": "json", "FAIRLEAD_API_KEYS": KEY}
    for slug, (upstream, models) in declared.items():
        members = {"base_url": upstream.base_url, "api_key": f"sk-faults-of-{slug}", "models": ",".join(models)}
        members |= {"price_prompt": "1", "price_completion": "2"}
        env |= {f"FAIRLEAD_PROVIDERS__{slug.upper()}__{name.upper()}": value for name, value in members.items()}
    return env | variables


class Rig:
    """`money` is the URL of the server that has the ledger, or a function that returns it, None while there is none."""

    def __init__(self, gateway: GatewayProcess, money):
        self.gateway = gateway
        self._money = money
        self._callers = None

    def load(self, *keys):
        """See `Load`."""
        return Load(lambda: [(self.gateway.url, key) for key in keys])

    @contextlib.contextmanager
    def connected(self):
        """In the block the workers stay the same, and so do the connections to them."""
        with self.each_worker() as self._callers:
            yield self
        self._callers = None

    @contextlib.contextmanager
    def each_worker(self):
        """Connections to both, by the worker's mark."""
        if self._callers is not None:
            yield self._callers
            return
        with callers_of_each_worker(self.gateway, KEY, MODEL, WORKERS) as callers:
            yield callers

    # Keys

    def new_key(self, name, **members):
        """Return a new key and its hash."""
        made = until(lambda: self._manage("POST", "/api/v1/keys", {"name": name, **members}))
        self.gateway.secrets.add(made["key"])
        return made["key"], made["data"]["hash"]

    def show(self, key):
        """Let each worker see a key."""
        with self.each_worker() as callers:
            for caller in callers.values():
                until(lambda caller=caller: caller.chat(MODEL, key=key).status == 200)

    def disable(self, key_hash):
        until(lambda: self._manage("PATCH", f"/api/v1/keys/{key_hash}", {"disabled": True}))

    def is_stored(self, key_hash):
        with self.each_worker() as callers:
            caller, _ = callers.values()
            return caller.get(f"/api/v1/keys/{key_hash}", key=self.gateway.admin_key).status == 200

    def _manage(self, method, path, members):
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            headers = {"authorization": f"Bearer {self.gateway.admin_key}", "content-type": "application/json"}
            connection.request(method, path, json.dumps(members), headers)
            reply = connection.getresponse()
            told = reply.read()
            assert reply.status in (200, 201, 503), told
            return json.loads(told) if reply.status != 503 else None

    # How it is

    def says(self, state):
        """Whether each worker says so of its store."""
        with self.each_worker() as callers:
            return {caller.get("/readyz?verbose").json["store"] for caller in callers.values()} == {state}

    def wait_until_healed(self):
        """Return once all that workers share is shared again: keys, changes of keys, and who is ejected."""
        until(lambda: self.says("ok"))
        key, key_hash = self.new_key("after the fault")
        with self.each_worker() as callers:
            self.show(key)
            self.disable(key_hash)
            for caller in callers.values():
                until(lambda caller=caller: caller.chat(MODEL, key=key).status == 401)
            self._eject(*callers.values())

    def _eject(self, one, other):
        """Five failures in a row are needed; neither worker sees as many."""
        model = f"shaky/m{next(_numbers)}"
        for caller in (one, other, one, other, one):
            assert caller.chat(model).status == 502
        for caller in (one, other):
            until(lambda caller=caller: self._knows_nobody(caller, model))

    def _knows_nobody(self, caller, model):
        """Whether the worker takes all endpoints of the model for out."""
        asked = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
        return caller.post("/admin/v1/explain", asked, key=self.gateway.admin_key).json["is_panic"]

    # Money

    def books(self):
        """What the ledger has of each generation: nano-USD and requests. None while it cannot be read."""
        if (url := self._money() if callable(self._money) else self._money) is None:
            return None
        try:
            with Redis.from_url(url) as store:
                entries, spent = store.pipeline().xrange(f"{SLOT}ledger").hgetall(f"{SLOT}spent:*").execute()
        except (RedisError, OSError):
            return None
        return Books(entries, spent)

    def wait_until_charged(self, told):
        """Return the books once they have all of these."""
        wanted = {one.id for one in told}

        def complete():
            books = self.books()
            return books if books is not None and wanted <= books.usd_nanos.keys() else None

        return until(complete)


class Books:
    """The ledger, added up by generation; and the counters of the whole instance."""

    def __init__(self, entries, spent):
        self.usd_nanos, self.requests, self.generations = Counter(), Counter(), {}
        for _, fields in entries:
            generation = unpack(fields[b"g"])
            _, _, usd_nanos, *_, requests = fields[b"n"].split()
            self.usd_nanos[generation.id] += int(usd_nanos)
            self.requests[generation.id] += int(requests)
            self.generations[generation.id] = generation
        self._spent = spent

    def twice(self, told):
        """Those that count more or less than they should: each once, with what its caller was told."""
        return [
            one
            for one in told
            if one.id in self.requests and (self.requests[one.id], self.usd_nanos[one.id]) != (1, one.usd_nanos)
        ]

    @property
    def is_balanced(self):
        """Whether the counters are the sums of the ledger."""
        sums = (sum(self.usd_nanos.values()), sum(self.requests.values()))
        return (int(self._spent.get(b"total", 0)), int(self._spent.get(b"n", 0))) == sums

    def spent_by(self, key_hash):
        return sum(self.usd_nanos[id] for id, generation in self.generations.items() if generation.key == key_hash)


def judge(rig, load, charged, note):
    """Nothing has failed, all of `charged` is in the ledger, and nothing counts for more or less than was told."""
    judge_money(rig, load, charged, note)
    assert (load.failed, load.cut) == ([], [])


def judge_money(rig, load, charged, note):
    books = rig.wait_until_charged(charged)
    twice = books.twice(load.whole)
    for name, found in {"sent": load.told, "failed": load.failed, "cut": load.cut, "twice": twice}.items():
        note(name, len(found))
    assert twice == []
    assert books.is_balanced


@contextlib.contextmanager
def timed(note):
    """Note how long it takes until all is well."""
    began = clock.monotonic()
    yield
    note("healed_s", round(clock.monotonic() - began, 1))


class Allowance:
    """A key that may spend so much, and what it has been told to have spent. Asks both workers by turns."""

    LIMIT_USD = 0.0004
    LIMIT_USD_NANOS = 400_000

    def __init__(self, rig, max_tokens=10):
        self.key, self.hash = rig.new_key("limited", limit=self.LIMIT_USD)
        self._rig = rig
        self._max_tokens = max_tokens
        self._worst_usd_nanos = 20_000 + 2_000 * max_tokens
        """What a request may cost at the most. Less than that may be left over in the end."""
        self.spent_usd_nanos = 0

    def ask_each(self, *expected):
        """Ask each worker until its answer has one of these statuses; return those answers."""
        with self._rig.each_worker() as callers:
            return [until(lambda caller=caller: self._ask(caller, expected)) for caller in callers.values()]

    def _ask(self, caller, expected):
        """429: others hold what is left; 503: the store took too long. Both may pass."""
        answer = caller.chat(MODEL, key=self.key, max_tokens=self._max_tokens)
        if answer.status == 200:
            self.spent_usd_nanos += round(answer.json["usage"]["cost"] * 1e9)
        assert answer.status in (200, 429, 503, *expected), answer.body
        assert self.spent_usd_nanos <= self.LIMIT_USD_NANOS
        return answer if answer.status in expected else None

    def is_used_up(self):
        """Ask until each worker refuses; return whether the ledger has what was told, and nearly all of the limit."""
        self.ask_each(402, 403)
        until(lambda: (books := self._rig.books()) and books.spent_by(self.hash) == self.spent_usd_nanos)
        return 0 <= self.LIMIT_USD_NANOS - self.spent_usd_nanos < self._worst_usd_nanos
