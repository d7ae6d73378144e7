"""Keeps what can be asked for current: catalogue data, the operator's settings, and what providers say they serve."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from enum import Enum, auto

from fairlead.catalog.discovery import DiscoveredModel, parse_discovery
from fairlead.catalog.load import ProviderModels, Snapshot, build
from fairlead.catalog.model import Catalog, Provider
from fairlead.catalog.overrides import Overrides
from fairlead.catalog.source import Source
from fairlead.errors import UpstreamError
from fairlead.store.discovered import DiscoveredStore
from fairlead.telemetry.log import Logger
from fairlead.upstream.client import UpstreamClient
from fairlead.upstream.discovery import fetch_models
from fairlead.upstream.dispatch import ProxyRule, redacted

RETRY_MIN_S = 2.0
RETRY_MAX_S = 300.0


class _Answer(Enum):
    """What came of asking for a provider's list."""

    LISTED = auto()
    AWAITED = auto()
    """A fellow worker has taken it upon itself to ask."""
    FAILED = auto()


class CatalogRefresh:
    """Builds the catalogue and builds it anew when a provider's list has changed.

    `shared` spares providers the same question from every worker; None: ask them directly.

    A provider that cannot be asked keeps its last known list; one that never could has what the built-in data knows of
    it. So a start without network serves at once.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        snapshot: Snapshot,
        overrides: Overrides,
        shared: DiscoveredStore | None,
        tls: ssl.SSLContext,
        rule: ProxyRule,
        log: Logger,
    ) -> None:
        self._sources = sources
        self._snapshot = snapshot
        self._overrides = overrides
        self._shared = shared
        self._client = UpstreamClient(tls)
        self._rule = rule
        self._log = log
        self._listed: dict[str, tuple[DiscoveredModel, ...]] = {}
        self._claimed: set[str] = set()
        """Providers that this worker has claimed and has no list from yet: it goes on asking without a new claim."""

    def catalog(self) -> Catalog:
        """Build the catalogue from what is known now."""
        known = [
            ProviderModels(source.provider, source.declared, self._listed.get(source.provider.slug))
            for source in self._sources
        ]
        return build(self._snapshot, self._overrides, known)

    async def start(self) -> None:
        """Ask the simulated providers, which answer at once, so that their models are there from the first request."""
        await self._ask_each([source.provider for source in self._open() if source.provider.is_demo])

    async def ask_all(self) -> None:
        """Ask every provider once."""
        await self._ask_each([source.provider for source in self._open()])

    async def _ask_each(self, providers: Sequence[Provider]) -> None:
        await asyncio.gather(*(self._ask(provider) for provider in providers))

    async def follow(self, interval_s: float, changed: Callable[[], None]) -> None:
        """Ask all providers now and then every `interval_s`; `changed` is called when a list has changed."""
        await asyncio.gather(*(self._follow_one(source.provider, interval_s, changed) for source in self._open()))

    def _open(self) -> list[Source]:
        return [source for source in self._sources if source.declared is None and source.is_discoverable]

    async def _follow_one(self, provider: Provider, interval_s: float, changed: Callable[[], None]) -> None:
        retry_s = RETRY_MIN_S
        while True:
            before = self._listed.get(provider.slug)
            try:
                answer = await self._ask(provider)
                if answer is _Answer.LISTED and self._listed[provider.slug] != before:
                    changed()
            except Exception as error:  # noqa: BLE001 - one strange list must not end the discovery of the others
                self._log.error("models not listed", provider=provider.slug, exc_info=error)
                answer = _Answer.FAILED
            if answer is _Answer.LISTED:
                wait_s, retry_s = interval_s, RETRY_MIN_S
            elif answer is _Answer.AWAITED:
                wait_s = RETRY_MIN_S
            else:
                wait_s, retry_s = retry_s, min(retry_s * 2, RETRY_MAX_S)
            await asyncio.sleep(wait_s)

    async def _ask(self, provider: Provider) -> _Answer:
        """Learn the provider's list from a fellow worker, or from itself."""
        shared = None if provider.is_demo else self._shared  # the simulated ones are here, and may be asked by all
        listing = await shared.get(provider) if shared else None
        try:
            if listing is None:
                if shared and not await self._claim(shared, provider):
                    return _Answer.AWAITED
                listing = await fetch_models(self._client, provider, self._rule)
                models = parse_discovery(listing, provider)
                if shared:
                    await shared.put(provider, listing)
            else:
                models = parse_discovery(listing, provider)
        except (UpstreamError, ValueError) as error:
            self._log.warning("models not listed", provider=provider.slug, error=redacted(str(error), provider))
            return _Answer.FAILED
        self._claimed.discard(provider.slug)
        self._listed[provider.slug] = models
        return _Answer.LISTED

    async def _claim(self, shared: DiscoveredStore, provider: Provider) -> bool:
        if provider.slug not in self._claimed and not await shared.claim(provider):
            return False
        self._claimed.add(provider.slug)
        return True
