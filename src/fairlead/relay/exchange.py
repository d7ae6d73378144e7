"""The story of one exchange: plan → attempts → delivery."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from fairlead import clock
from fairlead.catalog.model import Catalog
from fairlead.errors import ApiError
from fairlead.health.board import GroupHealth
from fairlead.health.retry_budget import RetryBudget
from fairlead.plan.plan import Plan, Planner
from fairlead.plan.score import AFFINITY_TOKENS, BYTES_PER_TOKEN, STREAM_ALPHA, WHOLE_ALPHA, Ask
from fairlead.relay.attempts import Attempts
from fairlead.relay.deliver import Delivery
from fairlead.relay.downstream import Downstream
from fairlead.relay.hedge import Hedging
from fairlead.telemetry.record import ExchangeRecord
from fairlead.upstream.client import UpstreamClient
from fairlead.upstream.dispatch import Dispatch
from fairlead.wire.request import ChatRequest


@dataclass(frozen=True, slots=True)
class Routes:
    """What can be asked and how it is reached: one snapshot, swapped whole."""

    catalog: Catalog
    dispatches: Mapping[str, Dispatch]


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """How often and how long one request may be tried."""

    max_attempts: int = 4
    total_s: float = 900.0


class Relay:
    """Runs the exchanges of one worker."""

    def __init__(
        self,
        client: UpstreamClient,
        planner: Planner,
        routes: Routes,
        limits: RelayLimits,
        hedging: Hedging | None = None,
    ) -> None:
        self.routes = routes
        """Assign to swap; exchanges under way keep the snapshot they began with."""
        self._client = client
        self._planner = planner
        self._board = planner.board
        self._limits = limits
        self._hedging = hedging
        self.budget = RetryBudget()

    async def run(
        self, request: ChatRequest, extra_head: bytes, downstream: Downstream, record: ExchangeRecord
    ) -> None:
        """Answer `request` into `downstream` and fill in `record`.

        `extra_head` is header lines for the provider that come from this request. Raises ApiError as long as nothing
        has been promised to the caller; after that, faults are told in band. Raises CancelledError when the caller has
        left.
        """
        routes, now = self.routes, clock.monotonic()
        plan = self._plan(routes.catalog, request, now)
        record.model = plan.model_id
        self.budget.earn(now, plan.group.fleet)
        if self._hedging is not None:
            self._hedging.earn()
        candidates = [
            (candidate, routes.dispatches[candidate.endpoint.id])
            for candidate in plan.candidates[: self._limits.max_attempts]
        ]
        deadline = record.started_at + self._limits.total_s
        attempts = Attempts(
            self._client, self._board, self.budget, request, extra_head, deadline, record.attempts, self._hedging
        )
        won = await attempts.win(candidates)
        record.first_content_at = won.first_content_at
        record.provider = won.dispatch.endpoint.provider.slug
        delivery = Delivery(won, downstream, record, self._board, is_stream=request.is_stream, deadline=deadline)
        await delivery.run()

    def _plan(self, catalog: Catalog, request: ChatRequest, now: float) -> Plan:
        plan = self._planner.plan(catalog, request.model, lambda group: _ask(request, group), now)
        if plan is None:
            raise _unknown_model(catalog, request.model)
        if not plan.candidates:
            reasons = ", ".join(f"{endpoint.provider.name}: {reason}" for endpoint, reason in plan.skipped)
            raise ApiError(
                503,
                f"No endpoint of {plan.model_id} takes requests now ({reasons})",
                error_type="provider_unavailable",
                headers={"retry-after": "1"},
            )
        return plan


def _ask(request: ChatRequest, group: GroupHealth) -> Ask:
    """Return what of the request matters for the choice of its endpoint."""
    output_tokens, prompt_tokens = group.out_tokens, len(request.raw) / BYTES_PER_TOKEN
    if request.max_output_tokens is not None:
        output_tokens = min(output_tokens, request.max_output_tokens)
    return Ask(
        prompt_tokens,
        output_tokens,
        alpha=STREAM_ALPHA if request.is_stream else WHOLE_ALPHA,
        session=request.session() if prompt_tokens >= AFFINITY_TOKENS else 0,
    )


def _unknown_model(catalog: Catalog, model: str) -> ApiError:
    model = model[:200]  # it may be as long as a body
    close = difflib.get_close_matches(model, catalog.endpoints, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(close)}?" if close else " GET /v1/models lists what can be asked for."
    return ApiError(400, f"{model} is not a valid model ID.{hint}", param="model")
