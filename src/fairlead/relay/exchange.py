"""The story of one exchange: plan → attempts → delivery."""

import contextlib
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from fairlead import clock
from fairlead.access.keys import ApiKey
from fairlead.access.spend import UNKNOWN_OUTPUT_TOKENS, WorstCase
from fairlead.catalog.model import Catalog
from fairlead.health.board import GroupHealth
from fairlead.health.retry_budget import RetryBudget
from fairlead.plan.auto import AutoRouter, Outlook
from fairlead.plan.candidate import Candidate
from fairlead.plan.outlook import board_outlook
from fairlead.plan.plan import Plan, Planner
from fairlead.plan.score import AFFINITY_TOKENS, BYTES_PER_TOKEN, STREAM_ALPHA, WHOLE_ALPHA, Ask
from fairlead.plan.sticky import key_of
from fairlead.relay.admission import rank_of
from fairlead.relay.attempts import Attempts, Won
from fairlead.relay.auto import choose_models
from fairlead.relay.deliver import MOST_REPLY_BYTES, Delivery
from fairlead.relay.downstream import Downstream, Headers
from fairlead.relay.fit import fitted
from fairlead.relay.hedge import Hedging
from fairlead.relay.keepalive import KeepAlive, Wait
from fairlead.relay.learned import LearnedLimits, RenamedLimits
from fairlead.relay.line import Line
from fairlead.relay.manner import OPENAI, Manner
from fairlead.relay.refuse import Saturated, no_endpoints, unknown_model
from fairlead.relay.resume import Resumes, can_be_said_again, most_resumed
from fairlead.relay.stick import Stay
from fairlead.relay.whole import deliver_whole
from fairlead.relay.wishes import request_wish
from fairlead.telemetry.record import Considered, ExchangeRecord
from fairlead.upstream.client import UpstreamClient
from fairlead.upstream.dispatch import Dispatch
from fairlead.wire.conversation import NO_CONVERSATION, conversation_of
from fairlead.wire.features import Features
from fairlead.wire.request import ChatRequest
from fairlead.wire.router_metadata import Routing
from fairlead.wire.tokens import TokenEstimates, text_bytes

_NO_WAIT = contextlib.nullcontext()
MOST_OUTPUT_TOKENS = 10_000_000
"""Of a reply of a model about which nothing is known, whatever the caller allows."""
_MAY_BE_AUTO = re.compile(r"auto|free")
MOST_WAIT_S = 1.0
WAIT_SHARE = 0.1
"""Of the time that a request has: no longer does it wait for endpoints that are full (routing-reference, 5.6)."""
CONSIDERED = 10
"""Candidates, and endpoints left out, that the ledger keeps of a request."""


class Caller(msgspec.Struct, frozen=True):
    """Who asks. `reserve` holds what the request may cost, where something limits it; it raises ApiError.

    `limits` are headers that say so, as of then. `routing` is filled for a caller who wants to know it.
    """

    key: ApiKey
    reserve: Callable[[WorstCase], Awaitable[None]] | None = None
    limits: Callable[[], Headers] | None = None
    manner: Manner = OPENAI
    routing: Routing | None = None

    def limit_headers(self) -> Headers:
        """Return headers that tell where the caller's limits are."""
        return self.limits() if self.limits is not None else []


@dataclass(frozen=True, slots=True)
class Routes:
    """What can be asked and how it is reached: one snapshot, swapped whole."""

    catalog: Catalog
    dispatches: Mapping[str, Dispatch]
    auto: AutoRouter | None = None
    """Chooses a model for whoever leaves that to us; None: no such model is served."""


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """How often and how long one request may be tried."""

    max_attempts: int = 4
    total_s: float = 900.0
    resume_tokens: int = 0
    """A stream that breaks off after no more than so many is asked for again; keys and providers may differ."""
    max_reply_bytes: int = MOST_REPLY_BYTES
    """Held of a reply, or of an event in a stream, that has to be whole before it can be passed on."""
    evades_filters: bool = False
    """What a provider's content filter has refused is asked elsewhere."""


class Relay:
    """Runs the exchanges of one worker. `let_go` is told of each request whose body is needed no more."""

    def __init__(
        self,
        client: UpstreamClient,
        planner: Planner,
        routes: Routes,
        limits: RelayLimits,
        hedging: Hedging | None = None,
        keep_alive: KeepAlive | None = None,
        let_go: Callable[[ChatRequest], None] = ChatRequest.let_go,
    ) -> None:
        self.routes = routes
        """Assign to swap; exchanges under way keep the snapshot they began with."""
        self._client = client
        self._planner = planner
        self._board = planner.board
        self.limits = limits
        self._hedging = hedging
        self._keep_alive = keep_alive
        self._let_go = let_go
        self.budget = RetryBudget()
        self.estimates = TokenEstimates()
        self._learned = LearnedLimits()
        self._lines: dict[str, Line] = {}
        """Of those who wait for endpoints that are full, by model."""

    async def run(
        self, request: ChatRequest, caller: Caller, extra_head: bytes, downstream: Downstream, record: ExchangeRecord
    ) -> None:
        """Answer `request` into `downstream` and fill in `record`.

        `extra_head` is header lines for the provider that come from this request. Raises ApiError as long as nothing
        has been promised to the caller; after that, faults are told in band. Raises CancelledError when the caller has
        left.
        """
        routes, now, given = self.routes, clock.monotonic(), request
        deadline = record.started_at + self.limits.total_s
        plan = await self._planned(routes, request, caller.key, record.session, deadline)
        record.model, record.router = plan.model_id, plan.router
        if plan.skipped or len(plan.candidates) > 1:
            record.considered = _considered(plan)
        is_one = len(request.models) == 1 and not plan.router
        asked = _first_of_each(plan.candidates, self.limits.max_attempts, is_one=is_one)
        if caller.manner.is_adapted or not request.is_plain:
            request = await fitted(request, asked, self.estimates, is_by_default=caller.manner.is_adapted)
        record.request_bytes = text_bytes(request.raw)
        if caller.reserve is not None:
            await caller.reserve(self._worst_case(request, asked, record.request_bytes))
        self._earn(now, plan.group.fleet)
        candidates = [(candidate, routes.dispatches[candidate.endpoint.id]) for candidate in asked]
        attempts = Attempts(
            self._client,
            self._board,
            self.budget,
            request,
            extra_head,
            deadline,
            record.attempts,
            RenamedLimits(self._learned),
            self._hedging,
            record.trace,
            most_held_bytes=self.limits.max_reply_bytes if caller.manner.is_adapted and not request.is_stream else 0,
            evades_filters=self.limits.evades_filters,
        )
        if caller.routing is not None:
            caller.routing.candidates = [candidate.endpoint for candidate in asked]
        asked_at, wait = clock.monotonic(), None
        if request.is_stream and self._keep_alive is not None and caller.manner.has_comments:
            wait = Wait(self._keep_alive, downstream, record, caller.manner, caller.limits, caller.routing, asked_at)
        stay = record.stay = Stay(self._planner.pins, plan, asked) if plan.conversation else None
        try:
            with wait or _NO_WAIT:
                won = await attempts.win(candidates)
                record.first_content_at = won.first_content_at
                record.answered_by(won.dispatch.endpoint)
                if wait is not None:
                    wait.reply = won.reply
                manner = _manner(caller, request)
                if won.reply.is_drained and not request.is_stream:
                    await deliver_whole(
                        won,
                        downstream,
                        record,
                        self._board,
                        self.estimates,
                        caller.limit_headers(),
                        deadline=deadline,
                        asked_at=asked_at,
                        manner=manner,
                        routing=caller.routing,
                    )
                    return
                resumes = self._resumes(request, caller.key, won, attempts)
                delivery = Delivery(
                    won,
                    downstream,
                    record,
                    self._board,
                    self.estimates,
                    caller.limit_headers(),
                    is_stream=request.is_stream,
                    deadline=deadline,
                    asked_at=asked_at,
                    manner=manner,
                    routing=caller.routing,
                    resumes=resumes,
                    choices=request.choices,
                    max_reply_bytes=self.limits.max_reply_bytes,
                )
                if resumes is None:
                    self._let_go(given)
                    request.let_go()
                await delivery.run()
        finally:
            self._make_room(asked)
            if stay is not None:
                stay.ended(record)

    async def _planned(self, routes: Routes, request: ChatRequest, key: ApiKey, session: str, deadline: float) -> Plan:
        """Plan the request; where every endpoint has as many as it is allowed, wait a moment for one that ends."""
        now = clock.monotonic()
        try:
            return plan_request(self._planner, routes, request, key, now, session)
        except Saturated as refusal:
            full = refusal
        line = self._lines.setdefault(full.model_id, Line())
        until = now + min(MOST_WAIT_S, WAIT_SHARE * (deadline - now))
        while await line.wait(rank_of(request), until - (now := clock.monotonic())):
            try:
                return plan_request(self._planner, routes, request, key, now, session)
            except Saturated as refusal:
                full = refusal
        seconds = math.ceil(line.foretold_s(clock.monotonic()))
        full.headers = {"retry-after": str(seconds), "retry-after-ms": str(1000 * seconds)}
        raise full

    def _earn(self, now: float, fleet: int) -> None:
        """A request more: a part of a retry, and of a hedge."""
        self.budget.earn(now, fleet)
        if self._hedging is not None:
            self._hedging.earn()

    def _make_room(self, asked: Sequence[Candidate]) -> None:
        """Let somebody try who waits for a place at one of these endpoints."""
        if not self._lines:  # nearly always
            return
        for model_id in {one.endpoint.model.id for one in asked} & self._lines.keys():
            line = self._lines[model_id]
            line.freed(clock.monotonic())
            line.give()

    def _resumes(self, request: ChatRequest, key: ApiKey, won: Won, attempts: Attempts) -> Resumes | None:
        """Return how the request's stream may be gone on with should it break off; None if that is not wanted."""
        most_tokens = most_resumed(key, won.dispatch.endpoint.provider, self.limits.resume_tokens)
        return Resumes(attempts.again, most_tokens) if most_tokens and can_be_said_again(request) else None

    def _worst_case(self, request: ChatRequest, asked: Sequence[Candidate], request_bytes: int) -> WorstCase:
        """Return what the request may take at most, whichever of the candidates answers."""
        prompt_tokens = output_tokens = 0
        for endpoint in {candidate.endpoint.model.id: candidate.endpoint for candidate in asked}.values():
            prompt = self.estimates.prompt_tokens(endpoint.id, request_bytes)
            model = endpoint.model
            most = model.max_completion_tokens or model.context_length or UNKNOWN_OUTPUT_TOKENS
            if model.context_length is not None:
                most = max(min(most, model.context_length - prompt), 1)
            if request.max_output_tokens is not None:
                is_known = model.max_completion_tokens or model.context_length
                most = min(request.max_output_tokens, most if is_known else MOST_OUTPUT_TOKENS)
            prompt_tokens, output_tokens = max(prompt_tokens, prompt), max(output_tokens, most)
        return WorstCase(prompt_tokens, output_tokens * request.choices, [one.endpoint.price for one in asked])


def plan_request(
    planner: Planner, routes: Routes, request: ChatRequest, key: ApiKey, now: float, session: str = ""
) -> Plan:
    """Return the plan of a request, with one candidate at least. Raises ApiError 400, 404 and 503.

    `session` is what the caller calls the conversation, in the body or head, "" if nothing.
    """
    catalog, models, router = routes.catalog, request.models, ""
    wish, pins = request_wish(request, key), planner.pins
    is_auto = routes.auto is not None and any(map(_MAY_BE_AUTO.search, models))
    talk, pin_key = NO_CONVERSATION, 0
    if is_auto or session or request.has("prompt_cache_key") or len(request.raw) >= AFFINITY_TOKENS * BYTES_PER_TOKEN:
        talk = conversation_of(request.member, session.encode())
        pin_key = 0 if wish.order else key_of(key, talk.number)
    if routes.auto is not None and is_auto:

        def outlook_of(features: Features) -> Outlook:
            ask = Ask(features.prompt_tokens, alpha=STREAM_ALPHA if request.is_stream else WHOLE_ALPHA)
            return board_outlook(catalog, planner.board, ask, now)

        pinned = pins.find_model(pin_key, now) if pin_key else ""
        choice = choose_models(routes.auto, catalog, request, wish, key, outlook_of, talk.number, pinned)
        if choice is not None:
            models, router = choice

    def ask_of(group: GroupHealth) -> Ask:
        return _ask(request, group, talk.number, pins.find(pin_key, group.name, now) if pin_key else "")

    plan = planner.plan_all(catalog, models, ask_of, now, wish)
    if plan is None:
        raise unknown_model(catalog, request.model)
    if not plan.candidates:
        raise no_endpoints(plan, request.models, key, wish)
    plan.router, plan.conversation, plan.is_session = router, pin_key, talk.is_session
    return plan


def _manner(caller: Caller, request: ChatRequest) -> Manner:
    """Return how the caller is answered: without reasoning, if that is asked for where replies are adapted."""
    manner = caller.manner
    return replace(manner, hides_reasoning=True) if manner.is_adapted and request.hides_reasoning else manner


def _first_of_each(candidates: Sequence[Candidate], most: int, *, is_one: bool) -> list[Candidate]:
    """Return the candidates, of each model no more than `most`. `is_one`: all are of one model."""
    if len(candidates) <= most or is_one:
        return list(candidates[:most])
    left: dict[str, int] = {}
    found = []
    for candidate in candidates:
        model_id = candidate.endpoint.model.id
        left[model_id] = left.get(model_id, most) - 1
        if left[model_id] >= 0:
            found.append(candidate)
    return found


_NO_SCORE = (0.0, 0.0)


def _considered(plan: Plan) -> list[Considered]:
    """Return what the choice was made from, where there was one: scores in thousandths, seconds in ten thousandths."""
    found = []
    if len(plan.candidates) > 1:
        for one in plan.candidates[:CONSIDERED]:
            score, seconds, *_ = one.scored or _NO_SCORE
            # `round` takes thrice as long.
            score, seconds = int(score * 1e3) / 1e3, int(seconds * 1e4) / 1e4
            found.append(Considered(one.endpoint.id, score, seconds, one.note))
    found += [Considered(one.endpoint.id, why=one.reason) for one in plan.skipped[:CONSIDERED]]
    return found


def _ask(request: ChatRequest, group: GroupHealth, conversation: int, pinned: str) -> Ask:
    """Return what of the request matters for the choice of its endpoint."""
    output_tokens, prompt_tokens = group.out_tokens, len(request.raw) / BYTES_PER_TOKEN
    if request.max_output_tokens is not None:
        output_tokens = min(output_tokens, request.max_output_tokens)
    return Ask(
        prompt_tokens,
        output_tokens,
        alpha=STREAM_ALPHA if request.is_stream else WHOLE_ALPHA,
        session=conversation if prompt_tokens >= AFFINITY_TOKENS else 0,
        pinned=pinned,
    )
