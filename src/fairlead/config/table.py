"""Every setting, one entry each: the variable, its default, what it means, what it may be.

The loader, the documentation and `.env.example` follow this table. The variables of providers are in `providers.py`.
"""

from dataclasses import dataclass
from typing import get_args

from fairlead.access.keys import MOST_RESUMED
from fairlead.config import kinds
from fairlead.config.kinds import AnyKind, number, one_of, seconds, size, whole
from fairlead.telemetry.sampling import SamplerName


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable and what there is to say about it."""

    variable: str
    default: str
    """The text that would set the default; words in parentheses where no text would."""
    meaning: str
    kind: AnyKind
    aliases: tuple[str, ...] = ()
    """Other names, read when `variable` itself is set nowhere."""
    is_file_allowed: bool = True
    """Whether `<variable>_FILE` may name a file that holds the value."""

    @property
    def field(self) -> str:
        """`FAIRLEAD_LOG_LEVEL` → `log_level`: its place in the settings."""
        return self.variable.removeprefix("FAIRLEAD_").lower()

    @property
    def is_literal(self) -> bool:
        """Whether `default` could be written behind the variable."""
        return not self.default.startswith("(")

    @property
    def example(self) -> str:
        return self.default if self.is_literal else self.kind.example


_MIB = 1024 * 1024
_DAY_S = 86_400.0
_TINY_S = 0.001
"""Zero would be no limit in some libraries and an instant failure in others: where it makes no sense it is refused."""

_LISTENER = (
    Setting("FAIRLEAD_HOST", "127.0.0.1", "Address to listen on", kinds.HOST, ("HOST",)),
    Setting("FAIRLEAD_PORT", "8420", "Port to listen on; 0 takes any free one", whole(0, 65535), ("PORT",)),
    Setting("FAIRLEAD_WORKERS", "(CPU count)", "Worker processes", whole(1, 1024, "4"), ("WEB_CONCURRENCY",)),
    Setting(
        "FAIRLEAD_DRAIN_DELAY_S",
        "5",
        "Seconds that new requests are still served after SIGTERM, while load balancers notice (0 on a terminal)",
        seconds(0, 3600),
    ),
    Setting(
        "FAIRLEAD_DRAIN_TIMEOUT_S",
        "300",
        "Seconds that open streams may then take to finish (2 on a terminal)",
        seconds(0, _DAY_S),
    ),
)
_STATE = (
    Setting(
        "FAIRLEAD_REDIS_URL",
        "(embedded)",
        "Shared state: a redis, rediss, unix, redis+sentinel or redis+cluster URL",
        kinds.REDIS_URL,
        ("REDIS_URL",),
    ),
    Setting(
        "FAIRLEAD_DATA_DIR",
        "(~/.local/state/fairlead)",
        "Directory of the embedded store and of the generated admin key",
        kinds.PATH,
    ),
    Setting(
        "FAIRLEAD_CONFIG",
        "(none)",
        "TOML file with the same settings in lower case: port = 8420, [timeout] connect_s = 5, [providers.mine] …",
        kinds.PATH,
        # FAIRLEAD_CONFIG_FILE would be read as "the file with the settings", not as "the file with its path".
        is_file_allowed=False,
    ),
    Setting(
        "FAIRLEAD_CATALOG",
        "(built in)",
        "TOML or JSON file over the built-in catalogue: models, capabilities, prices, endpoints",
        kinds.PATH,
    ),
)
_ACCESS = (
    Setting(
        "FAIRLEAD_ADMIN_KEY",
        "(generated)",
        "Key of /admin/v1 and `fairlead top`; where none is set one is made and kept in FAIRLEAD_DATA_DIR",
        kinds.SECRET,
    ),
    Setting(
        "FAIRLEAD_API_KEYS",
        "(none)",
        "Static inference keys, comma-separated, beside those in the store",
        kinds.SECRETS,
    ),
    Setting(
        "FAIRLEAD_TRUSTED_PROXIES",
        "127.0.0.0/8,::1/128",
        "Networks whose X-Forwarded-For, -Host and -Proto count, or none",
        kinds.NETWORKS,
    ),
)
_MONEY = (
    Setting(
        "FAIRLEAD_CREDITS",
        "unlimited",
        "enforced: only what `fairlead credits add` has put in can be spent, by all keys together",
        one_of("unlimited", "enforced"),
    ),
    Setting("FAIRLEAD_BUDGET_DAILY_USD", "(none)", "What all keys together may spend in a day of UTC", kinds.USD),
    Setting("FAIRLEAD_BUDGET_WEEKLY_USD", "(none)", "The same in a week, from Monday", kinds.USD),
    Setting("FAIRLEAD_BUDGET_MONTHLY_USD", "(none)", "The same in a calendar month", kinds.USD),
    Setting(
        "FAIRLEAD_BUDGET_ALERTS",
        "0.8,1",
        "Parts of a spend budget, of a key's limit too, at which the log and the webhook are told, once per window",
        kinds.PARTS,
    ),
    Setting(
        "FAIRLEAD_ALERT_WEBHOOK_URL",
        "(none)",
        "Where alerts are posted to as JSON",
        kinds.WEBHOOK_URL,
    ),
    Setting(
        "FAIRLEAD_ALERT_WEBHOOK_SECRET",
        "(none)",
        "Signs what is posted: X-Fairlead-Signature is the HMAC-SHA256 of timestamp, dot and body",
        kinds.SECRET,
    ),
    Setting(
        "FAIRLEAD_FREE_PER_MINUTE", "(none)", "Requests per minute and key to free models", whole(1, 1_000_000, "20")
    ),
    Setting("FAIRLEAD_FREE_PER_DAY", "(none)", "The same per day of UTC", whole(1, 1_000_000_000, "1000")),
    Setting("FAIRLEAD_LEDGER_DAYS", "90", "Days for which each generation is kept in the ledger", whole(1, 3650)),
)
_ROUTING = (
    Setting(
        "FAIRLEAD_DEMO",
        "auto",
        "Simulated providers; auto: when no real one is configured and the listener is on loopback",
        one_of("auto", "on", "off"),
    ),
    Setting("FAIRLEAD_MAX_ATTEMPTS", "4", "Tries per request, over different endpoints", whole(1, 32)),
    Setting("FAIRLEAD_TIMEOUT_CONNECT_S", "5", "Seconds an attempt may take to connect", seconds(_TINY_S, 600)),
    Setting(
        "FAIRLEAD_TIMEOUT_FIRST_BYTE_S",
        "12",
        "Seconds an attempt may take to the first content",
        seconds(_TINY_S, _DAY_S),
    ),
    Setting("FAIRLEAD_TIMEOUT_IDLE_S", "60", "Seconds between two pieces of a reply", seconds(_TINY_S, _DAY_S)),
    Setting("FAIRLEAD_TIMEOUT_TOTAL_S", "900", "Seconds the whole exchange may take", seconds(_TINY_S, _DAY_S)),
    Setting("FAIRLEAD_PROBE_MIN_S", "1", "Seconds from an ejection to the first probe", seconds(_TINY_S, 3600)),
    Setting("FAIRLEAD_PROBE_MAX_S", "8", "Longest back-off between probes, in seconds", seconds(_TINY_S, _DAY_S)),
    Setting(
        "FAIRLEAD_HEDGE",
        "off",
        "Ask a second endpoint once the first is past its 95th percentile; at most 5 % of requests, both are paid",
        kinds.SWITCH,
    ),
    Setting(
        "FAIRLEAD_ADAPTIVE_CONCURRENCY",
        "off",
        "Learn how many requests at once each endpoint bears, and let others wait: for inference engines of your own",
        kinds.SWITCH,
    ),
    Setting(
        "FAIRLEAD_RESUME_TOKENS",
        "0",
        "A stream with temperature 0 or a seed that breaks off within so many tokens is asked for again elsewhere, and "
        "goes on if the answer is the same so far; both providers are paid. 0: never. A key and a provider may differ; "
        "the key goes first",
        whole(0, MOST_RESUMED),
    ),
    Setting(
        "FAIRLEAD_FALLBACK_ON_CONTENT_FILTER",
        "off",
        "Ask another provider when one refuses a request for its content, as OpenRouter does; off: the caller gets the "
        "refusal, unless the request names other models",
        kinds.SWITCH,
    ),
    Setting(
        "FAIRLEAD_DEFAULT_PRESET",
        "(none)",
        "Slug of the preset that lies under every request that names none; as long as there is none, all get a 503",
        kinds.PRESET,
    ),
)
_CACHE = (
    Setting(
        "FAIRLEAD_CACHE",
        "on",
        "Whether callers may have replies kept and told again, with X-OpenRouter-Cache: true",
        kinds.SWITCH,
    ),
    Setting(
        "FAIRLEAD_CACHE_MAX_ENTRY_BYTES",
        "1MiB",
        "Longest reply that is kept",
        size(1024, 64 * _MIB),
    ),
    Setting(
        "FAIRLEAD_CACHE_MAX_BYTES",
        "64MiB",
        "Room in Redis for all that is kept (compressed); beyond it the oldest go",
        size(1024, 1024 * 1024 * _MIB),
    ),
)
_AUTO = (
    Setting("FAIRLEAD_AUTO_ROUTING", "on", "Whether `auto` may be asked for as a model; keys may differ", kinds.SWITCH),
    Setting(
        "FAIRLEAD_AUTO_COST_QUALITY",
        "5",
        "From 0, the cheapest model that can do the request, to 10, the best",
        number(0, 10),
    ),
    Setting(
        "FAIRLEAD_AUTO_MODELS",
        "(all)",
        "Models that `auto` may choose: patterns, comma-separated; with a ! before one, all but those",
        kinds.PATTERNS,
    ),
    Setting(
        "FAIRLEAD_AUTO_TRIGGERS",
        "(none)",
        "Words in a request, in any script, and the tier of models for it: keyword=low, medium, high, xhigh or max",
        kinds.TRIGGERS,
    ),
)
_LIMITS = (
    Setting("FAIRLEAD_MAX_BODY_BYTES", "32MiB", "Largest request body; 413 above", size(1024, 1024 * _MIB)),
    Setting(
        "FAIRLEAD_MAX_IN_FLIGHT",
        "4000",
        "Requests that a worker has under way; those on top wait a tenth of a second, by service_tier, then get 503",
        whole(1, 1_000_000),
    ),
    Setting(
        "FAIRLEAD_MAX_BUFFERED_BYTES",
        "1GiB",
        "Bodies of those requests together",
        size(1024 * 1024, 1024 * 1024 * _MIB),
    ),
    Setting("FAIRLEAD_MAX_HEADER_BYTES", "64KiB", "Largest request head; 431 above", size(1024, 16 * _MIB)),
    Setting("FAIRLEAD_MAX_HEADERS", "200", "Most headers of a request; 431 above", whole(10, 10_000)),
    Setting(
        "FAIRLEAD_RECEIVE_TIMEOUT_S",
        "30",
        "Seconds to receive the head of a request, and between two pieces of its body",
        seconds(_TINY_S, 3600),
    ),
    Setting(
        "FAIRLEAD_KEEP_ALIVE_S",
        "75",
        "Seconds an idle connection of a caller is kept; more than the load balancer's own limit, commonly 60",
        seconds(0, _DAY_S),
    ),
    Setting(
        "FAIRLEAD_STREAM_KEEPALIVE_S",
        "10",
        "Seconds of silence after which a stream gets a comment, as a sign of life; 0: none",
        seconds(0, 3600),
    ),
)
_UPSTREAM = (
    Setting(
        "FAIRLEAD_UPSTREAM_MAX_CONNECTIONS", "4000", "Most connections of a worker to one origin", whole(1, 1_000_000)
    ),
    Setting(
        "FAIRLEAD_UPSTREAM_KEEP_ALIVE_S", "50", "Seconds an idle connection to a provider is kept", seconds(0, _DAY_S)
    ),
    Setting(
        "FAIRLEAD_UPSTREAM_MAX_AGE_S",
        "300",
        "Seconds after which a connection to a provider is replaced, so that changes of DNS are followed",
        seconds(1, _DAY_S),
    ),
    Setting(
        "FAIRLEAD_MAX_REPLY_BYTES",
        "64MiB",
        "Most that is held of a reply (no stream) or an event that is given another shape: on /api/v1, and by "
        "responses. Where there is more another provider is asked, or it is an error; on /v1 all passes as it comes",
        size(1024 * 1024, 1024 * _MIB),
    ),
    Setting(
        "FAIRLEAD_DISCOVERY_INTERVAL_S",
        "3600",
        "Seconds between two looks at which models the providers serve",
        seconds(1, 30 * _DAY_S),
    ),
    Setting("HTTPS_PROXY", "(none)", "HTTP proxy to https:// providers", kinds.PROXY_URL, ("https_proxy",)),
    Setting("HTTP_PROXY", "(none)", "HTTP proxy to http:// providers", kinds.PROXY_URL, ("http_proxy",)),
    Setting("ALL_PROXY", "(none)", "HTTP proxy where the two are not set", kinds.FALLBACK_PROXY_URL, ("all_proxy",)),
    Setting("NO_PROXY", "(none)", "Hosts reached without a proxy, comma-separated", kinds.WORDS, ("no_proxy",)),
    Setting(
        "SSL_CERT_FILE",
        "(system)",
        "PEM file of the certificate authorities that providers are checked against",
        kinds.PATH,
        is_file_allowed=False,
    ),
)
_OUTPUT = (
    Setting("FAIRLEAD_LOG_FORMAT", "auto", "auto: text on a terminal, else JSON", one_of("auto", "json", "text")),
    Setting("FAIRLEAD_LOG_LEVEL", "info", "Least level logged", one_of("debug", "info", "warning", "error")),
    Setting("NO_COLOR", "(none)", "Set to anything: no colour", kinds.PRESENCE, is_file_allowed=False),
    Setting("FORCE_COLOR", "(none)", "Set: colour without a terminal too", kinds.FORCE, is_file_allowed=False),
)

_TRACES = (
    Setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "(none)",
        "Collector that traces are sent to, by OTLP/HTTP below /v1/traces; needs the extra `otel`",
        kinds.OTLP_URL,
    ),
    Setting(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "(none)",
        "The same with its whole path, in place of the other",
        kinds.OTLP_URL,
    ),
    Setting(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "(none)",
        "Headers sent there: name=value, comma-separated, values percent-encoded",
        kinds.HEADERS,
    ),
    Setting("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "(none)", "The same, in place of the others", kinds.HEADERS),
    Setting(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "http/protobuf",
        "How traces are sent; no other way is supported",
        one_of("http/protobuf", "http/json", "grpc"),
    ),
    Setting(
        "OTEL_TRACES_SAMPLER",
        "parentbased_always_on",
        "Which requests are traced; parentbased: a caller that is in a trace decides for its own",
        one_of(*get_args(SamplerName)),
    ),
    Setting("OTEL_TRACES_SAMPLER_ARG", "1", "Share of all that traceidratio takes, from 0 to 1", number(0, 1)),
    Setting("OTEL_SERVICE_NAME", "(fairlead)", "What this service is called in traces", kinds.TEXT),
    Setting(
        "OTEL_RESOURCE_ATTRIBUTES",
        "(none)",
        "What else is said of it: name=value, comma-separated, values percent-encoded",
        kinds.ATTRIBUTES,
    ),
    Setting("OTEL_SDK_DISABLED", "off", "No traces, whatever else is set", kinds.SWITCH),
)

GROUPS: tuple[tuple[str, tuple[Setting, ...]], ...] = (
    ("Listener", _LISTENER),
    ("State", _STATE),
    ("Access", _ACCESS),
    ("Money", _MONEY),
    ("Routing", _ROUTING),
    ("Auto routing", _AUTO),
    ("Response cache", _CACHE),
    ("Limits on callers", _LIMITS),
    ("Connections to providers", _UPSTREAM),
    ("Output", _OUTPUT),
    ("Traces", _TRACES),
)
"""The settings under the headings that people read them by."""

SETTINGS: tuple[Setting, ...] = tuple(setting for _, group in GROUPS for setting in group)
