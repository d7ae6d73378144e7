"""The typed tree of settings: what the rest of the program is handed.

Frozen, and picklable, since spawned workers get it over a pipe. Units are in the names. What each setting means, and
the variable behind it, is in `table.py`.
"""

from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal

from msgspec import Struct

from fairlead.catalog.model import Provider, Timeouts
from fairlead.config.secret import Secret, SecretUrl
from fairlead.telemetry.sampling import SamplerName

Network = IPv4Network | IPv6Network
LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class ProviderSettings(Struct, frozen=True, kw_only=True):
    """A provider that is turned on."""

    provider: Provider
    declared_models: tuple[tuple[str, str], ...] | None = None
    """(canonical id, the provider's own id); None: ask the provider what it serves."""


class ProxySettings(Struct, frozen=True, kw_only=True):
    """The way out for upstream connections, by the scheme of the provider's URL; None: directly."""

    http: SecretUrl | None = None
    https: SecretUrl | None = None
    no_proxy: tuple[str, ...] = ()
    """Hosts reached directly: names, `.suffixes`, addresses, networks, or `*`; lower case."""


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that can be set, converted and checked."""

    host: str = "127.0.0.1"
    port: int = 8420
    workers: int = 1
    redis_url: SecretUrl | None = None
    """None: the embedded store."""
    data_dir: Path
    """Absolute; need not exist yet."""
    config: Path | None = None
    catalog: Path | None = None

    admin_key: Secret | None = None
    api_keys: tuple[Secret, ...] = ()
    trusted_proxies: tuple[Network, ...] = LOOPBACK

    credits: Literal["unlimited", "enforced"] = "unlimited"
    budget_daily_usd: Decimal | None = None
    budget_weekly_usd: Decimal | None = None
    budget_monthly_usd: Decimal | None = None
    budget_alerts: tuple[float, ...] = (0.8, 1.0)
    alert_webhook_url: SecretUrl | None = None
    alert_webhook_secret: Secret | None = None
    free_per_minute: int | None = None
    free_per_day: int | None = None
    ledger_days: int = 90

    demo: Literal["auto", "on", "off"] = "auto"
    max_attempts: int = 4
    timeouts: Timeouts = Timeouts()
    probe_min_s: float = 1.0
    probe_max_s: float = 8.0
    hedge: bool = False
    adaptive_concurrency: bool = False
    resume_tokens: int = 0
    fallback_on_content_filter: bool = False
    max_in_flight: int = 4_000
    max_buffered_bytes: int = 1 << 30
    default_preset: str | None = None

    auto_routing: bool = True
    auto_cost_quality: float = 5.0
    """0 the cheapest, 10 the best."""
    auto_models: tuple[str, ...] = ()
    """Patterns of model ids, in lower case; `!` before one leaves out what it matches."""
    auto_triggers: tuple[tuple[str, str], ...] = ()
    """(keyword, tier)."""

    cache: bool = True
    cache_max_entry_bytes: int = 1024 * 1024
    cache_max_bytes: int = 64 * 1024 * 1024

    max_body_bytes: int = 32 * 1024 * 1024
    max_header_bytes: int = 64 * 1024
    max_headers: int = 200
    receive_timeout_s: float = 30.0
    keep_alive_s: float = 75.0
    stream_keepalive_s: float = 10.0
    drain_delay_s: float = 5.0
    drain_timeout_s: float = 300.0

    upstream_max_connections: int = 4000
    upstream_keep_alive_s: float = 50.0
    upstream_max_age_s: float = 300.0
    max_reply_bytes: int = 64 * 1024 * 1024
    discovery_interval_s: float = 3600.0
    proxy: ProxySettings = ProxySettings()
    ssl_cert_file: Path | None = None

    log_format: Literal["auto", "json", "text"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    color: Literal["auto", "always", "never"] = "auto"

    otel_exporter_otlp_endpoint: SecretUrl | None = None
    """Without the path; traces are sent if there is this or the next, and `otel_sdk_disabled` is False."""
    otel_exporter_otlp_traces_endpoint: SecretUrl | None = None
    otel_exporter_otlp_headers: tuple[tuple[str, Secret], ...] = ()
    """(name in lower case, value)."""
    otel_exporter_otlp_traces_headers: tuple[tuple[str, Secret], ...] = ()
    otel_exporter_otlp_protocol: Literal["http/protobuf", "http/json", "grpc"] = "http/protobuf"
    otel_traces_sampler: SamplerName = "parentbased_always_on"
    otel_traces_sampler_arg: float = 1.0
    otel_service_name: str | None = None
    otel_resource_attributes: tuple[tuple[str, str], ...] = ()
    otel_sdk_disabled: bool = False

    providers: tuple[ProviderSettings, ...] = ()
    """Built-in ones first, then the declared ones by name."""
    providers_off: tuple[tuple[str, str], ...] = ()
    """Built-in ones that are off: (slug, the variable that would turn it on)."""
