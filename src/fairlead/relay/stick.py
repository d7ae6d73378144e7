"""Lets a conversation stay with the endpoint whose prompt cache it has filled: what its turns tell of that.

A turn that went well renews the pin, or makes one: at once in a session (`session_id`), else when its usage, which is
known a moment later, shows that the cache was used. A failure of the provider ends the pin; a caller who leaves, or
whose request was at fault, says nothing of it. `plan/sticky.py` says what a pin is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fairlead import clock
from fairlead.health.outcome import RULES, Counts, Verdict
from fairlead.plan.candidate import Candidate
from fairlead.plan.pick import STICKY
from fairlead.plan.plan import Plan
from fairlead.plan.sticky import Pins, is_worth_it
from fairlead.telemetry.record import AttemptRecord, ExchangeRecord


@dataclass(slots=True)
class Stay:
    """One turn of a conversation: `ended` is to be called at its end, `settled` when its usage is known."""

    pins: Pins
    plan: Plan
    asked: Sequence[Candidate]

    def ended(self, record: ExchangeRecord) -> None:
        """Judge how it went."""
        plan, first = self.plan, self.asked[0]
        if first.note == STICKY and record.attempts and _has_failed(record.attempts[0]):
            self.pins.end(plan.conversation, first.endpoint.id)
        is_pinned = any(one.note == STICKY and one.endpoint.id == record.endpoint_id for one in self.asked)
        if record.end == "ok" and (is_pinned or plan.is_session):
            self._renew(record.endpoint_id, clock.monotonic())

    def settled(self, record: ExchangeRecord) -> None:
        """Take in the usage."""
        if record.end == "ok" and record.usage is not None and record.usage.cached_tokens > 0:
            self._renew(record.endpoint_id, record.ended_at)

    def _renew(self, endpoint_id: str, now: float) -> None:
        if any(one.endpoint.id == endpoint_id and is_worth_it(one.endpoint) for one in self.asked):
            self.pins.renew(self.plan.conversation, endpoint_id, now, is_routed=self.plan.router != "")


def _has_failed(attempt: AttemptRecord) -> bool:
    return RULES[Verdict(attempt.verdict)].counts in (Counts.FAILURE, Counts.BREAK)
