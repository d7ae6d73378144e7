"""The story of one exchange: plan → attempts → delivery."""

import difflib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from fairlead import clock
from fairlead.access.admit import may_use_model, may_use_provider, refuse_model, refuse_providers
from fairlead.access.keys import ApiKey
from fairlead.access.spend import UNKNOWN_OUTPUT_TOKENS, WorstCase
from fairlead.catalog.model import Catalog
from fairlead.errors import ApiError
from fairlead.health.board import GroupHealth
from fairlead.health.retry_budget import RetryBudget
from fairlead.plan.pick import Candidate
from fairlead.plan.plan import Plan, Planner
from fairlead.plan.score import AFFINITY_TOKENS, BYTES_PER_TOKEN, STREAM_ALPHA, WHOLE_ALPHA, Ask
from fairlead.relay.attempts import Attempts
from fairlead.relay.deliver import Delivery
from fairlead.relay.downstream import Downstream, Headers
from fairlead.relay.hedge import Hedging
from fairlead.telemetry.record import ExchangeRecord
from fairlead.upstream.client import UpstreamClient
from fairlead.upstream.dispatch import Dispatch
from fairlead.wire.request import ChatRequest
from fairlead.wire.tokens import TokenEstimates, text_bytes


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `reserve` holds what the request may cost, where something limits it; it raises ApiError.

    `limits` are headers that say so, as of then.
    """

    key: ApiKey
    reserve: Callable[[WorstCase], Awaitable[None]] | None = None
    limits: Callable[[], Headers] | None = None


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
        self.estimates = TokenEstimates()

    async def run(
        self, request: ChatRequest, caller: Caller, extra_head: bytes, downstream: Downstream, record: ExchangeRecord
    ) -> None:
        """Answer `request` into `downstream` and fill in `record`.

        `extra_head` is header lines for the provider that come from this request. Raises ApiError as long as nothing
        has been promised to the caller; after that, faults are told in band. Raises CancelledError when the caller has
        left.
        """
        routes, now = self.routes, clock.monotonic()
        plan = self._plan(routes.catalog, request, now)
        record.model = plan.model_id
        asked = _allowed(plan, caller.key)[: self._limits.max_attempts]
        record.request_bytes = text_bytes(request.raw)
        if caller.reserve is not None:
            await caller.reserve(self._worst_case(request, asked, record.request_bytes))
        self.budget.earn(now, plan.group.fleet)
        if self._hedging is not None:
            self._hedging.earn()
        candidates = [(candidate, routes.dispatches[candidate.endpoint.id]) for candidate in asked]
        deadline = record.started_at + self._limits.total_s
        attempts = Attempts(
            self._client, self._board, self.budget, request, extra_head, deadline, record.attempts, self._hedging
        )
        won = await attempts.win(candidates)
        record.first_content_at = won.first_content_at
        record.provider = won.dispatch.endpoint.provider.slug
        record.endpoint_id = won.dispatch.endpoint.id
        record.is_free = (price := won.dispatch.endpoint.price) is not None and price.is_free
        delivery = Delivery(
            won,
            downstream,
            record,
            self._board,
            self.estimates,
            caller.limits() if caller.limits is not None else [],
            is_stream=request.is_stream,
            deadline=deadline,
        )
        await delivery.run()

    def _worst_case(self, request: ChatRequest, asked: Sequence[Candidate], request_bytes: int) -> WorstCase:
        """Return what the request may take at most, whichever of the candidates answers."""
        endpoint = asked[0].endpoint
        prompt_tokens = self.estimates.prompt_tokens(endpoint.id, request_bytes)
        most = endpoint.model.max_completion_tokens or UNKNOWN_OUTPUT_TOKENS
        if endpoint.model.context_length is not None:
            most = max(min(most, endpoint.model.context_length - prompt_tokens), 1)
        output_tokens = most if request.max_output_tokens is None else max(request.max_output_tokens, 0)
        return WorstCase(prompt_tokens, output_tokens * request.choices, [one.endpoint.price for one in asked])

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


def _allowed(plan: Plan, key: ApiKey) -> list[Candidate]:
    """Return the candidates that the key may use. Raises ApiError 403 and 404."""
    if key.allowed_models and not may_use_model(key, plan.model_id):
        raise refuse_model(key, plan.model_id)
    if not key.allowed_providers:
        return list(plan.candidates)
    found = [one for one in plan.candidates if may_use_provider(key, one.endpoint.provider.slug)]
    if not found:
        raise refuse_providers(key, plan.model_id)
    return found


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
