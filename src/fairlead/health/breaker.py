"""When an endpoint is taken out of use, for how long, and how it comes back.

    HEALTHY ──trips──▶ EJECTED ──time is over, one lease in the fleet──▶ PROBING ──success──▶ HEALTHY
                          ▲                                                 │
                          └──────────── failure, or the lease ran out ──────┘

Pure decisions on a `Record`; `store/health.lua` makes the same ones where all workers' news come together, and
tests/store/test_health.py holds the two against each other. Sources: Envoy's outlier detection (consecutive failures,
share over a least volume, time that grows), resilience4j (slow calls), linkerd (a single probe).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from fairlead.health.record import Record, State, Why
from fairlead.health.sums import A2, A20, E1, E5, E20, E120, F2, F20, LN2, M3, M60, N1, N5, N20, N120, S3, U120, G, K


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """Constants of the breaker. Those that `python -m bench.simulate sweep` varies were chosen by its table."""

    in_a_row: float = 5.0
    """Failures, over all workers. Envoy's `consecutive_5xx` is 5, linkerd's 7."""
    in_a_row_suspect: float = 2.0
    """The same while other endpoints of its provider are out."""
    share: float = 0.5
    share_attempts_2s: float = 6.0
    share_attempts_20s: float = 12.0
    """So many attempts in the window before a share means anything (Envoy's `request_volume`)."""
    broken_off: float = 4.0
    broken_off_share: float = 0.3
    slow_factor: float = 3.0
    """Ejected when first tokens come significantly slower than this many times the usual."""
    usual_count: float = 10.0
    """The usual is that of the first tokens that came, beside so many that took as long as all have waited: the very
    first to come are the fast ones."""
    slow_expected: float = 3.0
    """So many first tokens must have been due even at that pace."""
    slow_deviance: float = 9.0
    """Three standard errors, squared."""
    variation: float = 0.49
    """Of first-token times: the square of their coefficient of variation, 0.7."""
    min_s: float = 1.0
    max_s: float = 8.0
    """Bounds of an ejection: 2^level times the first. Short, since a probe is one request that is retried elsewhere."""
    jitter: float = 0.2
    forgive_s: float = 20.0
    """`level` falls by one for each such time in good health."""
    lease_s: float = 1.0
    """How long a worker may sit on a probe lease without sending a request."""
    probe_s: float = 13.0
    """How long the lease lasts once the request has been sent: the time to the first byte, and a second."""
    keep_errors: float = 0.2
    """Part of the errors that is remembered after a recovery."""
    keep_latency: float = 0.02
    """Part of the short windows' first-token times, and of the output speeds, that is remembered then."""
    cool_growth: float = 60.0
    """A cool-down that grows becomes at most so many times as long: a minute after a rate limit, and for an account an
    hour, so that a mended one is found again within it."""


ERRORS = (F2, F20, M3, M60)
"""Forgotten after a recovery: not the attempts themselves, or the share of failures would stay what it was."""
LATENCIES = (E1, E5, E20, N1, N5, N20, G, K)

CAP_START = 0.92
"""Part of the rate at which a provider limited us that is sent from then on (CUBIC starts again from 0.7 to 0.9)."""


def why_eject(record: Record, others: Iterable[Record], limits: BreakerLimits, *, is_suspect: bool) -> Why:
    """Return the reason to eject a HEALTHY endpoint, NOTHING if there is none.

    `others` are the other endpoints of its group. Failures may eject every endpoint of a group; slowness and broken
    replies never the last healthy one, and slowness at most half of them.
    """
    s = record.sums
    if record.failures_in_row >= (limits.in_a_row_suspect if is_suspect else limits.in_a_row):
        return Why.IN_A_ROW
    if (s[A2] >= limits.share_attempts_2s and s[F2] >= limits.share * s[A2]) or (
        s[A20] >= limits.share_attempts_20s and s[F20] >= limits.share * s[A20]
    ):
        return Why.SHARE
    others = list(others)
    healthy = [other for other in others if other.state == State.HEALTHY]
    if not healthy:
        return Why.NOTHING
    if s[M3] >= limits.broken_off and s[M3] >= limits.broken_off_share * s[S3]:
        return Why.BROKEN_OFF
    slow = sum(other.state != State.HEALTHY and other.why == Why.SLOW for other in others)
    if 2 * (slow + 1) <= len(others) + 1 and _is_slow(s, healthy, limits):
        return Why.SLOW
    return Why.NOTHING


def _is_slow(s: list[float], healthy: list[Record], limits: BreakerLimits) -> bool:
    """Whether first tokens come significantly later than `slow_factor` × the usual, while another is faster."""
    usual = _usual_s(s, limits)
    fastest = min((pace for other in healthy if (pace := _usual_s(other.sums, limits)) > 0.0), default=0.0)
    if usual <= 0.0 or fastest <= 0.0:
        return False
    for waited, came in ((s[E1], s[N1]), (s[E5], s[N5]), (s[E20], s[N20])):
        expected = waited / (limits.slow_factor * usual)
        if expected < limits.slow_expected or came >= expected or waited <= fastest * came:
            continue
        if deviance(expected, came) > limits.slow_deviance * limits.variation:
            return True
    return False


def _usual_s(s: list[float], limits: BreakerLimits) -> float:
    """Return the first-token time that is usual here, 0 if none has come yet."""
    if s[N120] < 1.0:
        return 0.0
    return (s[U120] + limits.usual_count * s[E120] / s[N120]) / (s[N120] + limits.usual_count)


def deviance(expected: float, came: float) -> float:
    """Return the deviance of a count, × 2: for a Poisson process it exceeds 2·z² with the probability of |z|, twice.

    Divided by the squared coefficient of variation it serves counts that scatter otherwise (routing-reference, 1.3).
    """
    surplus = came * (math.log(came) - math.log(expected)) if came > 0.0 else 0.0  # a quotient may vanish
    return 4.0 * (expected - came + surplus)


def eject(record: Record, why: Why, now: float, jitter: float, limits: BreakerLimits) -> None:
    """Take the endpoint out; `jitter` in [0, 1).

    A failed probe leaves the reason as it was, since what the next one has to show depends on it.
    """
    forgive(record, now, limits)
    record.state = State.EJECTED
    record.last_why = why
    if why != Why.PROBE or record.why == Why.NOTHING:
        record.why = why
    record.last_ejected_at = now
    record.until = now + min(limits.max_s, limits.min_s * 2.0**record.level) * (1.0 + limits.jitter * jitter)
    record.level = min(record.level + 1.0, 16.0)
    record.epoch += 1.0
    record.failures_in_row = 0.0


def forgive(record: Record, now: float, limits: BreakerLimits) -> None:
    """Let the level fall for the good time since it was last looked at."""
    if record.state == State.HEALTHY and now > record.good_at:
        steps = math.floor((now - record.good_at) / limits.forgive_s)
        record.level = max(0.0, record.level - steps)
        record.good_at += steps * limits.forgive_s


def is_probe_due(record: Record, now: float) -> bool:
    """Whether a lease may be granted: the ejection is over, or whoever held the last lease has been silent.

    Not while it cools down: a lease that nobody can use would go round the fleet.
    """
    if now < record.cool_until:
        return False
    if record.state == State.EJECTED:
        return now >= record.until
    return record.state == State.PROBING and now >= record.lease_until


def grant(record: Record, now: float, limits: BreakerLimits) -> None:
    """Let one probe go."""
    record.state = State.PROBING
    record.epoch += 1.0
    record.lease_until = now + limits.lease_s


def recover(record: Record, now: float, limits: BreakerLimits) -> None:
    """The probe succeeded: back to work, with the outage nearly forgotten."""
    record.state = State.HEALTHY
    record.why = Why.NOTHING
    record.epoch += 1.0
    record.failures_in_row = 0.0
    record.good_at = now
    for index in ERRORS:
        record.sums[index] *= limits.keep_errors
    for index in LATENCIES:
        record.sums[index] *= limits.keep_latency
    record.sums[E120] = record.sums[U120]


def cool(record: Record, now: float, seconds: float, why: int, limits: BreakerLimits, *, does_grow: bool) -> bool:
    """Keep the endpoint out of use for `seconds`, apart from any ejection. Returns whether that changed anything.

    One that grows doubles from one to the next for the same reason, not with every request that was under way when it
    began.
    """
    level = record.cool_level if record.cool_why == why else 0.0
    if does_grow:
        if now < record.cool_until and record.cool_why == why:
            return False
        seconds *= min(2.0**level, limits.cool_growth)
        level = min(level + 1.0, 30.0)
    until = now + seconds
    if until <= record.cool_until:
        return False
    record.cool_until, record.cool_why, record.cool_level = until, why, level
    return True


def rate_cap(record: Record, now: float) -> float:
    """Attempts per second that the provider presumably bears; infinite while it has not limited us.

    After a cut it grows slowly near the rate that was too much, and fast beyond (CUBIC, Ha, Rhee and Xu, 2008).
    """
    if record.cap_rate <= 0.0:
        return math.inf
    since = max(0.0, now - record.cap_at)
    return record.cap_rate * (CAP_START + 0.004 * since + (since / 25.0) ** 3)


def learn_cap(record: Record, now: float) -> None:
    """Learn from a refusal for the rate limit.

    One far below the rate that it bore is the provider's own trouble, and of one burst only the first counts.
    """
    rate = record.sums[A2] * LN2 / 2.0
    if record.cap_rate <= 0.0:
        if rate >= 1.0:  # of less there is nothing to be learned
            record.cap_rate, record.cap_at = rate, now
        return
    cap = rate_cap(record, now)
    if now - record.cap_at >= 1.0 and rate >= 0.6 * min(cap, record.cap_rate):
        record.cap_rate, record.cap_at = max(rate, min(cap, 0.85 * record.cap_rate)), now
