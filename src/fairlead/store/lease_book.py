"""All leases of one worker: of each key that it serves, of the whole instance; and what the store knows of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from weakref import WeakValueDictionary

from fairlead.access.keys import ApiKey
from fairlead.access.lease import RATE_GOOD_S, AmountLease, AmountLimit, RateLease, RateLimit
from fairlead.access.spend import INSTANCE, Budgets, key_limits
from fairlead.store.money import Charge, Watch

UNKNOWN = -1
FORGOTTEN_S = 3_600.0
"""A key that has not been used for as long is let go of: longer than any request takes."""


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
        self._of_told: dict[str, AmountLease] = {}
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
            lease = self._amounts[account] = AmountLease(account, limits, used_at=now)
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
            lease.available = lease.held = 0

    # -- between the store and here ------------------------------------------------------------------------------

    def give_back(self, now: float, *, is_void: bool) -> list[RateLease]:
        """Let go of what is not needed here, of all of it if `is_void`; return the rates with something to tell."""
        for lease in self._of_told.values():
            if is_void:
                lease.void()
            lease.give_back(now)
        old = [rate for rate in self._used_rates if now - rate.drawn_at > RATE_GOOD_S]
        self._used_rates.difference_update(old)
        return [rate for rate in old if rate.available]

    def outstanding(self, later: Mapping[str, int]) -> dict[str, int]:
        """Return what the others must not use: what is here, and has been used and is charged by a `later` call."""
        return {account: lease.outstanding + later.get(account, 0) for account, lease in self._of_told.items()}

    def has_unused(self) -> bool:
        """Whether something is here that another worker may be in want of."""
        return any(lease.available for lease in self._of_told.values())

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
        self.told = {account: amount for account, amount in leases.items() if amount}
        self._of_told = {account: self._of_told[account] for account in self.told}

    def granted(self, lease: AmountLease, amount: int) -> None:
        """The store has granted so much more."""
        lease.available += amount
        if amount:
            self._tell(lease, self.told.get(lease.account, 0) + amount)

    def doubt(self, lease: AmountLease) -> None:
        """Nobody knows whether the store has granted anything: it has to be told what is here."""
        self._tell(lease, UNKNOWN)

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
