"""The health board: everything this worker knows of all endpoints, and what it has to tell the fleet.

    attempts ──▶ tally ──tick──▶ backlog ──flush──▶ (store: merge) ──snapshot──▶ record ──▶ estimate ──▶ pick

`flushes` says what to send, `learn` takes the answers in; whoever calls them carries the bytes. When the store is
away, `go_alone` merges what happens here with what was known last, by the same rules, and what the fleet has not been
told waits in the backlog: a vector per endpoint, however long it takes.
"""

import math
import random
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from fairlead.catalog.model import Endpoint
from fairlead.health import sums
from fairlead.health.bearing import Bearing
from fairlead.health.breaker import BreakerLimits
from fairlead.health.endpoint import Attempt, EndpointHealth
from fairlead.health.estimate import Prior, prior_of
from fairlead.health.merge import Group, Probe, merge, report_probe
from fairlead.health.outcome import Counts, Outcome, Verdict
from fairlead.health.record import Change, Flush, Increment, Record, Snapshot, State, Why, move

IDLE_S = 1.0
"""How often a group is read in which nothing happens here."""
FORGOTTEN_S = 60.0
"""A group that nobody has asked for as long is not read any more, until somebody does."""
CALLS_PER_S = 2000.0
"""That the whole fleet may ask of the store: with many workers and groups the flushes become fewer."""
FLUSH_S = 0.1
ACCOUNT = "@"
"""Begins the name of the group, and of its one endpoint, that stand for a provider's account."""
LONE = 2.0**32
"""Epochs of a worker that judges by itself count from here: none of its leases may be taken for one of the store's."""
LEASE_USE = 0.8
"""Part of a probe lease in which it may be used; what is left is for telling the store."""
ACCOUNT_S = 10.0
"""How often an account is read: it changes rarely, and news of that are pushed."""
REMINDED = -1.0
"""`born` of a record that the store has lost: what was known of it has been put into the backlog."""
SUSPECT_COUNT = 3
SUSPECT_SHARE = 0.6
"""So many endpoints of a provider out at once speak against its others too."""
OUT_TOKENS = 200.0
"""Expected length of a reply before any has been seen."""


@dataclass(slots=True)
class Batch:
    """What has been sent and not been acknowledged."""

    number: int
    at: float
    increments: dict[str, Increment]


class GroupHealth:
    """One model with its endpoints, in one worker."""

    __slots__ = (
        "accounts_asked_at", "alone", "asked_at", "batch", "endpoints", "fleet", "flushed_at", "is_urgent", "name",
        "out_tokens", "pause_s", "prior", "read_at", "shared",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.pause_s = ACCOUNT_S if name.startswith(ACCOUNT) else IDLE_S
        """Between two readings while nothing happens here."""
        self.endpoints: dict[str, EndpointHealth] = {}
        self.prior = Prior()
        self.out_tokens = OUT_TOKENS
        """Mean length of the replies seen here."""
        self.fleet = 1
        """Workers that serve this group."""
        self.asked_at = -math.inf
        self.accounts_asked_at = -math.inf
        self.read_at = -math.inf
        self.flushed_at = -math.inf
        self.is_urgent = False
        self.batch: Batch | None = None
        self.alone: Group | None = None
        """The private view of a worker that has lost the store."""
        self.shared: dict[str, Record] = {}
        """What the store said last, meanwhile, on this worker's clock."""


class HealthBoard:
    """All endpoints of one worker. `urgent()` is called when the fleet should hear of something at once.

    `worker` names this process among all workers, for as long as it lives. `has_bearings`: it learns how many requests
    at once each endpoint bears.
    """

    def __init__(
        self,
        limits: BreakerLimits | None = None,
        *,
        worker: str = "worker",
        rng: random.Random | None = None,
        fleet: int = 1,
        has_bearings: bool = False,
    ) -> None:
        self.limits = limits or BreakerLimits()
        self.urgent: Callable[[], None] = lambda: None
        self.tell: Callable[[Change], None] = lambda _: None
        """Hears of every change of state that this worker learns of first."""
        self.is_alone = False
        self._worker = worker
        self._rng = rng or random.Random()
        self._fleet = fleet
        self._has_bearings = has_bearings
        self._groups: dict[str, GroupHealth] = {}
        self._endpoints: dict[str, EndpointHealth] = {}
        self._results: list[tuple[str, str, int, Probe]] = []
        self._number = 0
        """Of the last batch, of whichever group: a group that is forgotten and comes back must not begin anew."""

    # -- for those who plan and relay ----------------------------------------------------------------------------

    def of(self, endpoint_id: str, now: float = 0.0) -> EndpointHealth:
        """Return the state of an endpoint, `provider:model`; a new one is healthy."""
        health = self._endpoints.get(endpoint_id)
        if health is None:
            health = self._endpoints[endpoint_id] = EndpointHealth(endpoint_id, now)
            if self._has_bearings and not endpoint_id.startswith(ACCOUNT):
                health.bearing = Bearing()
            group = self.group(_group_of(endpoint_id))
            if not endpoint_id.startswith(ACCOUNT):
                health.account = self.account(endpoint_id.partition(":")[0], now)
            group.endpoints[endpoint_id] = health
            health.suppose(group.prior)
        return health

    def of_each(self, endpoints: Iterable[Endpoint], now: float) -> list[EndpointHealth]:
        """Return the state of each, as `of` does."""
        known = self._endpoints
        return [known.get(endpoint.id) or self.of(endpoint.id, now) for endpoint in endpoints]

    def group(self, name: str) -> GroupHealth:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = GroupHealth(name)
            group.fleet = self._fleet
        return group

    def account(self, provider: str, now: float = 0.0) -> EndpointHealth:
        """Return the state of a provider's account: it cools down when a key is refused, or the money is used up."""
        return self.of(f"{ACCOUNT}{provider}", now)

    def end(self, attempt: Attempt, outcome: Outcome, now: float) -> None:
        """An attempt is over: what follows for the endpoint, for its account, and for the probe, if it was one."""
        health, rule = attempt.endpoint, outcome.rule
        health.end(attempt, outcome, now)
        if rule.counts is Counts.SUCCESS and health.account is not None:
            health.account.succeed()
        if rule.cool_s:
            self._cool(health, outcome, now)
        if attempt.probe_epoch:
            has_failed = outcome.verdict is Verdict.EVACUATED  # a probe is left only for taking too long
            self._end_probe(attempt, Probe.FAILED if has_failed else _PROBE_RESULT[rule.counts])
        if rule.counts in (Counts.FAILURE, Counts.BREAK) or rule.cool_s:
            self._hurry(health)

    def first_token(self, attempt: Attempt, now: float) -> None:
        """An attempt's stream has content. A probe has succeeded with it, unless it was to show something else."""
        health = attempt.endpoint
        health.first_token(attempt, now)
        if attempt.probe_epoch and health.record is not None:
            why = int(health.record.why)
            if why == Why.SLOW and now - attempt.begun_at > 2.0 * health.estimate.usual_s:
                self._end_probe(attempt, Probe.FAILED)
            elif why != Why.BROKEN_OFF:
                self._end_probe(attempt, Probe.OK)

    def replied(self, attempt: Attempt, ended_at: float, first_token_at: float, tokens: int) -> None:
        """A complete reply of `tokens` has been settled; 0 when its provider did not count them."""
        group = self.group(_group_of(attempt.endpoint.id))
        attempt.endpoint.replied(attempt, ended_at, first_token_at, tokens, group.out_tokens)
        if tokens > 0:
            group.out_tokens += (tokens - group.out_tokens) / 50.0

    def _cool(self, health: EndpointHealth, outcome: Outcome, now: float) -> None:
        rule = outcome.rule
        asked_s = outcome.retry_after_s
        seconds = asked_s or rule.cool_s
        if rule.is_about_account and outcome.is_about_account:
            health = self.account(health.id.partition(":")[0], now)
            self._hurry(health)
        health.cool(seconds, outcome.verdict, now, does_grow=asked_s is None and rule.does_cool_grow)

    def _end_probe(self, attempt: Attempt, result: Probe) -> None:
        health = attempt.endpoint
        self._results.append((_group_of(health.id), health.id, attempt.probe_epoch, result))
        attempt.probe_epoch = 0
        self._hurry(health)

    def _hurry(self, health: EndpointHealth) -> None:
        self.group(_group_of(health.id)).is_urgent = True
        self.urgent()

    def forget_all_but(self, endpoint_ids: set[str]) -> None:
        """Drop the state of endpoints that the catalogue no longer has."""
        gone = [i for i in self._endpoints.keys() - endpoint_ids if not i.startswith(ACCOUNT)]
        for endpoint_id in gone:
            if not self._endpoints[endpoint_id].in_flight:
                del self._endpoints[endpoint_id]
                group = self._groups[_group_of(endpoint_id)]
                del group.endpoints[endpoint_id]
                if not group.endpoints:
                    del self._groups[group.name]

    @property
    def groups(self) -> Iterable[GroupHealth]:
        return self._groups.values()

    # -- for whoever carries it to the store ---------------------------------------------------------------------

    def flushes(self, now: float) -> list[Flush]:
        """Return what to tell the store now, at most one flush a group. What no `learn` follows is sent again."""
        busy = sum(any(h.is_active for h in group.endpoints.values()) for group in self._groups.values())
        pause_s = min(max(self.fleet * busy / CALLS_PER_S, FLUSH_S), IDLE_S)
        found = []
        for group in self._groups.values():
            is_active = group.batch is not None or any(h.is_active for h in group.endpoints.values())
            is_urgent = group.is_urgent or any(h.is_urgent for h in group.endpoints.values())
            if is_active or is_urgent:
                if is_urgent or now - group.flushed_at >= pause_s * 0.9:
                    found.append(self._flush(group, now))
            elif now - group.asked_at < FORGOTTEN_S and now - group.read_at >= group.pause_s:
                found.append(self._flush(group, now))
        return found

    @property
    def fleet(self) -> int:
        """Workers that serve what this one does."""
        return max((group.fleet for group in self._groups.values()), default=1)

    def asked(self, name: str, now: float) -> GroupHealth:
        """Note that a request asks for this group: what the fleet knows of it is to be kept at hand."""
        group = self.group(name)
        if now - group.accounts_asked_at > IDLE_S / 2.0:
            group.accounts_asked_at = now
            for health in group.endpoints.values():
                if health.account is not None:
                    self._groups[health.account.id].asked_at = now
        group.asked_at = now
        return group

    def reading(self, name: str, now: float) -> Flush:
        """Return a flush that only reads a group."""
        return Flush(name, self._worker, 0, False, 0.0, {})

    def _flush(self, group: GroupHealth, now: float) -> Flush:
        group.flushed_at = now
        group.is_urgent = False
        batch = group.batch
        if batch is None:
            if group.alone is not None:  # whose news wait until the store is back
                return self.reading(group.name, now)
            increments = {}
            for endpoint_id, health in group.endpoints.items():
                if health.is_active:
                    increments[endpoint_id] = health.take_news(now)
            if not increments:
                return self.reading(group.name, now)
            self._number += 1
            batch = group.batch = Batch(self._number, now, increments)
        elif now > batch.at:  # what was not acknowledged: the same, only older
            for news in batch.increments.values():
                news.age(now - batch.at)
            batch.at = now
        can_probe = now - group.asked_at < IDLE_S
        return Flush(group.name, self._worker, batch.number, can_probe, self._rng.random(), batch.increments)

    def learn(self, flush: Flush, snapshot: Snapshot, now: float) -> None:
        """Take in the store's answer to `flush`."""
        group = self._groups.get(flush.group)
        if group is None:
            return
        if group.batch is not None and group.batch.number == flush.number:
            group.batch = None
        if group.alone is not None:
            for endpoint_id, health in group.endpoints.items():
                health.record, health.offset = group.shared.get(endpoint_id), 0.0
            group.alone, group.shared = None, {}
            group.is_urgent = True
            self.urgent()
        group.read_at = now
        self._take(group, snapshot, now - snapshot.now, now, group.flushed_at)

    def _take(self, group: GroupHealth, snapshot: Snapshot, offset: float, now: float, asked_at: float) -> None:
        fleet = max(snapshot.workers, 1)
        ages = {i: now - offset - record.at for i, record in snapshot.records.items()}
        group.prior = prior_of(sums.decayed(r.sums, ages[i]) for i, r in snapshot.records.items() if r.sums[sums.N120])
        for endpoint_id, health in group.endpoints.items():
            record = snapshot.records.get(endpoint_id)
            known = health.record
            if known is not None and group.alone is None:
                record = self._compared(health, known, record, offset, max(fleet, group.fleet), now)
            if record is None:
                if known is None:
                    health.suppose(group.prior)
                continue
            health.learn(record, offset, group.prior, fleet, now)
            health.evacuate(now)
            if endpoint_id in snapshot.granted:
                health.lend(snapshot.granted[endpoint_id], asked_at + LEASE_USE * self.limits.lease_s)
        group.fleet = fleet

    def _compared(
        self, health: EndpointHealth, known: Record, record: Record | None, offset: float, fleet: int, now: float
    ) -> Record | None:
        """Return what to believe: what the store says, unless it has lost, or does not know yet, that it is out."""
        if known.born != REMINDED and (record is None or record.born != known.born):
            self._give_back(health, known, fleet, now)
        if record is None or record.state != State.HEALTHY or known.state == State.HEALTHY:
            return record
        if record.epoch >= known.epoch:
            return record
        health.must_remind = health.unsent = True
        until = known.until + health.offset - offset
        return replace(record, state=known.state, why=known.why, epoch=known.epoch, until=until)

    def _give_back(self, health: EndpointHealth, known: Record, fleet: int, now: float) -> None:
        """The store has lost what it knew of an endpoint: give back this worker's part of it."""
        lost = sums.decayed(known.sums, now - health.offset - known.at)
        health.tick(now)
        health.backlog = sums.added(health.backlog, [value / fleet for value in lost])
        known.born = REMINDED
        health.must_remind = health.unsent = True

    def results(self) -> list[tuple[str, str, int, Probe]]:
        """Return the ended probes that nobody has been told of: group, endpoint, epoch, result."""
        found, self._results = self._results, []
        return found

    def keep_results(self, results: list[tuple[str, str, int, Probe]]) -> None:
        """They could not be told; to be tried again."""
        self._results = results + self._results

    def hear(self, change: Change, now: float) -> None:
        """Apply a change that another worker caused, ahead of the next reading."""
        health = self._endpoints.get(change.endpoint)
        if health is None:
            return
        if change.kind == "cooling":
            if now + change.seconds > health.cool_until:
                health.cool_until, health.cool_why = now + change.seconds, change.why
            return
        record, state = health.record, _STATE_OF.get(change.kind)
        if record is None or state is None or record.epoch >= change.epoch:
            return
        record.state, record.epoch = float(state), float(change.epoch)
        if change.why != Why.PROBE:  # a failed one leaves the reason as it was
            record.why = float(change.why)
        record.until = now - health.offset + change.seconds
        if health.probe_epoch != change.epoch:
            health.probe_epoch = 0
        health.evacuate(now)
        if change.kind == "recovered":  # the numbers come with the next reading
            self.group(change.group).is_urgent = True
            self.urgent()

    # -- without the store ---------------------------------------------------------------------------------------

    def go_alone(self, now: float, names: Collection[str] | None = None) -> list[Change]:
        """Do here what the store would have done, for the time being. Call it at every tick while the store is away.

        `names`: the groups that it is away for; all, if not given. This worker stands for the whole fleet: what it
        sees counts as often as there are workers, and thresholds are lower, since it sees less.
        """
        changes: list[Change] = []
        results: list[tuple[str, str, int, Probe]] = []
        for group in self._groups.values():
            if names is not None and group.name not in names:
                continue
            if group.alone is None:
                changes += self._begin_alone(group, now)
            changes += self._alone(group, now)
        for group_name, endpoint_id, epoch, result in self.results():
            group = self.group(group_name)
            if group.alone is not None:
                lone_epoch = epoch if epoch >= LONE else epoch + int(LONE)
                limits = self._limits_alone(group)
                changes += report_probe(group.alone, endpoint_id, lone_epoch, result, now, self._rng.random(), limits)
            if epoch < LONE:  # the store granted it, and wants to know
                results.append((group_name, endpoint_id, epoch, result))
        self.keep_results(results)
        return changes

    def _begin_alone(self, group: GroupHealth, now: float) -> list[Change]:
        """Start from what was known last, and from the news of which nobody knows whether the store got them."""
        known = [(i, h.record, h.offset) for i, h in group.endpoints.items() if h.record is not None]
        group.shared = {endpoint_id: _moved(record, offset) for endpoint_id, record, offset in known}
        group.alone = Group(group.name, {i: replace(_moved(r, o), epoch=r.epoch + LONE) for i, r, o in known})
        return self._merge_alone(group, group.batch.increments, now) if group.batch is not None else []

    def _alone(self, group: GroupHealth, now: float) -> list[Change]:
        increments = {}
        for endpoint_id, health in group.endpoints.items():
            if health.is_active:
                news = increments[endpoint_id] = health.tick(now, group.fleet)
                news.used_epoch, news.is_suspect = health.used_epoch, health.is_suspect
                health.sent_in_flight, health.sent_waiting, health.started = health.in_flight, len(health.waiting), 0
        return self._merge_alone(group, increments, now)

    def _merge_alone(self, group: GroupHealth, increments: Mapping[str, Increment], now: float) -> list[Change]:
        assert group.alone is not None
        number = group.alone.flushes.get(self._worker, (0, 0.0))[0] + 1
        can_probe = now - group.asked_at < IDLE_S
        flush = Flush(group.name, self._worker, number, can_probe, self._rng.random(), increments)
        snapshot, changes = merge(group.alone, flush, now, self._limits_alone(group))
        snapshot.workers = group.fleet
        for endpoint_id, record in snapshot.records.items():
            if endpoint_id not in group.shared and record.born != REMINDED:
                record.born = REMINDED  # the store will hear of it from the backlog
                record.epoch += LONE
        self._take(group, snapshot, 0.0, now, now)
        return changes

    def _limits_alone(self, group: GroupHealth) -> BreakerLimits:
        if group.fleet == 1:
            return self.limits
        limits = self.limits
        return replace(
            limits,
            in_a_row=min(3.0, limits.in_a_row),
            min_s=limits.min_s * max(1.0, group.fleet / 2.0),
            max_s=limits.max_s * 4.0,
        )

    # -- providers -----------------------------------------------------------------------------------------------

    def suspect(self) -> None:
        """Look whether so many endpoints of a provider are out that its others need fewer failures to follow."""
        known: dict[str, list[EndpointHealth]] = {}
        if not any(h.is_suspect or h.state is not State.HEALTHY for h in self._endpoints.values()):
            return
        for endpoint_id, health in self._endpoints.items():
            if health.record is not None:
                known.setdefault(endpoint_id.partition(":")[0], []).append(health)
        for endpoints in known.values():
            out = sum(health.state is not State.HEALTHY for health in endpoints)
            is_suspect = out >= SUSPECT_COUNT and out >= SUSPECT_SHARE * len(endpoints)
            for health in endpoints:
                health.is_suspect = is_suspect


_PROBE_RESULT = {
    Counts.SUCCESS: Probe.OK,
    Counts.FAILURE: Probe.FAILED,
    Counts.BREAK: Probe.FAILED,
    Counts.NOTHING: Probe.VOID,
}
_STATE_OF = {"ejected": State.EJECTED, "probing": State.PROBING, "recovered": State.HEALTHY}


def _group_of(endpoint_id: str) -> str:
    return endpoint_id.partition(":")[2] or endpoint_id


def _moved(record: Record, offset: float) -> Record:
    """Return a copy whose times are on another clock."""
    moved = replace(record, sums=list(record.sums))
    move(moved, offset)
    return moved
