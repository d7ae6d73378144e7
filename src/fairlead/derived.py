"""What follows from the settings alone: for commands and the supervisor, which check it, and for workers, built of it.

It is apart from `app.py` so that whoever is no worker need not load one: 17 MB, and a quarter of a second.
"""

import asyncio
import ssl
import sys
from collections.abc import Mapping

from fairlead.catalog.load import ProviderModels, build, builtin
from fairlead.catalog.model import Provider
from fairlead.catalog.overrides import Overrides, parse_overrides
from fairlead.catalog.providers import BY_SLUG
from fairlead.catalog.source import Source
from fairlead.config import Settings, is_loopback, refuse_open_listener
from fairlead.errors import ConfigError
from fairlead.telemetry.log import Logger, RequestLog, make_logger
from fairlead.traces import check_traces
from fairlead.upstream.connect import tls_context
from fairlead.upstream.dispatch import ProxyRule, dispatches
from fairlead.upstream.origin import parse_proxy


def loggers(settings: Settings, *, to_stderr: bool = False) -> tuple[Logger, RequestLog]:
    """Return the logs of a process: of events, and of requests (which are `info`)."""
    stream = sys.stderr if to_stderr else sys.stdout
    is_terminal = stream.isatty()
    log_format = settings.log_format
    if log_format == "auto":
        log_format = "text" if is_terminal else "json"
    use_color = settings.color == "always" or (settings.color == "auto" and is_terminal)
    log = make_logger(log_format, settings.log_level, use_color=use_color, stream=stream)
    is_wanted = settings.log_level in ("debug", "info")
    return log, RequestLog(log_format, stream if is_wanted else None)


def sources_of(settings: Settings, demo: Mapping[str, str]) -> list[Source]:
    """Return every provider that is on: the configured ones, then the simulated ones."""
    configured = [
        Source(item.provider, item.declared_models, is_discoverable(item.provider)) for item in settings.providers
    ]
    simulated = [
        Source(Provider(slug=name, name=f"DEMO {name}", base_url=url, is_demo=True, timeouts=settings.timeouts))
        for name, url in demo.items()
    ]
    return configured + simulated


def is_discoverable(provider: Provider) -> bool:
    """Whether the provider's `/models` lists what can be called there."""
    builtin = BY_SLUG.get(provider.slug)
    return builtin is None or builtin.is_discoverable


def upstream_tls(settings: Settings) -> ssl.SSLContext:
    """Return the context of all TLS to providers. Raises ConfigError for a file that holds no certificates."""
    try:
        return tls_context(str(settings.ssl_cert_file) if settings.ssl_cert_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f'SSL_CERT_FILE="{settings.ssl_cert_file}": {error}; name a file with certificates in PEM form'
        ) from error


def proxy_rule(settings: Settings) -> ProxyRule:
    """Return which upstream connections go through a proxy."""
    if settings.proxy.https is None:
        return ProxyRule()
    return ProxyRule(parse_proxy(settings.proxy.https.reveal()), settings.proxy.no_proxy)


def read_overrides(settings: Settings) -> Overrides:
    """Read the operator's catalogue file (`FAIRLEAD_CATALOG`)."""
    if settings.catalog is None:
        return Overrides()
    try:
        text = settings.catalog.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f'FAIRLEAD_CATALOG="{settings.catalog}": cannot be read as UTF-8 text: {error}') from error
    try:
        return parse_overrides(text, "json" if settings.catalog.suffix == ".json" else "toml")
    except ConfigError as error:
        raise ConfigError(f"{error}; correct {settings.catalog}, or remove the setting") from error


def check_keys(settings: Settings, redis_url: str) -> None:
    """Raise ConfigError if anybody could ask: an open listener, and no key. For the parent, before workers start.

    While the store is away it is taken for granted that it has keys.
    """
    if is_loopback(settings.host) or settings.api_keys:
        return
    from redis.exceptions import RedisError  # only here: a fifth of a second, and what most starts do without

    from fairlead.store.keys import KeyStore
    from fairlead.store.redis import connect

    async def has_stored_keys() -> bool:
        client = connect(redis_url)
        try:
            return await KeyStore(client).count() > 0
        except (RedisError, OSError):
            return True
        finally:
            await client.aclose()

    refuse_open_listener(settings, has_stored_keys=asyncio.run(has_stored_keys()))


def check_catalog(settings: Settings) -> None:
    """Raise ConfigError for what every worker would refuse: for the parent, before any is started."""
    known = [ProviderModels(source.provider, source.declared) for source in sources_of(settings, {})]
    dispatches(build(builtin(), read_overrides(settings), known), proxy_rule(settings))
    upstream_tls(settings)
    check_traces(settings)
