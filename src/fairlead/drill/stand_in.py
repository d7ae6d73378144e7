"""The operator's settings with simulated providers in the place of the real ones. Pure.

Each row has a provider of its own: a copy of one that is configured, by turns, with its limits, its weight and its
dialect. So what one fault does to the breaker spoils nothing for the next.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from fairlead.catalog.model import Catalog, Endpoint, Price, Provider, Timeouts
from fairlead.config.secret import Secret
from fairlead.config.settings import ProviderSettings, ProxySettings, Settings
from fairlead.drill.faults import WAYS, Fault, Tls
from fairlead.errors import ConfigError
from fairlead.relay.deliver import MOST_REPLY_BYTES

PRICE = Price(prompt=1_000_000, completion=2_000_000)
"""Where none is known, or nothing is charged: a row wants to see the charge."""
UNKNOWN_MODEL = "drill/model"
"""Of a provider whose models only it could tell."""
CERTIFICATES = (Tls.EXPIRED, Tls.UNKNOWN, Tls.OTHER_NAME, Tls.OLD)
"""What cannot be tried here: nothing that is shipped may hold a private key."""
DUMMY = "drill-no-secret"
NOWHERE = "http://nobody.invalid/v1"


@dataclass(frozen=True, slots=True)
class Row:
    """One fault, asked in one way. `slug` is the faulty provider's, `others` are who else serves the model."""

    fault: Fault
    way: str
    slug: str
    provider: Provider
    model: str
    price: Price
    others: tuple[str, ...]

    @property
    def is_alone(self) -> bool:
        return "alone" in self.way

    @property
    def timeouts(self) -> Timeouts:
        return self.provider.timeouts


def rows_of(
    settings: Settings, catalog: Catalog, faults: Sequence[Fault], *, is_fast: bool = False
) -> tuple[list[Row], list[str]]:
    """Return what is to be asked, and what has to be said about it. Raises ConfigError if there is nobody to ask.

    With `is_fast` the time limits are short where a fault is silence.
    """
    active = [item.provider for item in settings.providers if item.provider.weight > 0.0]
    if not active:
        raise ConfigError(
            "no provider gets traffic, so there is nothing to try; set the key of one, such as OPENAI_API_KEY, or "
            "FAIRLEAD_PROVIDERS__<NAME>__BASE_URL"
        )
    notes: list[str] = []
    chosen = {provider.slug: _endpoint(catalog, provider, active, notes) for provider in active}
    # Those that somebody else can stand in for come first: only with them all can be seen.
    paired = [provider for provider in active if chosen[provider.slug][1]] or active
    rows = []
    for number, fault in enumerate(faults):
        provider = paired[number % len(paired)]
        endpoint, others = chosen[provider.slug]
        provider = replace(provider, timeouts=replace(provider.timeouts, **fault.limits)) if is_fast else provider
        model = endpoint.model.id if endpoint is not None else UNKNOWN_MODEL
        for n, way in enumerate(WAYS):
            name = f"f{number}w{n}"
            slug = f"{provider.slug}-{name}"
            if not others and "alone" not in way:
                continue  # nobody is there to go on with
            behind = (f"{slug}o",) if fault.is_everywhere and others else others
            rows.append(Row(fault, way, slug, provider, f"{model}-{name}", _price(endpoint), behind))
    return rows, notes


def _endpoint(
    catalog: Catalog, provider: Provider, active: Sequence[Provider], notes: list[str]
) -> tuple[Endpoint | None, tuple[str, ...]]:
    """Return the model that most others serve too, the cheapest of those, and who they are."""
    slugs = {one.slug for one in active}
    found = []
    for served in catalog.endpoints.values():
        mine = next((endpoint for endpoint in served if endpoint.provider.slug == provider.slug), None)
        if mine is not None and "text" in mine.model.output_modalities:
            others = tuple(one.provider.slug for one in served if one.provider.slug in slugs - {provider.slug})
            price = mine.price.prompt + mine.price.completion if mine.price else 0
            found.append((-len(others), price, mine.model.id, mine, others))
    if not found:
        notes.append(f"{provider.slug}: only the provider could tell its models, so others are taken to serve them too")
        return None, tuple(one.slug for one in active if one.slug != provider.slug)
    *_, mine, others = min(found, key=lambda one: one[:3])
    if not others:
        notes.append(f"{provider.slug}: no other provider serves its models")
    return mine, others


def _price(endpoint: Endpoint | None) -> Price:
    price = endpoint.price if endpoint is not None else None
    return PRICE if price is None or not (price.prompt and price.completion) else price


def isolated(
    settings: Settings, rows: Iterable[Row], urls: Mapping[str, str], directory: Path, key: str, admin_key: str
) -> Settings:
    """Return the settings of the gateway that is tried: as the operator's, but without its providers and its secrets.

    `urls` are the base URLs of the simulated providers, by slug. What limits money is left out, since none is spent,
    and so is what is kept in a store of the operator's; some rows are made for the size of replies that is usual.
    """
    return msgspec.structs.replace(
        settings,
        host="127.0.0.1",
        port=0,
        workers=1,
        redis_url=None,
        data_dir=directory,
        config=None,
        admin_key=Secret(admin_key),
        api_keys=(Secret(key),),
        credits="unlimited",
        budget_daily_usd=None,
        budget_weekly_usd=None,
        budget_monthly_usd=None,
        alert_webhook_url=None,
        alert_webhook_secret=None,
        default_preset=None,
        max_reply_bytes=MOST_REPLY_BYTES,
        demo="off",
        drain_delay_s=0.0,
        drain_timeout_s=0.5,
        proxy=ProxySettings(),
        log_format="json",
        log_level="info",
        otel_exporter_otlp_endpoint=None,
        otel_exporter_otlp_traces_endpoint=None,
        otel_exporter_otlp_headers=(),
        otel_exporter_otlp_traces_headers=(),
        providers=_providers(settings, list(rows), urls),
        providers_off=(),
    )


def _providers(settings: Settings, rows: Sequence[Row], urls: Mapping[str, str]) -> tuple[ProviderSettings, ...]:
    found = []
    served: dict[str, list[str]] = {}
    for row in rows:
        doubles = [row.slug, *(slug for slug in row.others if slug == f"{row.slug}o")]
        for slug in doubles:
            provider = replace(_harmless(row.provider, url_of(row.fault, urls[slug])), slug=slug, price=row.price)
            found.append(ProviderSettings(provider=provider, declared_models=((row.model, row.model),)))
        for slug in row.others:
            if slug not in doubles:
                served.setdefault(slug, []).append(row.model)
    by_slug = {item.provider.slug: item.provider for item in settings.providers}
    for slug, models in served.items():
        # Rows are asked at once, which is more than the operator wants to have there.
        provider = replace(_harmless(by_slug[slug], urls[slug]), price=PRICE, max_concurrency=None)
        found.append(ProviderSettings(provider=provider, declared_models=tuple((model, model) for model in models)))
    return tuple(found)


def _harmless(provider: Provider, url: str) -> Provider:
    """Return the provider at another address, without anything secret."""
    return replace(
        provider,
        base_url=url,
        api_key=None if provider.api_key is None else DUMMY,
        headers=dict.fromkeys(provider.headers, DUMMY),
    )


def url_of(fault: Fault, url: str) -> str:
    """Return where a provider with this fault is."""
    if fault.is_nowhere:
        return NOWHERE
    return url if fault.tls is Tls.NONE else f"https:{url.partition(':')[2]}"
