"""The story of one exchange: plan → attempts → delivery."""

import difflib
import random
from collections.abc import Mapping
from dataclasses import dataclass

from fairlead import clock
from fairlead.catalog.model import Catalog
from fairlead.errors import ApiError
from fairlead.health.board import HealthBoard
from fairlead.plan.plan import Plan, make_plan
from fairlead.relay.attempts import Attempts
from fairlead.relay.deliver import Delivery
from fairlead.relay.downstream import Downstream
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
    """`worker_share` is 1 / workers: this worker's part of what is limited for all."""

    max_attempts: int = 4
    total_s: float = 900.0
    worker_share: float = 1.0


class Relay:
    """Runs the exchanges of one worker."""

    def __init__(
        self, client: UpstreamClient, board: HealthBoard, routes: Routes, limits: RelayLimits, rng: random.Random
    ) -> None:
        self.routes = routes
        """Assign to swap; exchanges under way keep the snapshot they began with."""
        self._client = client
        self._board = board
        self._limits = limits
        self._rng = rng

    async def run(
        self, request: ChatRequest, extra_head: bytes, downstream: Downstream, record: ExchangeRecord
    ) -> None:
        """Answer `request` into `downstream` and fill in `record`.

        `extra_head` is header lines for the provider that come from this request. Raises ApiError as long as nothing
        has been promised to the caller; after that, faults are told in band. Raises CancelledError when the caller has
        left.
        """
        routes = self.routes
        plan = self._plan(routes.catalog, request.model)
        record.model = plan.model_id
        candidates = [routes.dispatches[endpoint.id] for endpoint in plan.candidates[: self._limits.max_attempts]]
        deadline = record.started_at + self._limits.total_s
        attempts = Attempts(self._client, self._board, request, extra_head, deadline, record.attempts)
        won = await attempts.win(candidates)
        record.first_content_at = clock.monotonic()
        record.provider = won.dispatch.endpoint.provider.slug
        await Delivery(won, downstream, record, is_stream=request.is_stream, deadline=deadline).run(self._board)

    def _plan(self, catalog: Catalog, model: str) -> Plan:
        plan = make_plan(
            catalog,
            self._board.of,
            model,
            worker_share=self._limits.worker_share,
            now=clock.monotonic(),
            rng=self._rng,
        )
        if plan is None:
            raise _unknown_model(catalog, model)
        if not plan.candidates:
            reasons = ", ".join(f"{endpoint.provider.name}: {reason}" for endpoint, reason in plan.skipped)
            raise ApiError(
                503,
                f"No endpoint of {plan.model_id} takes requests now ({reasons})",
                error_type="provider_unavailable",
                headers={"retry-after": "1"},
            )
        return plan


def _unknown_model(catalog: Catalog, model: str) -> ApiError:
    model = model[:200]  # it may be as long as a body
    close = difflib.get_close_matches(model, catalog.endpoints, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(close)}?" if close else " GET /v1/models lists what can be asked for."
    return ApiError(400, f"{model} is not a valid model ID.{hint}", param="model")
