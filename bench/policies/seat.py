"""A policy of the simulator in a real worker: it plans in the planner's place, and looks on at every attempt.

The rest of the worker is as ever: pools, attempts, retry budget, time limits, and the health that is kept and shared,
of which nothing is believed here. A policy knows this process only. (The simulator's lowest latency shares its
cool-downs; here each process finds out for itself.)
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence

from bench.policies.world import PLACES, PROMPT_TOKENS, TOKENS
from bench.simulate.attempt import Attempt, Kind, Outcome
from bench.simulate.baselines.blind import Random, RoundRobin
from bench.simulate.baselines.least_request import LeastRequest
from bench.simulate.baselines.lowest_latency import LowestLatency
from bench.simulate.baselines.peak_ewma import PeakEwma
from bench.simulate.draws import Draw
from bench.simulate.policy import Policy, View
from bench.simulate.requests import Request
from bench.simulate.scenario import ALPHA
from bench.simulate.store import StoreLink
from fairlead.catalog.model import Catalog, Endpoint
from fairlead.health import endpoint as health
from fairlead.health import outcome as judged
from fairlead.health.board import GroupHealth, HealthBoard
from fairlead.health.endpoint import EndpointHealth
from fairlead.health.outcome import Verdict
from fairlead.plan.candidate import Candidate
from fairlead.plan.plan import Plan, Planner
from fairlead.plan.score import Ask
from fairlead.plan.wish import ANYTHING, Wish

BASELINES: Mapping[str, Callable[[], Policy]] = {
    "peak-ewma": PeakEwma,
    "least-request": LeastRequest,
    "round-robin": RoundRobin,
    "random": Random,
    "lowest-latency": LowestLatency,
}
FIRST_BYTE_S = 5.0

_KINDS: Mapping[Verdict, Kind] = {
    Verdict.OK: Kind.OK,
    Verdict.TIMEOUT: Kind.TIMEOUT,
    Verdict.LIMIT: Kind.LIMITED,
    Verdict.CUT: Kind.CUT,
    Verdict.GONE: Kind.GONE,
}
"""Whatever else: an error."""
_NO_DRAW = Draw(1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def _unheard_of(*_: object) -> None:
    raise NotImplementedError("none of these policies does more than choose")


class Seat:
    """The policy of one process, which is worker 0 of 1."""

    def __init__(self, policy: Policy, rng: random.Random) -> None:
        self._policy = policy
        self._listed: tuple[int, ...] = ()
        self._origin = math.nan
        """When the first request came. The policy's time counts from there, as in the simulator."""
        self._under_way: dict[health.Attempt, Attempt] = {}
        view = View([1.0] * len(PLACES), ALPHA, 0.0, FIRST_BYTE_S, StoreLink(), at=_unheard_of, leave=_unheard_of)
        policy.start(view, 1, rng)

    def order(self, now: float, listed: tuple[int, ...]) -> Sequence[int]:
        """Whom to ask, by place."""
        if math.isnan(self._origin):
            self._origin = now
        since_s = now - self._origin
        if listed != self._listed:
            self._listed = listed
            self._policy.listed(since_s, listed)
        return self._policy.order(since_s, 0, _request(since_s))

    def began(self, now: float, attempt: health.Attempt) -> None:
        """An attempt is under way."""
        since_s = now - self._origin
        place = PLACES[attempt.endpoint.id.partition(":")[0]]
        ours = Attempt(_request(since_s), 0, place, 1, (), since_s, since_s + FIRST_BYTE_S, _NO_DRAW)
        self._under_way[attempt] = ours
        self._policy.began(since_s, 0, ours)

    def first_token(self, now: float, attempt: health.Attempt) -> None:
        """Content begins to come."""
        ours = self._under_way[attempt]
        ours.first_token_at = now - self._origin
        self._policy.first_token(ours.first_token_at, 0, ours)

    def ended(self, now: float, attempt: health.Attempt, outcome: judged.Outcome) -> None:
        """An attempt is over, well or not."""
        kind = _KINDS.get(outcome.verdict, Kind.ERROR)
        ours = self._under_way.pop(attempt)
        self._policy.ended(now - self._origin, 0, ours, Outcome(kind, outcome.retry_after_s or 0.0))


class Watched(EndpointHealth):
    """An endpoint's health that tells the seat what it sees, and keeps nobody away."""

    __slots__ = ("_seat",)

    def __init__(self, seat: Seat, endpoint_id: str, now: float) -> None:
        super().__init__(endpoint_id, now)
        self._seat = seat

    def begin(self, now: float, *, is_stream: bool) -> health.Attempt:
        """Count an attempt that begins."""
        attempt = super().begin(now, is_stream=is_stream)
        self._seat.began(now, attempt)
        return attempt

    def first_token(self, attempt: health.Attempt, now: float) -> None:
        """The attempt's stream has content."""
        super().first_token(attempt, now)
        self._seat.first_token(now, attempt)

    def end(self, attempt: health.Attempt, outcome: judged.Outcome, now: float) -> None:
        """The attempt is over."""
        super().end(attempt, outcome, now)
        self._seat.ended(now, attempt, outcome)

    def is_out(self, now: float) -> bool:
        """Never: that is the policy's affair."""
        return False

    def evacuate(self, now: float) -> None:
        """Let everyone wait: none of the policies knows better."""


class SeatedPlanner(Planner):
    """Plans what the policy says."""

    def __init__(self, seat: Seat, board: HealthBoard, rng: random.Random, worker_share: float) -> None:
        super().__init__(board, rng, worker_share)
        self._seat = seat

    def plan(
        self, catalog: Catalog, model: str, ask: Callable[[GroupHealth], Ask], now: float, wish: Wish = ANYTHING
    ) -> Plan | None:
        """Plan a request; neither `ask` nor `wish` counts, since no baseline looks at requests."""
        model_id = catalog.resolve(model)
        endpoints: Mapping[int, Endpoint] = {
            PLACES[endpoint.provider.slug]: endpoint for endpoint in catalog.endpoints.get(model_id, ())
        }
        if not endpoints:
            return None
        group = self.board.asked(model_id, now)
        chosen = [endpoints[place] for place in self._seat.order(now, tuple(sorted(endpoints)))]
        return Plan(model_id, group, [Candidate(endpoint, self.board.of(endpoint.id, now)) for endpoint in chosen])


def _request(now: float) -> Request:
    """A request of no number, worth a name only because policies tell requests apart by identity."""
    return Request(0, now, 0, PROMPT_TOKENS, TOKENS, TOKENS, None, 0, 1.0)
