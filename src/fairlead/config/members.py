"""What can be said about one provider: the members of `FAIRLEAD_PROVIDERS__<NAME>__…`."""

import re

from fairlead.access.keys import MOST_RESUMED
from fairlead.catalog.pricing import price_from_usd_per_mtok
from fairlead.catalog.providers import normalize_base_url
from fairlead.config.kinds import SECRET, SWITCH, Kind, Unfit, items, number, one_of, seconds, whole
from fairlead.config.secret import mask, mask_url
from fairlead.config.table import Setting

QUANTIZATIONS = (
    "int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown",
)  # fmt: skip
"""OpenRouter's vocabulary, which callers filter by."""

_OWNED_HEADERS = frozenset(
    {
        "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host",
        "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Written by the upstream client itself; a second one would break the framing or the routing of a request."""

_PLAIN_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{0,12})?|\.[0-9]{1,12}")
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
_MODEL_ID = re.compile(r"[!-~]+")


def _price(text: str) -> int:
    text = text.strip()
    if not _PLAIN_DECIMAL.fullmatch(text):  # Decimal would take 1e99999999 too, and long to compare it
        raise ValueError
    return price_from_usd_per_mtok(text)


def _models(text: str) -> tuple[tuple[str, str], ...]:
    models: dict[str, str] = {}
    for item in items(text):
        canonical, equals, upstream = (part.strip() for part in item.partition("="))
        upstream = upstream if equals else canonical
        if not (_MODEL_ID.fullmatch(canonical) and _MODEL_ID.fullmatch(upstream)):
            raise ValueError
        if canonical in models:
            raise Unfit(f"{canonical} is named twice; each model once")
        models[canonical] = upstream
    if not models:
        raise ValueError
    return tuple(models.items())


def _header_value(text: str) -> str:
    if not _HEADER_VALUE.fullmatch(value := text.strip()):
        raise ValueError
    return value


def header_name(suffix: str) -> str:
    """`X_TEAM` → `x-team`. Raises Unfit for a header that is not the operator's to set."""
    name = suffix.lower().replace("_", "-")
    if name in _OWNED_HEADERS:
        raise Unfit(f"the header {name} is written by fairlead itself; remove it")
    return name


def base_url(root_path: str = "/v1") -> Kind[str]:
    """Base URLs; one without a path gets `root_path`."""

    def read(text: str) -> str:
        try:
            return normalize_base_url(text, root_path)
        except ValueError as error:
            raise Unfit(str(error)) from None

    return Kind("the base URL of an API", "https://llm.example/v1", read, mask_url)


HEADER: Kind[str] = Kind("a header value of visible ASCII characters", "some text", _header_value, mask)
_PRICE: Kind[int] = Kind("a price in USD per million tokens, such as 0.25", "0.25", _price)
_MODELS: Kind[tuple[tuple[str, str], ...]] = Kind(
    "a comma-separated list of model ids, each alone or as canonical=upstream-id",
    "qwen/qwen3-8b,meta-llama/llama-3.1-8b-instruct=llama3.1:8b",
    _models,
)
_LIMIT_S = seconds(0.001, 86_400)

MEMBERS: tuple[Setting, ...] = (
    Setting("BASE_URL", "(built in)", "Where the API is, without /chat/completions", base_url()),
    Setting("API_KEY", "(none)", "Sent as a bearer token, or as a built-in provider wants it", SECRET),
    Setting("DIALECT", "openai", "Wire format of the API", one_of("openai")),
    Setting(
        "MODELS", "(discovered)", "Models served, comma-separated: canonical ids, or canonical=upstream-id", _MODELS
    ),
    Setting("PRICE_PROMPT", "(catalogue)", "USD per million prompt tokens, of every model here", _PRICE),
    Setting("PRICE_COMPLETION", "(catalogue)", "USD per million completion tokens, of every model here", _PRICE),
    Setting("WEIGHT", "1", "Share of the traffic, relative to others; 0 drains it", number(0, 1000)),
    Setting("MAX_CONCURRENCY", "(no limit)", "Most requests at a time", whole(1, 1_000_000, "64")),
    Setting("DATA_COLLECTION", "allow", "deny: it keeps no prompts to train on", one_of("allow", "deny")),
    Setting("ZDR", "off", "on: it retains no data at all", SWITCH),
    Setting("QUANTIZATION", "(unknown)", "Precision of the weights served", one_of(*QUANTIZATIONS)),
    Setting("TIMEOUT_CONNECT_S", "(FAIRLEAD_TIMEOUT_CONNECT_S)", "Seconds an attempt may take to connect", _LIMIT_S),
    Setting(
        "TIMEOUT_FIRST_BYTE_S",
        "(FAIRLEAD_TIMEOUT_FIRST_BYTE_S)",
        "Seconds an attempt may take to the first content",
        _LIMIT_S,
    ),
    Setting("TIMEOUT_IDLE_S", "(FAIRLEAD_TIMEOUT_IDLE_S)", "Seconds between two pieces of a reply", _LIMIT_S),
    Setting("TIMEOUT_TOTAL_S", "(FAIRLEAD_TIMEOUT_TOTAL_S)", "Seconds the whole exchange may take", _LIMIT_S),
    Setting(
        "RESUME_TOKENS",
        "(FAIRLEAD_RESUME_TOKENS)",
        "Tokens within which a stream that it breaks off is asked for again; 0: never; a key's own setting goes first",
        whole(0, MOST_RESUMED, "2000"),
    ),
)
HEADERS = "HEADERS__"
"""`HEADERS__X_TEAM` is the member for the header `x-team`."""
