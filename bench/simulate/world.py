"""The endpoints: how long they take, what they hold, how they fail.

    first token = round trip + (log-normal service + prompt not cached / prefill speed) x load x slowness
    generation  = output tokens / (log-normal speed) x load x slowness

Load is 1 at a provider, who does not care about our share of the traffic, and grows with the requests under way at an
engine of one's own, which also has a number of slots and a queue before them.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.simulate.attempt import Attempt, EndpointId, Kind, Outcome, Phase
from bench.simulate.draws import Draw
from bench.simulate.events import Loop
from bench.simulate.faults import WELL, Condition, Fault, timeline
from bench.simulate.requests import Request

IDLE_LIMIT_S = 15.0
"""After which the gateway gives a stalled stream up."""
CACHE_S = 300.0
"""How long a prompt cache keeps what nobody asks for."""
_SESSIONLESS = -1


@dataclass(frozen=True, slots=True)
class Spec:
    """An endpoint as it is when nothing is wrong.

    `service_s` and `tokens_per_s` are means. `price` is relative, per token. `slope` is how much slower full slots are
    than empty ones (1: twice as slow). `limit_hz` is the rate above which it answers 429, which nobody is told.
    """

    service_s: float
    tokens_per_s: float
    rtt_s: float = 0.03
    prefill_per_s: float = 12_000.0
    price: float = 1.0
    slots: int | None = None
    slope: float = 0.0
    limit_hz: float | None = None
    retry_after_s: float = 2.0
    has_cache: bool = False


class Caller(Protocol):
    """Who is told how an attempt fares."""

    def first_token(self, attempt: Attempt) -> None:
        """Content begins to come."""

    def ended(self, attempt: Attempt, outcome: Outcome) -> None:
        """It is over."""


class Server:
    """One endpoint at work."""

    def __init__(self, loop: Loop, spec: Spec, caller: Caller) -> None:
        self.spec = spec
        self.condition = WELL
        self.active = 0
        """Requests that it works on."""
        self.queue: deque[Attempt] = deque()
        self._loop = loop
        self._caller = caller
        self._cache: dict[int, tuple[int, float]] = {}
        self._rate_tokens = spec.limit_hz or 0.0
        self._rate_at = 0.0

    def set_condition(self, condition: Condition) -> None:
        """Fare like that from now on."""
        self.condition = condition

    def ask(self, attempt: Attempt) -> None:
        """Take an attempt. The caller hears of it later, never during the call."""
        draw, condition, now = attempt.draw, self.condition, self._loop.now
        if not self._take_rate_token(now) or draw.refusal < condition.limited:
            refusal = Outcome(Kind.LIMITED, retry_after_s=self.spec.retry_after_s)
            self._loop.at(now + self.spec.rtt_s, self._tell, attempt, refusal)
        elif draw.silence < condition.silent:
            self._loop.at(attempt.give_up_at, self._tell, attempt, Outcome(Kind.TIMEOUT))
        elif draw.error < condition.error:
            thinking_s = 0.0 if condition.error >= 1 else draw.part * self.spec.service_s
            failing_at = min(now + self.spec.rtt_s + thinking_s, attempt.give_up_at)
            self._loop.at(failing_at, self._tell, attempt, Outcome(Kind.ERROR))
        elif self.spec.slots is None or self.active < self.spec.slots:
            self._serve(attempt)
        else:
            self.queue.append(attempt)
            self._loop.at(attempt.give_up_at, self._give_up, attempt)

    def abandon(self, attempt: Attempt) -> None:
        """Give up an attempt that waits. The caller is not told."""
        if attempt.phase is Phase.SERVED:
            self._release()
        attempt.phase = Phase.OVER

    def load(self, more: int = 0) -> float:
        """Factor of all times, with `more` requests than there are."""
        spec = self.spec
        return 1.0 if spec.slots is None else 1.0 + spec.slope * min((self.active + more) / spec.slots, 1.0)

    def cached_tokens(self, request: Request, now: float) -> int:
        """How much of the prompt need not be read again."""
        held, used_at = self._cache.get(_SESSIONLESS if request.session is None else request.session, (0, -CACHE_S))
        return min(held, request.prefix_tokens) if now - used_at < CACHE_S else 0

    def rate_tokens(self, now: float) -> float:
        """How many requests it would take at this moment without answering 429."""
        limit = self.spec.limit_hz
        return 1e9 if limit is None else min(limit, self._rate_tokens + (now - self._rate_at) * limit)

    def _take_rate_token(self, now: float) -> bool:
        """A bucket that holds one second's worth; what is refused does not count."""
        if self.spec.limit_hz is None:
            return True
        self._rate_tokens, self._rate_at = self.rate_tokens(now), now
        if self._rate_tokens < 1:
            return False
        self._rate_tokens -= 1
        return True

    def _serve(self, attempt: Attempt) -> None:
        now, spec = self._loop.now, self.spec
        attempt.phase = Phase.SERVED
        attempt.cached_tokens = self.cached_tokens(attempt.request, now) if spec.has_cache else 0
        prefill_s = (attempt.request.prompt_tokens - attempt.cached_tokens) / spec.prefill_per_s
        self.active += 1
        slowness = self.load() * self.condition.slow
        first_at = now + spec.rtt_s + (spec.service_s * attempt.draw.service + prefill_s) * slowness
        if first_at < attempt.give_up_at:
            self._loop.at(first_at, self._first_token, attempt)
        else:
            self._loop.at(attempt.give_up_at, self._leave, attempt, Outcome(Kind.TIMEOUT))

    def _first_token(self, attempt: Attempt) -> None:
        if attempt.phase is Phase.OVER:
            return
        now, request, draw = self._loop.now, attempt.request, attempt.draw
        attempt.phase, attempt.first_token_at = Phase.STREAMING, now
        if self.spec.has_cache and request.session is not None:
            self._cache[request.session] = (request.prompt_tokens + request.output_tokens, now)
        slowness = self.load() * self.condition.slow
        whole_s = request.output_tokens / (self.spec.tokens_per_s * draw.speed) * slowness
        kind, part, idle_s = self._end_of_stream(request, draw)
        outcome = Outcome(kind, 0.0, round(request.output_tokens * part), whole_s * part, attempt.cached_tokens)
        self._loop.at(now + whole_s * part + idle_s, self._leave, attempt, outcome)
        self._caller.first_token(attempt)

    def _end_of_stream(self, request: Request, draw: Draw) -> tuple[Kind, float, float]:
        """How it will end, after which part of the reply, and how long nothing comes before that is noticed."""
        condition = self.condition
        if draw.cut < condition.stall:
            return Kind.CUT, draw.part, IDLE_LIMIT_S
        if draw.cut < condition.breaking:
            return Kind.CUT, draw.part, 0.0
        return (Kind.OK if request.stays_for >= 1 else Kind.GONE), request.stays_for, 0.0

    def _give_up(self, attempt: Attempt) -> None:
        if attempt.phase is Phase.QUEUED:
            self._tell(attempt, Outcome(Kind.TIMEOUT))

    def _leave(self, attempt: Attempt, outcome: Outcome) -> None:
        """End an attempt that is worked on."""
        if attempt.phase is not Phase.OVER:
            self._release()
            self._tell(attempt, outcome)

    def _release(self) -> None:
        """Somebody has left: the first in the queue who still waits comes in."""
        self.active -= 1
        while self.queue:
            following = self.queue.popleft()
            if following.phase is Phase.QUEUED:
                self._serve(following)
                break

    def _tell(self, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.phase is not Phase.OVER:
            attempt.phase = Phase.OVER
            self._caller.ended(attempt, outcome)


class World:
    """All endpoints of a scenario, falling ill and getting well by their schedule."""

    def __init__(self, loop: Loop, specs: Sequence[Spec], faults: Sequence[Fault], caller: Caller) -> None:
        self.servers = [Server(loop, spec, caller) for spec in specs]
        for endpoint, server in enumerate(self.servers):
            for at, condition in timeline(faults, endpoint):
                loop.at(at, server.set_condition, condition)

    def ask(self, attempt: Attempt) -> None:
        """Send an attempt to its endpoint."""
        self.servers[attempt.endpoint].ask(attempt)

    def of(self, endpoint: EndpointId) -> Server:
        """Return an endpoint."""
        return self.servers[endpoint]
