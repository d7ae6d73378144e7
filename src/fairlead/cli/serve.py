"""`fairlead serve`: the gateway."""

import asyncio
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fairlead.admin.key import AdminKey
    from fairlead.config import Settings
    from fairlead.supervisor.run import Running


@click.command()
@click.option("--host", metavar="HOST", help="Address to listen on  [FAIRLEAD_HOST, 127.0.0.1]")
@click.option("--port", metavar="N", help="Port to listen on; 0 takes any free one  [FAIRLEAD_PORT, 8420]")
@click.option("--workers", metavar="N", help="Worker processes  [FAIRLEAD_WORKERS, number of CPUs]")
def serve(host: str | None, port: str | None, workers: str | None) -> None:
    """Run the gateway until SIGTERM or Ctrl-C.

    SIGTERM drains: /readyz turns 503, open streams finish. SIGHUP replaces the workers one by one, with the
    configuration read anew; a bad one leaves the old workers serving.
    """
    from msgspec.structs import replace

    from fairlead.admin.key import find_or_make
    from fairlead.config import is_demo_on, load_process, notify_socket, watchdog_s
    from fairlead.demo.personality import DEMO_PROVIDERS
    from fairlead.derived import check_catalog, check_keys, loggers
    from fairlead.start import run_worker
    from fairlead.supervisor.run import Supervisor

    flags = {"FAIRLEAD_HOST": host, "FAIRLEAD_PORT": port, "FAIRLEAD_WORKERS": workers}
    overrides = {name: value for name, value in flags.items() if value is not None}

    def read() -> "Settings":
        fresh = load_process(overrides).settings
        check_catalog(fresh)
        return fresh

    settings = read()
    log, _ = loggers(settings)
    admin_key = find_or_make(settings.admin_key, settings.data_dir)

    def reload() -> "Settings":
        fresh = read()
        return replace(fresh, admin_key=find_or_make(fresh.admin_key, settings.data_dir).secret)

    supervisor = Supervisor(
        replace(settings, admin_key=admin_key.secret),
        run_worker,
        lambda running: _announce(settings, admin_key, running),
        reload=reload,
        log=log,
        demo=[personality.name for personality in DEMO_PROVIDERS] if is_demo_on(settings) else [],
        check=lambda redis_url: check_keys(settings, redis_url),
        notify_socket=notify_socket(),
        watchdog_s=watchdog_s(),
    )
    sys.exit(supervisor.run())


def _announce(settings: "Settings", admin_key: "AdminKey", running: "Running") -> None:
    """Print the start-up summary. The first start with real providers creates the first key."""
    from fairlead.access.keys import DEMO_KEY
    from fairlead.cli.summary import Summary, reachable

    key, is_new = None, False
    if running.demo and not settings.providers:
        key = DEMO_KEY
    elif not settings.api_keys:
        key = asyncio.run(_first_key(running.redis_url))
        is_new = key is not None
    summary = Summary(
        url=reachable(running.url),
        workers=running.workers,
        store=running.store,
        on=[item.provider.slug for item in settings.providers],
        off=settings.providers_off,
        demo=running.demo,
        key=key,
        is_new_key=is_new,
        admin_key=admin_key,
        model=_example_model(settings, has_demo=bool(running.demo)),
    )
    click.echo(summary.text())


async def _first_key(redis_url: str) -> str | None:
    """Create the first key of an installation and return it; None if there are keys, or the store is away."""
    from redis.exceptions import RedisError

    from fairlead import clock
    from fairlead.access.keys import from_token, generate
    from fairlead.store.keys import KeyStore
    from fairlead.store.redis import connect

    client = connect(redis_url)
    store = KeyStore(client)
    try:
        if await store.count():
            return None
        token = generate()
        await store.add(from_token(token, "first", int(clock.wall())))
    except (RedisError, OSError):
        return None
    else:
        return token
    finally:
        await client.aclose()


def _example_model(settings: "Settings", *, has_demo: bool) -> str | None:
    """The cheapest model that can be asked for, the newest of those; None when only the providers could tell."""
    from fairlead.catalog.load import ProviderModels, build, builtin
    from fairlead.derived import read_overrides, sources_of

    known = [ProviderModels(source.provider, source.declared) for source in sources_of(settings, {})]
    catalog = build(builtin(), read_overrides(settings), known)
    priced = [
        (endpoint.price.prompt + endpoint.price.completion, -endpoint.model.created, name)
        for name, served in catalog.endpoints.items()
        for endpoint in served
        if endpoint.price is not None
    ]
    if priced:
        return min(priced)[2]
    return next(iter(catalog.endpoints), "demo/chat" if has_demo else None)
