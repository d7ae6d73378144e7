"""The composition root of a worker: every part is built here once and handed to those who need it."""

import asyncio
import contextlib
import gc
import os
import random
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Route

from fairlead import clock
from fairlead.access import keys as access_keys
from fairlead.access.keys import ApiKey
from fairlead.access.spend import Budgets, SpendAlert
from fairlead.access.usd import usd_nanos
from fairlead.access.windows import Spent
from fairlead.admin.api import admin_routes
from fairlead.admin.consent import consent_routes
from fairlead.admin.credits import credit_routes, top_up_routes
from fairlead.admin.door import Door
from fairlead.admin.endpoint_samples import endpoint_samples
from fairlead.admin.event_counts import count_change
from fairlead.admin.events import Feed, why_text
from fairlead.admin.explain import explain_routes
from fairlead.admin.fleet import Fleet
from fairlead.admin.keys import management_routes
from fairlead.admin.management import ManagementDoor
from fairlead.admin.oauth import oauth_routes
from fairlead.admin.usage import activity_routes
from fairlead.catalog.load import builtin
from fairlead.config import Settings, is_loopback
from fairlead.derived import loggers, proxy_rule, read_overrides, sources_of, upstream_tls
from fairlead.edge.asgi import BASES, App
from fairlead.edge.brake import Brake
from fairlead.edge.drain import Drain
from fairlead.edge.figures import LiveFigures
from fairlead.edge.gauges import Gauges
from fairlead.edge.generations import generation_routes
from fairlead.edge.inference import Inference
from fairlead.edge.key import key_routes
from fairlead.edge.limits import Limits
from fairlead.edge.metrics import metrics_routes
from fairlead.edge.models import model_routes
from fairlead.edge.presets import preset_routes
from fairlead.edge.protocol import guarded_protocol
from fairlead.edge.response_cache import ResponseCache
from fairlead.edge.server import WorkerServer
from fairlead.edge.status import status_routes
from fairlead.health.board import HealthBoard
from fairlead.health.breaker import BreakerLimits
from fairlead.health.percentiles import Percentiles
from fairlead.health.record import Change
from fairlead.openapi.routes import document_routes
from fairlead.plan.auto import AutoPolicy, AutoRouter
from fairlead.plan.plan import Planner
from fairlead.refresh import CatalogRefresh
from fairlead.relay.admission import Admission
from fairlead.relay.exchange import Relay, RelayLimits, Routes
from fairlead.relay.explain import explained
from fairlead.relay.hedge import Hedging
from fairlead.relay.keepalive import KeepAlive
from fairlead.settlement import Settlement
from fairlead.store.credits import CreditStore
from fairlead.store.discovered import DiscoveredStore
from fairlead.store.health import HealthStore, HealthSync
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.ledger import LedgerStore
from fairlead.store.money import MoneyStore
from fairlead.store.oauth import CodeStore
from fairlead.store.percentiles import PercentileStore, PercentileSync
from fairlead.store.preset_ring import PresetRing
from fairlead.store.presets import PresetStore
from fairlead.store.redis import connect
from fairlead.store.response_cache import ResponseStore
from fairlead.store.sticky import PinStore, PinSync
from fairlead.store.till import Till
from fairlead.store.unsettled import Unsettled
from fairlead.supervisor.files import room_for
from fairlead.supervisor.worker import WorkerStart
from fairlead.tasks import Tasks
from fairlead.telemetry.exposition import Sample
from fairlead.telemetry.generation import Generation
from fairlead.telemetry.heard import Heard
from fairlead.telemetry.log import Logger, RequestLog
from fairlead.telemetry.meter import Meter
from fairlead.telemetry.slots import Slots
from fairlead.traces import traces_of
from fairlead.upstream.client import UpstreamClient
from fairlead.upstream.dispatch import dispatches
from fairlead.upstream.pool import PoolLimits
from fairlead.wire.preset import read_chat
from fairlead.wire.request import ChatRequest

if TYPE_CHECKING:
    from fairlead.upstream.webhook import Webhook

FLUSH_S = 0.1
"""How often what has been collected is written. A power cut loses at most this much of the request log."""


class Worker:
    """One worker's parts. `app` is its ASGI callable; everything else starts and stops with its lifespan.

    `settlement` is told by the server when a turn of the loop ends, so that what was answered in it is charged.
    """

    def __init__(
        self,
        settings: Settings,
        redis_url: str,
        demo: Mapping[str, str],
        log: Logger,
        requests: RequestLog,
        metrics: Path | None = None,
    ) -> None:
        self._settings = settings
        self._log = log
        self._tasks = Tasks(self._report)
        tls = upstream_tls(settings)
        self._rule = proxy_rule(settings)
        self._client = UpstreamClient(
            tls,
            pool_limits=PoolLimits(
                settings.upstream_max_connections, settings.upstream_max_age_s, settings.upstream_keep_alive_s
            ),
        )
        self._redis = connect(redis_url)
        self._cache_redis = connect(redis_url)  # of its own: long replies must not be in the way of what matters
        self._key_store = KeyStore(self._redis)
        self._fixed_keys = fixed_keys(settings, demo)
        self._keys = KeyRing(self._key_store, self._fixed_keys)
        self._ledger = LedgerStore(self._redis)
        self._credits = CreditStore(self._redis)
        limits = BreakerLimits(
            min_s=settings.probe_min_s,
            max_s=settings.probe_max_s,
            probe_s=settings.timeouts.first_byte_s + 1.0,
        )
        rng = random.Random()
        worker = secrets.token_hex(8)
        self._board = HealthBoard(
            limits, worker=worker, rng=rng, fleet=settings.workers, has_bearings=settings.adaptive_concurrency
        )
        self._board.tell = self._tell_change
        health_store = HealthStore(self._redis, limits)
        self._feed = Feed()
        # The workers' logs come together in one place, and what each of them knows of the fleet, and when, differs.
        self._health_log = log.bind(worker=os.getpid())
        self._health = HealthSync(self._board, health_store, self._health_log.warning, rng.random)
        self._percentiles = Percentiles(self._board, worker)
        percentile_store = PercentileStore(self._redis)
        self._percentile_sync = PercentileSync(self._percentiles, percentile_store)
        self._figures = LiveFigures(self._board, health_store, self._percentiles, percentile_store)
        self._webhook = webhook_of(settings, tls, log)
        self._till = Till(
            MoneyStore(self._redis),
            worker,
            budgets_of(settings),
            workers=settings.workers,
            ledger_days=settings.ledger_days,
            under_way=self._under_way,
            alert=self._alert,
            disk=Unsettled(settings.data_dir, worker),
            tell=log.warning,
        )
        self._fleet = Fleet(
            self._board, health_store, self._percentiles, percentile_store, lambda: self._relay.routes.catalog
        )
        self._auto = AutoPolicy(
            settings.auto_routing, settings.auto_cost_quality, settings.auto_models, settings.auto_triggers
        )
        self._refresh = CatalogRefresh(
            sources_of(settings, demo),
            builtin(),
            read_overrides(settings),
            DiscoveredStore(self._redis, settings.discovery_interval_s),
            tls,
            self._rule,
            log,
        )
        self._planner = Planner(self._board, rng, 1 / settings.workers)
        self._pin_sync = PinSync(self._planner.pins, PinStore(self._redis, worker))
        self._preset_store = PresetStore(self._redis)
        self._presets = PresetRing(self._preset_store, settings.default_preset or "")
        self._admission = Admission(self._room(), settings.max_buffered_bytes)
        self._relay = Relay(
            self._client,
            self._planner,
            self._routes(),
            RelayLimits(
                settings.max_attempts,
                settings.timeouts.total_s,
                settings.resume_tokens,
                settings.max_reply_bytes,
                settings.fallback_on_content_filter,
            ),
            Hedging(self._p95_s) if settings.hedge else None,
            KeepAlive(settings.stream_keepalive_s) if settings.stream_keepalive_s else None,
            self._admission.let_go,
        )
        self.drain = Drain()
        self._measures(metrics, requests)
        self.app = self._app()

    def _measures(self, directory: Path | None, requests: RequestLog) -> None:
        self._slots = Slots.opened(directory, self._log.warning)
        self._heard = Heard(directory, clock.monotonic)
        self._meter = Meter(self._slots, lambda model: model in self._relay.routes.catalog.models)
        parts = self.drain, self._admission, self._client, self._relay.budget, self._board, self._keys, self._till
        self._gauges = Gauges(self._meter, *parts, requests)
        self._traces = traces_of(self._settings, self._meter, self._log, random.Random())
        self.settlement = Settlement(
            self._board, self._relay.estimates, self._till, self._meter, requests, self._report, self._traces
        )

    def _app(self) -> App:
        brake = Brake(self._settings.trusted_proxies)
        self._inference = Inference(
            self._relay,
            self._keys,
            self._till,
            brake,
            self.drain,
            self._admission,
            self._settings.max_body_bytes,
            self.settlement.keep,
            self._report,
            self._cache() if self._settings.cache else None,
            self._presets,
            self._traces.begin if self._traces is not None else None,
        )
        hot = {f"{base}/{api}": self._inference for base in BASES for api in ("chat/completions", "responses")}
        key = self._settings.admin_key
        door = Door(key.reveal() if key else None, lambda token: self._keys.find(token) is not None)
        management, codes = ManagementDoor(door, self._keys), CodeStore(self._redis)
        routes = [
            *status_routes(self.drain, self._details),
            *document_routes(),
            *metrics_routes(self._ledger.alerts, self._endpoint_samples, self._count, self._slots.read),
            *admin_routes(door, self._fleet, self._feed, self.drain),
            *explain_routes(
                door,
                self._explain,
                self._key_of,
                self._ledger,
                self._settings.max_body_bytes,
                parse=lambda raw: read_chat(raw, self._presets)[0],
            ),
            *top_up_routes(management, self._credits, self._spent),
            *consent_routes(management, codes, self._log, trusted=self._settings.trusted_proxies),
            *(route for base in BASES for route in self._api(base, management, codes)),
        ]
        return App(hot, routes, self._lifespan, brake, self._is_callers)

    def _is_callers(self, token: bytes) -> bool:
        """Whether this worker knows a key, and it opens no more than inference."""
        key = self._keys.find(token)
        return key is not None and not key.is_management

    def _room(self) -> int:
        most, room = self._settings.max_in_flight, room_for(self._settings.max_in_flight)
        if room < most:
            self._log.warning(
                f"FAIRLEAD_MAX_IN_FLIGHT is {most}, for which the limit of open files is too low: a worker takes "
                f"{room} requests at once. Raise it (ulimit -n, LimitNOFILE=)"
            )
        return room

    def _cache(self) -> ResponseCache:
        longest, most = self._settings.cache_max_entry_bytes, self._settings.cache_max_bytes
        return ResponseCache(ResponseStore(self._cache_redis, self._tasks, longest, most), self._tasks, longest)

    def _api(self, base: str, door: ManagementDoor, codes: CodeStore) -> list[Route]:
        """Return what is under `base` beside inference."""
        return [
            *model_routes(
                base,
                lambda: self._relay.routes.catalog,
                self._keys,
                self._figures.of,
                has_auto=self._settings.auto_routing,
            ),
            *key_routes(base, self._keys, self._spent),
            *preset_routes(base, self._keys, self._preset_store, door.check, self._settings.default_preset or ""),
            *generation_routes(base, self._keys, self._ledger, lambda: self._relay.routes.catalog),
            *credit_routes(base, door, self._credits, self._spent),
            *activity_routes(base, door, self._ledger, lambda: self._relay.routes.catalog),
            *management_routes(base, door, self._key_store, self._spent),
            *oauth_routes(base, door, self._key_store, codes, self._log),
        ]

    def _explain(self, request: ChatRequest, key: ApiKey) -> dict[str, object]:
        return explained(self._planner, self._relay.routes, request, key, clock.monotonic())

    async def _key_of(self, key_hash: str) -> ApiKey | None:
        fixed = next((key for key in self._fixed_keys if key.hash == key_hash), None)
        return fixed or await self._key_store.get(key_hash)

    async def _spent(self, accounts: Sequence[str]) -> Mapping[str, Spent]:
        return await self._ledger.spent(accounts, clock.wall())

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await self._refresh.start()
        await self._presets.start()
        self._swap_routes()
        self._tasks.start("catalogue", self._refresh.follow(self._settings.discovery_interval_s, self._swap_routes))
        self._tasks.start("keys", self._keys.follow(self._redis, self._log.warning))
        self._tasks.start("presets", self._presets.follow(self._redis))
        self._tasks.start("flush", self._flush_for_ever())
        self._tasks.start("health", self._health.run())
        self._tasks.start("health alone", self._health.judge())
        self._tasks.start("health changes", self._health.follow(self._redis))
        self._tasks.start("percentiles", self._percentile_sync.run())
        self._tasks.start("sticky", self._pin_sync.run())
        self._till.adopt()
        self._tasks.start("money", self._till.run())
        if self._webhook is not None:
            self._tasks.start("webhook", self._webhook.run())
        # What exists now lives as long as the worker: never look at it again, and look at the rest less often. The
        # request path makes no reference cycles (their tests prove it), so little is left for it to find.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        try:
            yield
        finally:
            await self._tasks.close()
            self.settlement.flush()
            await self._till.close()
            await self._health.flush()
            await self._percentile_sync.flush()
            await self._pin_sync.flush()
            if self._traces is not None:
                await self._traces.close()
            self._slots.close()
            self._client.close()
            await self._redis.aclose()
            await self._cache_redis.aclose()

    def _routes(self) -> Routes:
        catalog = self._refresh.catalog()
        return Routes(catalog, dispatches(catalog, self._rule), AutoRouter(catalog, self._auto))

    def _swap_routes(self) -> None:
        routes = self._relay.routes = self._routes()
        self._board.forget_all_but(set(routes.dispatches))

    async def _flush_for_ever(self) -> None:
        while True:
            wanted = clock.monotonic() + FLUSH_S
            await asyncio.sleep(FLUSH_S)
            now = clock.monotonic()
            self._gauges.measure(now, now - wanted)
            self.settlement.flush()
            if self._traces is not None:
                self._traces.turn(now)

    def _under_way(self, is_all: bool) -> list[Generation]:
        running, dispatches = self._inference.running(), self._relay.routes.dispatches
        return self.settlement.under_way(running, dispatches, clock.monotonic(), is_all=is_all)

    def _alert(self, name: str) -> None:
        """A part of a limit has been spent: say so, once for the whole fleet and window."""
        alert = SpendAlert.parse(name, clock.wall())
        self._log.warning(f"spend alert: {alert.text}", **asdict(alert))
        if self._webhook is not None:
            self._webhook.send("spend.alert", asdict(alert))

    def _count(self) -> None:
        """Bring this worker's figures up to date."""
        self.settlement.flush()
        self._gauges.measure(clock.monotonic())

    async def _endpoint_samples(self) -> list[Sample]:
        return endpoint_samples(await self._fleet.look())

    def _details(self) -> dict[str, object]:
        catalog = self._relay.routes.catalog
        return {
            "models": len(catalog.endpoints),
            "endpoints": len(self._relay.routes.dispatches),
            "admitted": self._admission.in_flight,
            "waiting": self._admission.waiting,
            "upstream_connections": self._client.connection_count,
            "worker": os.getpid(),
            "tasks": len(asyncio.all_tasks()),
            # It may answer one and refuse the other: take no writes, or have lost the one node that has all money.
            "store": "away" if self._keys.is_store_away or self._board.is_alone or self._till.is_away else "ok",
        }

    def _p95_s(self, endpoint_id: str) -> float | None:
        seen = self._percentiles.first_token(endpoint_id)
        return seen.quantile(0.95) if seen is not None else None

    def _tell_change(self, change: Change) -> None:
        """Log a change of an endpoint's state, and tell whoever listens.

        Each worker hears of it; the log of one is enough to read it in.
        """
        self._health_log.info(
            f"endpoint {change.kind}",
            endpoint=change.endpoint,
            seconds=round(change.seconds, 3),
            why=why_text(change),
        )
        self._feed.tell(change)
        count_change(self._meter, self._heard, change)

    def _report(self, what: str, error: BaseException) -> None:
        self._log.error(f"{what} failed", exc_info=error)


def serve(start: WorkerStart[Settings]) -> None:
    """Serve until told to end: what a worker process runs."""
    settings = start.settings
    log, requests = loggers(settings)
    worker = Worker(settings, start.redis_url, start.demo, log, requests, start.metrics)
    guard = Limits(
        settings.max_header_bytes, settings.max_headers, settings.receive_timeout_s, settings.timeouts.total_s
    )
    server = WorkerServer(
        worker.app,  # type: ignore[arg-type]  # uvicorn types messages as closed unions
        guarded_protocol(guard, worker.settlement.settle),
        worker.drain,
        start.control,
        keep_alive_s=settings.keep_alive_s,
        drain_delay_s=settings.drain_delay_s,
        drain_timeout_s=settings.drain_timeout_s,
    )
    server.run(list(start.sockets))


def fixed_keys(settings: Settings, demo: Mapping[str, str]) -> list[ApiKey]:
    """Return the keys that work without the store: those of the environment, and perhaps the demo key.

    Everybody knows the demo key. It works only where it can open nothing but the simulated providers, and only from
    this machine.
    """
    found = [
        access_keys.from_token(secret.reveal(), f"FAIRLEAD_API_KEYS[{index}]")
        for index, secret in enumerate(settings.api_keys)
    ]
    if demo and not settings.providers and is_loopback(settings.host):
        found.append(access_keys.from_token(access_keys.DEMO_KEY, "demo"))
    return found


def budgets_of(settings: Settings) -> Budgets:
    """Return what limits the whole instance."""
    daily, weekly, monthly = (
        None if usd is None else usd_nanos(usd)
        for usd in (settings.budget_daily_usd, settings.budget_weekly_usd, settings.budget_monthly_usd)
    )
    return Budgets(
        daily,
        weekly,
        monthly,
        is_credit_enforced=settings.credits == "enforced",
        alerts=settings.budget_alerts,
        free_per_minute=settings.free_per_minute,
        free_per_day=settings.free_per_day,
    )


def webhook_of(settings: Settings, tls: ssl.SSLContext, log: Logger) -> "Webhook | None":
    """Return what tells the operator's own address; None where there is none, and then aiohttp is not loaded: 9 MB."""
    url, secret = settings.alert_webhook_url, settings.alert_webhook_secret
    if url is None:
        return None
    from fairlead.upstream.webhook import Webhook

    return Webhook(url.reveal(), secret.reveal() if secret else None, tls, log.warning)
