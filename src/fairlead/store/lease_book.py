"""All leases of one worker: of each key that it serves, of the whole instance; and what the store knows of them.

A call tells what has changed since the last call that the store has heard, and what is drawn on: a worker with leases
of thousands of keys has few of them to look at, and so has the script. All of it is told

- as long as the store is not known to know any of it, and when it says that it does not: it begins anew, it lost its
  last calls with a failover, or it has taken this worker for dead (see `Call.base`),
- and in the course of RETOLD_S, some with every beat, whether it has changed or not.

What a call told that was not answered is told again, since nobody knows what became of it.
"""

import itertools
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from weakref import WeakValueDictionary

from fairlead.access.keys import ApiKey
from fairlead.access.lease import IDLE_S, RATE_GOOD_S, AmountLease, AmountLimit, RateLease, RateLimit
from fairlead.access.spend import INSTANCE, Budgets, key_limits
from fairlead.store.money import Charge, Watch

UNKNOWN = -1
FORGOTTEN_S = 3_600.0
"""A key that has not been used for as long is let go of: longer than any request takes."""
RETOLD_S = 600.0
"""In this time each lease is told anew, with a beat a second. The store keeps one that nobody tells of for a day; the
rest of the reason is that somebody may have removed one there, which nothing else would show."""


@dataclass(slots=True, eq=False)
class KeyLeases:
    """The leases of one key here; None where it has no such limit. `used_at`: the worker's monotonic seconds."""

    key: ApiKey
    used_at: float
    spend: AmountLease | None = None
    slots: AmountLease | None = None
    requests: RateLease | None = None
    tokens: RateLease | None = None
    free_by_minute: RateLease | None = None
    free_by_day: AmountLease | None = None


class LeaseBook:
    """`workers` is how many share the limits on this host. Times are the worker's monotonic seconds."""

    def __init__(self, budgets: Budgets, workers: int, now: float) -> None:
        self._budgets = budgets
        self._workers = workers
        # As long as a key, a request or the store knows of them; so no account ever has two.
        self._amounts: WeakValueDictionary[str, AmountLease] = WeakValueDictionary()
        self._rates: WeakValueDictionary[str, RateLease] = WeakValueDictionary()
        self._used_rates: set[RateLease] = set()
        """Those that may have something to give back, or to pay."""
        self._of_key: dict[str, KeyLeases] = {}
        self.told: dict[str, int] = {}
        """What the store takes each lease of an amount for, if that is anything; UNKNOWN when an answer was lost."""
        self._of_told: OrderedDict[str, AmountLease] = OrderedDict()
        """First those that have not been told for longest."""
        self._changed: set[AmountLease] = set()
        """Those to which something was done since the last call, or since one that was not answered."""
        self._unused: OrderedDict[AmountLease, None] = OrderedDict()
        """Of the others, those with something here that is in nobody's hands; first those not used for longest."""
        self._later: Mapping[str, int] = {}
        """What was to be charged by later calls when the last one was made."""
        self._is_known = False
        """Whether the store knows what was told."""
        self.instance = self._amount(INSTANCE, budgets.limits(), now) if budgets.limits() else None

    def is_unlimited(self, key: ApiKey) -> bool:
        """Whether nothing limits a request with this key: then there is nothing to hold."""
        return (
            self.instance is None
            and self._budgets.free_per_minute is None
            and self._budgets.free_per_day is None
            and key.limit_usd_nanos is None
            and key.requests_per_minute is None
            and key.tokens_per_minute is None
            and key.max_concurrency is None
        )

    def of_key(self, key: ApiKey, now: float) -> KeyLeases:
        """Return the leases of a key. One that has changed gets new limits; what is held goes on being held."""
        found = self._of_key.get(key.hash)
        if found is None or found.key is not key:
            found = self._of_key[key.hash] = self._renew(key, now)
        found.used_at = now
        return found

    def _renew(self, key: ApiKey, now: float) -> KeyLeases:
        renewed = KeyLeases(key, now)
        if limits := key_limits(key):
            renewed.spend = self._amount(key.hash, limits, now)
        if (slots := key.max_concurrency) is not None:
            renewed.slots = self._amount(f"slots:{key.hash}", (AmountLimit("total", slots),), now)
            renewed.slots.keep = slots // (8 * self._workers)
        if key.requests_per_minute is not None:
            renewed.requests = self._rate(f"requests:{key.hash}", key.requests_per_minute)
        if key.tokens_per_minute is not None:
            renewed.tokens = self._rate(f"tokens:{key.hash}", key.tokens_per_minute)
        if (per_minute := self._budgets.free_per_minute) is not None:
            renewed.free_by_minute = self._rate(f"free-rate:{key.hash}", per_minute)
        if (per_day := self._budgets.free_per_day) is not None:
            renewed.free_by_day = self._amount(f"free:{key.hash}", (AmountLimit("daily", per_day),), now)
        return renewed

    def _amount(self, account: str, limits: tuple[AmountLimit, ...], now: float) -> AmountLease:
        lease = self._amounts.get(account)
        if lease is None:
            lease = self._amounts[account] = AmountLease(account, limits, used_at=now, changed=self._changed)
        elif lease.limits != limits:
            lease.limits = limits
            lease.void()  # the next draw is by the new ones
        return lease

    def _rate(self, account: str, per_minute: int) -> RateLease:
        limit = RateLimit(per_minute)
        lease = self._rates.setdefault(account, RateLease(account, limit))
        lease.limit = limit
        return lease

    def forget_idle(self, now: float) -> None:
        """Let go of the keys that nobody uses any more."""
        for key_hash in [key_hash for key_hash, one in self._of_key.items() if now - one.used_at > FORGOTTEN_S]:
            del self._of_key[key_hash]

    def void_all(self) -> None:
        """Nothing is here or held any more."""
        for lease in self._amounts.values():
            lease.held = 0
            lease.void()

    # -- between the store and here ------------------------------------------------------------------------------

    def give_back(self, now: float, *, is_void: bool) -> list[RateLease]:
        """Let go of what is not needed here, of all of it if `is_void`; return the rates with something to tell.

        What was enough ahead stays so until it is used, or nobody has used it for IDLE_S.
        """
        idle = itertools.takewhile(lambda lease: is_void or now - lease.used_at > IDLE_S, self._unused)
        for lease in {*self._changed, *idle}:
            if is_void:
                lease.void()
            lease.give_back(now)
            self._unused.pop(lease, None)
            if lease.available:
                self._unused[lease] = None
        old = [rate for rate in self._used_rates if now - rate.drawn_at > RATE_GOOD_S]
        self._used_rates.difference_update(old)
        return [rate for rate in old if rate.available]

    def base(self, heard: int) -> int:
        """Return which call the next one builds on, if the last that was answered is `heard`; 0: it tells all."""
        return heard if self._is_known and self.told else 0

    def news(
        self, later: Mapping[str, int], drawn: Iterable[AmountLease] = (), *, is_beat: bool = False
    ) -> dict[str, int]:
        """Return what to tell of leases: what the others must not use of each, 0 for nothing. Asking changes nothing.

        That is what is here, and what has been used and is charged by a `later` call. Of those that are `drawn` on the
        script reckons with what it knows: it is told in any case.
        """
        due = {lease.account: lease for lease in drawn if lease.account in self.told}
        if not self._is_known:
            due.update(self._of_told)
        elif is_beat:
            due.update(itertools.islice(self._of_told.items(), int(len(self.told) / RETOLD_S) + 1))
        owing = [self._of_told[account] for account in {*later, *self._later} if account in self.told]
        for lease in (*self._changed, *owing):
            if lease.outstanding + later.get(lease.account, 0) != self.told.get(lease.account, 0):
                due[lease.account] = lease
        return {account: lease.outstanding + later.get(account, 0) for account, lease in due.items()}

    def tells(self, leases: Mapping[str, int], later: Mapping[str, int]) -> None:
        """These news are on their way. What changes from now on is for the next call."""
        for lease in self._changed:
            if lease.account in leases and lease.account not in self.told:
                self._tell(lease, UNKNOWN)
        self._changed.clear()
        self._later = later

    def has_unused(self) -> bool:
        """Whether something is here that another worker may be in want of."""
        return bool(self._unused)

    def watches(self, batch: Iterable[Charge]) -> list[Watch]:
        """Return what to tell of: the parts of the limits that these charges count against."""
        found = {}
        of_each = {(account, charge.day): charge for charge in batch for account in (charge.key, INSTANCE)}
        for (account, _), charge in of_each.items():
            key = self._of_key.get(account)
            lease = self.instance if account == INSTANCE else key.spend if key is not None else None
            for limit in lease.limits if lease is not None else ():
                if limit.most:
                    for part in self._budgets.alerts:
                        name = f"{account} {limit.window} {part:g} {limit.most}"
                        field = charge.windows[limit.window]
                        found[field, name] = Watch(account, field, max(int(limit.most * part), 1), name)
        return list(found.values())

    def heard(self, leases: Mapping[str, int]) -> None:
        """The store has taken in what it was told of the leases."""
        self._is_known = True
        for account, amount in leases.items():
            if amount:
                self.told[account] = amount
                self._of_told.move_to_end(account)
            else:
                del self.told[account], self._of_told[account]

    def unheard(self, leases: Iterable[str], drawn: Iterable[AmountLease]) -> None:
        """Nobody knows whether the store has taken that in, and granted anything: it has to be told what is here."""
        for lease in (*drawn, *(self._of_told[account] for account in leases)):
            self._tell(lease, UNKNOWN)
            self._changed.add(lease)

    def unknown(self) -> None:
        """The store may know nothing of what it was told before: it has to be told all."""
        self._is_known = False

    def granted(self, lease: AmountLease, amount: int) -> None:
        """The store has granted so much more."""
        if amount:
            lease.grant(amount)
            self._unused[lease] = None
            self._tell(lease, self.told.get(lease.account, 0) + amount)

    def _tell(self, lease: AmountLease, amount: int) -> None:
        self.told[lease.account] = amount
        self._of_told[lease.account] = lease

    def note_used(self, rate: RateLease) -> None:
        """It may have something to give back, or to pay."""
        self._used_rates.add(rate)

    def recall(self, account: str, now: float) -> bool:
        """Somebody else needs what is not used here; returns whether there is anything."""
        lease = self._of_told.get(account)
        if lease is None:
            return False
        lease.recall(now)
        return lease.available > 0
