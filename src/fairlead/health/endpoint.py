"""One endpoint, as this worker sees it: what the fleet said last, and what happened here since."""

import math
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping

import msgspec

from fairlead.health import breaker, sums
from fairlead.health.bearing import Bearing
from fairlead.health.estimate import Estimate, Prior, estimate
from fairlead.health.histogram import FIRST_TOKEN, SPEED
from fairlead.health.outcome import Counts, Outcome, Verdict
from fairlead.health.record import WHY_TEXT, Increment, Record, State, Why
from fairlead.health.tally import Tally

OVERDUE = 0.7
"""Times the usual first-token time: who waits longer is counted as slow while still waiting. Earlier, a growing share
of the traffic would look like slowness, since new waiters come before their tokens do."""
OVERDUE_WHOLE = 4.0
"""The same for a reply that comes in one piece, of which nobody knows how long it will be."""
EVACUATE = 1.5
"""Times the usual first-token time, after which waiting at an ejected endpoint is given up."""
PROBE_PATIENCE = 3.0
PROBE_PATIENCE_S = 1.0
"""The same for a probe, and no less than so many seconds: somebody waits for it who could have gone elsewhere."""
VERDICTS = tuple(Verdict)
"""Their order numbers them in the store."""


class Attempt(msgspec.Struct, eq=False):
    """One try under way."""

    endpoint: "EndpointHealth"
    begun_at: float
    is_stream: bool
    load: float
    """ln(in flight + 1) of the whole fleet, when it began."""
    probe_epoch: int = 0
    """Of the probe lease it uses, else 0."""
    booked_s: float = 0.0
    """Waiting time that has been counted already."""
    is_waiting: bool = True
    leave: Callable[[], None] | None = None
    """Gives the attempt up for another endpoint, if that can still be done."""
    has_left: bool = False


class EndpointHealth:
    """State of one endpoint in one worker. Times are this worker's monotonic seconds."""

    __slots__ = (
        "account", "allowance", "allowance_at", "backlog", "backlog_at", "bearing", "buckets", "cool_until", "cool_why",
        "estimate", "failed_at", "fleet", "hash", "id", "in_flight", "is_suspect", "is_urgent", "looked_at",
        "must_remind", "news", "offset", "owed", "probe_epoch", "probe_until", "record", "sent_in_flight",
        "sent_waiting", "started", "tallied_at", "tally", "tried", "unsent", "used_epoch", "waiting", "went_well",
    )  # fmt: skip

    def __init__(self, endpoint_id: str, now: float) -> None:
        self.id = endpoint_id
        self.account: EndpointHealth | None = None
        """Of its provider, which may be cooling down as a whole."""
        self.hash = zlib.crc32(endpoint_id.encode())
        # what is under way here
        self.in_flight = 0
        self.waiting: dict[Attempt, None] = {}
        """In the order they began."""
        self.started = 0
        """Attempts since the last flush."""
        self.looked_at = now
        """When the last attempt began."""
        self.failed_at = -math.inf
        """When the last one failed."""
        # what the fleet has not been told
        self.tally = Tally()
        self.tallied_at = now
        self.backlog = sums.zeros()
        self.backlog_at = now
        self.news = Increment([])
        """All but its sums: since the last tick, and (`owed`) since the last flush."""
        self.owed = Increment([])
        self.unsent = False
        self.is_urgent = False
        """Whether that can wait no longer: a probe lease has been used."""
        self.must_remind = False
        self.buckets: defaultdict[int, int] = defaultdict(int)
        """Observations of streams, by `histogram` bucket, since they were last taken."""
        self.tried = 0
        """Attempts that have ended and count for uptime, since they were last taken."""
        self.went_well = 0
        """Of these."""
        # what the fleet knows
        self.record: Record | None = None
        self.offset = 0.0
        """This worker's clock minus the store's."""
        self.sent_in_flight = 0
        self.sent_waiting = 0
        """How many of either the fleet has been told of."""
        self.fleet = 1
        self.estimate = Estimate()
        self.bearing: Bearing | None = None
        """How many requests at once it bears; None: nobody asks for that."""
        self.cool_until = 0.0
        self.cool_why = 0
        self.probe_epoch = 0
        """Of a probe lease held here, else 0."""
        self.probe_until = 0.0
        """The lease must be used before that."""
        self.used_epoch = 0
        """Of a lease that has been used, until the fleet knows how the probe ended; else 0."""
        self.is_suspect = False
        self.allowance = 1.0
        self.allowance_at = now

    # -- what happens to an attempt ------------------------------------------------------------------------------

    def begin(self, now: float, *, is_stream: bool) -> Attempt:
        """Count an attempt that begins."""
        known = self.estimate.in_flight + self.in_flight - self.sent_in_flight
        attempt = Attempt(self, now, is_stream, math.log(max(known, self.in_flight) + 1.0))
        if self._may_probe(now):
            attempt.probe_epoch = self.used_epoch = self.probe_epoch
            self.is_urgent = True
        self.probe_epoch = 0
        self.in_flight += 1
        self.started += 1
        self.allowance -= 1.0
        self.looked_at = now
        self.waiting[attempt] = None
        self.tally.area_in_flight -= now
        self.tally.area_waiting -= now
        self.unsent = True
        return attempt

    def first_token(self, attempt: Attempt, now: float) -> None:
        """The attempt's stream has content."""
        self._stop_waiting(attempt, now)
        self.tally.attempts += 1
        self._count_success(attempt)
        ln_wait = math.log(max(now - attempt.begun_at, 1e-4))
        self.buckets[FIRST_TOKEN.bucket(ln_wait)] += 1
        self._learn_first_token(attempt, now - attempt.begun_at, ln_wait)

    def _learn_first_token(self, attempt: Attempt, waited_s: float, ln_wait: float) -> None:
        known = self.estimate
        self.tally.regress(attempt.load, ln_wait)
        booked_s = min(attempt.booked_s, waited_s)
        waited_s -= booked_s
        if known.elasticity > 0.0:  # as it would have been at the load that the estimate is of
            factor = (math.exp(attempt.load) / known.reference_load) ** known.elasticity
            waited_s /= min(max(factor, 0.5), 2.0)
        self.tally.waited_s += waited_s
        self.tally.arrived_s += waited_s + booked_s
        self.tally.first_tokens += 1

    def end(self, attempt: Attempt, outcome: Outcome, now: float) -> None:
        """The attempt is over. Must be called once for each that began."""
        tally, counts = self.tally, outcome.rule.counts
        was_waiting = attempt.is_waiting
        self._stop_waiting(attempt, now)
        self.in_flight -= 1
        tally.area_in_flight += now
        self.unsent = True
        if counts is Counts.SUCCESS:
            tally.ended += 1
            if was_waiting:  # a reply in one piece has not been counted before
                tally.attempts += 1
                self._count_success(attempt)
        elif counts is Counts.FAILURE and was_waiting:
            tally.attempts += 1
            tally.failures += 1
            self._count_failure(now)
        elif counts is not Counts.NOTHING:  # after content, a failure is a break whatever its name
            tally.ended += 1
            tally.cut += 1
            self._count_failure(now)
        if outcome.verdict is Verdict.LIMIT:
            self.news.limited += 1
        is_up = outcome.is_up
        if is_up is not None:
            self.tried += 1
            self.went_well += is_up

    def _count_success(self, attempt: Attempt) -> None:
        """End the row of failures; but what began before the last of them says nothing of the time since."""
        if attempt.begun_at > self.failed_at:
            self.news.has_success, self.news.tail = True, 0

    def _count_failure(self, now: float) -> None:
        self.news.tail += 1
        self.failed_at = now

    def _stop_waiting(self, attempt: Attempt, now: float) -> None:
        if attempt.is_waiting:
            attempt.is_waiting = False
            del self.waiting[attempt]
            self.tally.area_waiting += now

    def replied(
        self, attempt: Attempt, ended_at: float, first_token_at: float, tokens: int, usual_tokens: float = 0.0
    ) -> None:
        """Take in how long a complete reply of `tokens` took; 0: nobody knows how many, perhaps `usual_tokens`.

        Known only after the exchange has been settled, which is a moment later. Of a reply in one piece the time to
        the first token cannot be seen; it is what the generation at the known speed leaves.
        """
        if attempt.is_stream:
            if tokens >= 8 and not self._was_out_during(attempt):  # of fewer the scatter says more than the speed
                generation_s = max(ended_at - first_token_at, 1e-6)
                self.tally.generation_s += generation_s
                self.tally.tokens += tokens - 1
                self.buckets[SPEED.bucket(math.log((tokens - 1) / generation_s))] += 1
        else:
            took_s = ended_at - attempt.begun_at
            generation_s = (tokens or usual_tokens) * self.estimate.token_s
            first_token_s = min(max(took_s - generation_s, 0.1 * took_s), took_s)
            self._learn_first_token(attempt, first_token_s, math.log(max(first_token_s, 1e-4)))
            if tokens:
                self.tally.generation_s += took_s - first_token_s
                self.tally.tokens += tokens
        self.unsent = True

    def _was_out_during(self, attempt: Attempt) -> bool:
        """Whether it was ejected since the attempt began, which may have stood still then."""
        return self.record is not None and attempt.begun_at < self.record.last_ejected_at + self.offset

    def succeed(self) -> None:
        """Of an account: an attempt with its key went well, so that its next cool-down begins anew."""
        if self.record is not None and self.record.cool_level:
            self.news.has_success = self.unsent = True

    def cool(self, seconds: float, why: Verdict, now: float, *, does_grow: bool) -> None:
        """The provider asked to be left alone, or the fleet must leave it alone: at once here, then everywhere."""
        number = VERDICTS.index(why)
        if does_grow and now < self.cool_until and self.cool_why == number:
            return  # one of those that were under way when it began
        self.news.cool(seconds, number, does_grow=does_grow)
        self.unsent = True
        if now + seconds > self.cool_until:
            self.cool_until, self.cool_why = now + seconds, number

    # -- whether it may be asked ---------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return State.HEALTHY if self.record is None else State(int(self.record.state))

    def why_not(self, now: float) -> str | None:
        """Return why the endpoint should get no traffic at `now`, or None."""
        if self.account is not None and now < self.account.cool_until:
            return f"its account is {self.account.why_not(now)}"
        if now < self.cool_until:
            return f"cooling down for {self.cool_until - now:.1f} s more ({VERDICTS[self.cool_why]})"
        record = self.record
        if record is None or record.state == State.HEALTHY or self._may_probe(now):
            return None
        why = WHY_TEXT[Why(int(record.why))]
        if record.state == State.PROBING:
            return f"being probed ({why})"
        left_s = record.until + self.offset - now
        return f"ejected for {left_s:.1f} s more ({why})" if left_s > 0.0 else f"to be probed ({why})"

    def is_out(self, now: float) -> bool:
        """The same as `why_not`, for whoever does not want to know why."""
        if now < self.cool_until or (self.account is not None and now < self.account.cool_until):
            return True
        record = self.record
        return record is not None and record.state != State.HEALTHY and not self._may_probe(now)

    def is_at_ease(self, now: float) -> bool:
        """Whether it may be asked, bears any rate, and is not to be probed; if not, the others tell what it is."""
        record = self.record
        if self.probe_epoch or (record is not None and (record.state != State.HEALTHY or record.cap_rate > 0.0)):
            return False
        return now >= self.cool_until and (self.account is None or now >= self.account.cool_until)

    def is_laden(self) -> bool:
        """Whether the fleet has as many requests there as it bears. This worker may always have one."""
        if self.bearing is None or not self.in_flight:
            return False
        return self.estimate.in_flight + self.in_flight - self.sent_in_flight + 1.0 > self.bearing.limit

    def lend(self, epoch: int, until: float) -> None:
        """Take a probe lease, which is to be used before `until`: the store may then give it to another."""
        self.probe_epoch, self.probe_until = epoch, until

    def _may_probe(self, now: float) -> bool:
        return self.probe_epoch != 0 and now < self.probe_until

    def available_at(self, now: float) -> float:
        """When it may be asked again: `now` or later."""
        until = self.record.until + self.offset if self.record and self.record.state != State.HEALTHY else now
        return max(now, until, self.cool_until, self.account.cool_until if self.account is not None else now)

    def has_allowance(self, now: float) -> bool:
        """Whether this worker's part of the rate that the provider bears has an attempt left; `begin` takes it.

        A token bucket of half a second.
        """
        record = self.record
        if record is None or record.cap_rate <= 0.0:
            return True
        rate = breaker.rate_cap(record, now - self.offset) / self.fleet
        self.allowance = min(max(1.0, rate / 2.0), max(self.allowance, -1.0) + (now - self.allowance_at) * rate)
        self.allowance_at = now
        return self.allowance >= 1.0

    def evacuate(self, now: float) -> None:
        """Let those go elsewhere who wait here for much longer than usual, while it is out of use.

        Of an endpoint that was ejected for anything but slowness only the probe: what waits there has been accepted,
        and most of it is answered.
        """
        if self.state is State.HEALTHY:
            return
        is_slow = self.record is not None and self.record.why == Why.SLOW
        for attempt in list(self.waiting):
            usual_s = self.estimate.usual_s if attempt.is_stream else self._usual_whole_s
            patience_s = max(PROBE_PATIENCE * usual_s, PROBE_PATIENCE_S)
            if not attempt.probe_epoch:
                patience_s = EVACUATE * usual_s if is_slow else math.inf
            if attempt.leave is not None and now - attempt.begun_at > patience_s:
                attempt.leave()  # which the retry budget may not pay for: then it is asked again
                if attempt.has_left:
                    attempt.leave = None

    # -- the fleet -----------------------------------------------------------------------------------------------

    @property
    def is_active(self) -> bool:
        """Whether there is something to be told."""
        return self.unsent or self.in_flight > 0

    def tick(self, now: float, fleet: float = 1.0) -> Increment:
        """Close the tally of the time since the last tick, add it to what is owed, and return it.

        `fleet`: how many workers the returned sums stand for.
        """
        self._count_overdue(now)
        tally, seconds, news = self.tally, now - self.tallied_at, self.news
        tally.area_in_flight += self.in_flight * now
        tally.area_waiting += len(self.waiting) * now
        self.tally = Tally(area_in_flight=-self.in_flight * now, area_waiting=-len(self.waiting) * now)
        self.news = Increment([])
        self.tallied_at = now
        news.sums = tally.sums(seconds)
        self.backlog = sums.added(sums.decayed(self.backlog, now - self.backlog_at), news.sums)
        self.owed.age(now - self.backlog_at)
        self.backlog_at = now
        self.owed.add(news)
        if fleet != 1.0:
            news.sums = tally.sums(seconds, fleet)
        return news

    def _count_overdue(self, now: float) -> None:
        stream_s = OVERDUE * self.estimate.usual_s
        whole_s = OVERDUE_WHOLE * self._usual_whole_s
        for attempt in self.waiting:
            waited_s = now - attempt.begun_at
            if waited_s < stream_s:
                break  # those behind it began later
            if attempt.is_stream or waited_s >= whole_s:
                self.tally.waited_s += max(0.0, waited_s - attempt.booked_s)
                attempt.booked_s = waited_s

    @property
    def _usual_whole_s(self) -> float:
        """How long a long reply in one piece usually takes."""
        return self.estimate.usual_s + 400.0 * self.estimate.token_s

    def take_buckets(self) -> Mapping[int, int]:
        """Hand over what has been counted for the percentiles."""
        found, self.buckets = self.buckets, defaultdict(int)
        return found

    def take_tried(self) -> tuple[int, int]:
        """Hand over the attempts that count for uptime, and how many of them went well."""
        found = self.tried, self.went_well
        self.tried = self.went_well = 0
        return found

    def take_news(self, now: float) -> Increment:
        """Hand over everything that the fleet has not been told."""
        self.tick(now)
        news, record = self.owed, self.record
        news.sums = self.backlog
        news.is_suspect = self.is_suspect
        news.used_epoch = self.used_epoch
        if self.must_remind and record is not None:
            if record.state != State.HEALTHY:
                news.epoch = int(record.epoch)
                news.ejected_s = max(record.until + self.offset - now, 0.1)
            if self.cool_until > now and not news.cool_s:
                news.cool_s, news.cool_why = self.cool_until - now, self.cool_why
        self.backlog = sums.zeros()
        self.owed = Increment([])
        self.must_remind = self.is_urgent = self.unsent = False
        self.sent_in_flight, self.sent_waiting = self.in_flight, len(self.waiting)
        self.started = 0
        return news

    def suppose(self, prior: Prior) -> None:
        """Nobody has asked it yet: take it for what is typical of its group."""
        known = self.estimate
        known.first_token_s = known.usual_s = prior.first_token_s
        known.token_s = prior.token_s

    def learn(self, record: Record, offset: float, prior: Prior, fleet: int, now: float) -> None:
        """Take over what the fleet knows. `offset`: this worker's clock minus the record's."""
        self.record, self.offset, self.fleet = record, offset, max(fleet, 1)
        if record.state != State.PROBING or record.epoch != self.used_epoch:
            self.used_epoch = 0
        if self.probe_epoch and (record.state != State.PROBING or record.epoch != self.probe_epoch):
            self.probe_epoch = 0
        if record.cool_until + offset > self.cool_until:
            self.cool_until, self.cool_why = record.cool_until + offset, int(record.cool_why)
        known = self.estimate = estimate(sums.decayed(record.sums, now - offset - record.at), prior)
        if self.bearing is not None:
            self.bearing.learn(known.in_flight, known.first_token_s, now)
