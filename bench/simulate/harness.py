"""The gateway around a policy, the same for all: attempts, retries, time limits.

The policy says whom to ask; at most three are asked, one after another, for as long as the worker has retry tokens and
the caller has patience. What has begun to stream is not asked for again.
"""

import random
from collections.abc import Callable, Sequence

from bench.simulate.attempt import Attempt, EndpointId, Kind, Outcome, Phase
from bench.simulate.draws import Draws
from bench.simulate.events import Loop
from bench.simulate.metrics import Tally
from bench.simulate.policy import Policy, View
from bench.simulate.requests import WORKERS, Request
from bench.simulate.scenario import ALPHA, Scenario
from bench.simulate.world import World

MOST_ATTEMPTS = 3
FIRST_BYTE_LIMIT_S = 5.0
CLIENT_DEADLINE_S = 15.0
_LEAST_TIME_S = 0.05
"""With less than that left, the next endpoint would be asked, and blamed, for nothing."""

MakePolicy = Callable[[World], Policy]
"""A policy from the world: only the oracle looks at it."""


class RetryTokens:
    """One worker's share of the retry budget: 20 % of its requests, and one retry per second whatever happens."""

    __slots__ = ("_at", "_tokens")

    PER_REQUEST = 0.2
    PER_SECOND = 1.0
    MOST = 20.0

    def __init__(self) -> None:
        self._tokens = self.MOST / 2
        self._at = 0.0

    def request(self) -> None:
        """A request has come in."""
        self._tokens = min(self._tokens + self.PER_REQUEST, self.MOST)

    def take(self, now: float) -> bool:
        """Whether there may be a retry."""
        self._tokens = min(self._tokens + (now - self._at) * self.PER_SECOND, self.MOST)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Gateway:
    """All workers. Makes attempts as the policy says, and tells it and the tally what came of them."""

    def __init__(self, scenario: Scenario, requests: Sequence[Request], draws: Draws, make_policy: MakePolicy) -> None:
        self._loop = Loop()
        self._world = World(self._loop, scenario.specs, scenario.faults, self)
        self._scenario = scenario
        self._requests = requests
        self._draws = draws
        self._retry_tokens = [RetryTokens() for _ in range(WORKERS)]
        self._open = len(requests)
        self.policy = make_policy(self._world)
        self.tally = Tally(scenario)

    def run(self, rng: random.Random) -> None:
        """From the first request to the end of the last; `rng` is the policy's."""
        scenario, loop = self._scenario, self._loop
        view = View(
            prices=[spec.price for spec in scenario.specs],
            alpha=ALPHA,
            gamma=scenario.gamma,
            first_byte_limit_s=FIRST_BYTE_LIMIT_S,
            store=scenario.store,
            at=loop.at,
            leave=self.leave,
        )
        self.policy.start(view, WORKERS, rng)
        for at, endpoints in scenario.listed():
            loop.at(at, self._list, endpoints)
        if self._requests:
            loop.at(self._requests[0].at, self._arrive, 0)
            loop.run()

    def _list(self, endpoints: Sequence[EndpointId]) -> None:
        self.policy.listed(self._loop.now, endpoints)

    def _arrive(self, number: int) -> None:
        if number + 1 < len(self._requests):
            self._loop.at(self._requests[number + 1].at, self._arrive, number + 1)
        request = self._requests[number]
        self._retry_tokens[request.worker].request()
        order = self.policy.order(self._loop.now, request.worker, request)
        if order:
            self._ask(request, order[0], tuple(order[1:]))
        else:
            self._close(request, None, None)

    def _ask(self, request: Request, endpoint: EndpointId, rest: tuple[EndpointId, ...], tries: int = 1) -> None:
        now = self._loop.now
        give_up_at = min(now + FIRST_BYTE_LIMIT_S, request.at + CLIENT_DEADLINE_S)
        draw = self._draws.of(request.number, endpoint)
        attempt = Attempt(request, request.worker, endpoint, tries, rest, now, give_up_at, draw)
        self.tally.began(now, endpoint)
        self.policy.began(now, request.worker, attempt)
        self._world.ask(attempt)

    def first_token(self, attempt: Attempt) -> None:
        """Content begins to come."""
        self.policy.first_token(self._loop.now, attempt.worker, attempt)

    def ended(self, attempt: Attempt, outcome: Outcome) -> None:
        """An attempt is over: the next one, if that may help."""
        request = attempt.request
        self.policy.ended(self._loop.now, attempt.worker, attempt, outcome)
        if attempt.first_token_at is None and self._may_retry(attempt):
            self._ask_again(attempt)
        else:
            self._close(request, attempt, outcome)

    def leave(self, attempt: Attempt) -> None:
        """Give up an attempt that waits, and ask somebody else; unless it is too late, or there is no retry left."""
        if attempt.phase in (Phase.QUEUED, Phase.SERVED) and self._may_retry(attempt):
            self._world.of(attempt.endpoint).abandon(attempt)
            self.policy.ended(self._loop.now, attempt.worker, attempt, Outcome(Kind.LEFT))
            self._ask_again(attempt)

    def _may_retry(self, attempt: Attempt) -> bool:
        """Whether it makes sense, and the worker has a token for it; takes the token."""
        now = self._loop.now
        is_late = now >= attempt.request.at + CLIENT_DEADLINE_S - _LEAST_TIME_S
        if is_late or not attempt.rest or attempt.tries >= MOST_ATTEMPTS:
            return False
        return self._retry_tokens[attempt.worker].take(now)

    def _ask_again(self, attempt: Attempt) -> None:
        endpoint = self.policy.again(self._loop.now, attempt.worker, attempt.rest)
        rest = tuple(other for other in attempt.rest if other != endpoint)
        self._ask(attempt.request, endpoint, rest, attempt.tries + 1)

    def _close(self, request: Request, attempt: Attempt | None, outcome: Outcome | None) -> None:
        if attempt and outcome and attempt.first_token_at is not None and outcome.kind is not Kind.CUT:
            self.tally.answered(request, attempt, attempt.first_token_at - request.at, outcome)
        else:
            self.tally.failed(request)
        self._open -= 1
        if not self._open:
            self._loop.stop()
