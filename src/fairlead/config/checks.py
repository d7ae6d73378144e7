"""Questions about settings as a whole."""

import ipaddress
from urllib.parse import urlsplit

from fairlead.config.settings import ProviderSettings, Settings
from fairlead.errors import ConfigError


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`. Names other than localhost are taken for open."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().removesuffix(".") == "localhost"


def is_demo_on(settings: Settings) -> bool:
    """Whether the simulated providers run. They never join real ones unless told to, and never face a network."""
    if settings.demo == "auto":
        return not settings.providers and is_loopback(settings.host)
    return settings.demo == "on"


def refuse_open_listener(settings: Settings, has_stored_keys: bool) -> None:
    """Raise ConfigError when anybody in the network could spend on the providers' keys.

    The admin key does not count: it opens the management, and closes nothing of inference.
    """
    if is_loopback(settings.host) or settings.api_keys or has_stored_keys:
        return
    raise ConfigError(
        f'FAIRLEAD_HOST="{settings.host}" is open to the network and there is no inference key; set FAIRLEAD_API_KEYS, '
        "create a key with `fairlead keys create --name NAME`, or listen on FAIRLEAD_HOST=127.0.0.1"
    )


def is_ourselves(settings: Settings, provider: ProviderSettings) -> bool:
    """Whether the provider's base URL is our own listener.

    It happens where OPENAI_BASE_URL is set for clients in the shell that starts the gateway; every request would then
    come back until the limits stop it.
    """
    parts = urlsplit(provider.provider.base_url)
    host = parts.hostname or ""
    if (parts.port or (443 if parts.scheme == "https" else 80)) != settings.port:
        return False
    return host == settings.host.lower() or (
        is_loopback(host) and (is_loopback(settings.host) or _is_any(settings.host))
    )


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
