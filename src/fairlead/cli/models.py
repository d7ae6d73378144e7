"""`fairlead models`: what can be asked for with this configuration."""

import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fairlead.catalog.model import Catalog, Endpoint
    from fairlead.config import Settings


@click.command()
@click.option("--json", "is_json", is_flag=True, help="Print JSON, as GET /v1/models answers")
@click.option("--offline", is_flag=True, help="Do not ask the providers; show what is known of them")
def models(is_json: bool, offline: bool) -> None:
    """List the models served, with price and providers.

    Those of the configured providers, which are asked for their lists. The price is that of the cheapest.
    """
    from fairlead.config import load_process
    from fairlead.edge.model_view import model_object

    settings = load_process().settings
    catalog = asyncio.run(_catalog(settings, is_offline=offline))
    if is_json:
        items = [model_object(catalog.models[name], served) for name, served in catalog.endpoints.items()]
        click.echo(json.dumps({"object": "list", "data": items}, indent=2))
        return
    if not catalog.endpoints:
        click.echo(_why_none(settings, is_offline=offline), err=True)
        return
    width = max(map(len, catalog.endpoints))
    for name, served in catalog.endpoints.items():
        slugs = ", ".join(endpoint.provider.slug for endpoint in served)
        click.echo(f"{name:<{width}}  {_price(served):<34}  {slugs}")


async def _catalog(settings: "Settings", *, is_offline: bool) -> "Catalog":
    from fairlead.catalog.load import builtin
    from fairlead.derived import loggers, proxy_rule, read_overrides, sources_of, upstream_tls
    from fairlead.refresh import CatalogRefresh

    log, _ = loggers(settings, to_stderr=True)
    refresh = CatalogRefresh(
        sources_of(settings, {}),
        builtin(),
        read_overrides(settings),
        None,
        upstream_tls(settings),
        proxy_rule(settings),
        log,
    )
    if not is_offline:
        await refresh.ask_all()
    return refresh.catalog()


def _price(served: "Sequence[Endpoint]") -> str:
    prices = [endpoint.price for endpoint in served if endpoint.price is not None]
    if not prices:
        return "price unknown"
    cheapest = min(prices, key=lambda price: price.prompt + price.completion)
    return f"${cheapest.prompt / 1e6:g} + ${cheapest.completion / 1e6:g} per million tokens"


def _why_none(settings: "Settings", *, is_offline: bool) -> str:
    if not settings.providers:
        return (
            "No provider is configured: `fairlead serve` would start the simulated ones, with demo/chat and others. "
            "Set a key, such as OPENAI_API_KEY; `fairlead serve` names all of them."
        )
    named = ", ".join(item.provider.slug for item in settings.providers)
    return f"What {named} serves is not known{': ask without --offline' if is_offline else ''}."
