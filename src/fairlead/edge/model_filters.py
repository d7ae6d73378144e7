"""Which rows of the model list a query asks for. Specification: wire-api, section 8.1.

A model passes if it is known to be what is asked for: one of unknown price is in no range of prices. So filters by what
nobody here knows (categories, regions, benchmarks, success of tool calls, who allows distillation) let none pass; their
values are checked all the same. Of input modalities a model must have all, of output modalities one, `text` unless said
otherwise (`text,image` are OpenRouter's "text and image models"). Providers go by slug, by name, or by an endpoint's
tag.
"""

import operator
from collections.abc import Callable
from decimal import Decimal

from fairlead.edge.model_listing import Listing, Row
from fairlead.edge.model_view import TOKENIZERS
from fairlead.edge.query import Query
from fairlead.plan.wish import tag

INPUTS = ("text", "image", "audio", "file", "video")
OUTPUTS = ("text", "image", "embeddings", "audio", "video", "rerank", "decisions", "speech", "transcription")
CATEGORIES = (
    "programming", "roleplay", "marketing", "marketing/seo", "technology", "science", "translation", "legal", "finance",
    "health", "trivia", "academia",
)  # fmt: skip
PARAMETERS = frozenset((
    "temperature", "top_p", "top_k", "min_p", "top_a", "frequency_penalty", "presence_penalty", "repetition_penalty",
    "max_tokens", "max_completion_tokens", "logit_bias", "logprobs", "top_logprobs", "prediction", "seed",
    "response_format", "structured_outputs", "stop", "tools", "tool_choice", "parallel_tool_calls", "include_reasoning",
    "reasoning", "reasoning_effort", "web_search_options", "verbosity",
))  # fmt: skip
"""Beside these a query may name what any model of the list has."""

_INDICES = ("intelligence_index", "coding_index", "agentic_index")
_TOKENIZERS = {name.lower(): name for name in TOKENIZERS}
_DAY_S = 86_400

Check = Callable[[Row], bool]


def checks_of(query: Query, listing: Listing, now: float) -> list[Check]:
    """Return what must hold of each row; `now` is Unix seconds. Raises ApiError 400."""
    found = [_outputs(query), *_unknown(query)]
    found += [_parameters(query, listing), _inputs(query), _search(query), _families(query), _authors(query)]
    found += [_providers(query), _context(query), _zdr(query)]
    for end, compare in (("min", operator.ge), ("max", operator.le)):
        found.append(_price(query, f"{end}_price", "prompt", compare))
        found.append(_price(query, f"{end}_output_price", "completion", compare))
        found.append(_age(query, f"{end}_age_days", compare, now))
    return [check for check in found if check is not None]


def _never(_: Row) -> bool:
    return False


def _unknown(query: Query) -> list[Check]:
    asked = [query.choice("category", CATEGORIES), query.choice("region", ("eu", "us")), query.flag("distillable")]
    for end in ("min", "max"):
        asked += [query.number(f"{end}_{index}", least=None) is not None for index in _INDICES]
        asked.append(query.number(f"{end}_tool_success_rate", most=1) is not None)
    return [_never] if any(asked) else []


def _outputs(query: Query) -> Check | None:
    wanted = frozenset(query.words("output_modalities", (*OUTPUTS, "all"))) or {"text"}
    return None if "all" in wanted else lambda row: not wanted.isdisjoint(row.model.output_modalities)


def _inputs(query: Query) -> Check | None:
    wanted = frozenset(query.words("input_modalities", INPUTS))
    return (lambda row: wanted.issubset(row.model.input_modalities)) if wanted else None


def _parameters(query: Query, listing: Listing) -> Check | None:
    wanted = frozenset(query.words("supported_parameters", PARAMETERS | listing.parameters))
    return (lambda row: wanted <= row.model.supported_parameters) if wanted else None


def _search(query: Query) -> Check | None:
    words = query.text("q").lower().split()
    return (lambda row: all(word in row.words for word in words)) if words else None


def _families(query: Query) -> Check | None:
    wanted = {_TOKENIZERS[word] for word in query.words("arch", tuple(_TOKENIZERS))}
    return (lambda row: row.tokenizer in wanted) if wanted else None


def _authors(query: Query) -> Check | None:
    wanted = frozenset(query.words("model_authors"))
    return (lambda row: row.model.id.partition("/")[0] in wanted) if wanted else None


def _providers(query: Query) -> Check | None:
    wanted = frozenset(query.words("providers"))

    def check(row: Row) -> bool:
        return any(
            not wanted.isdisjoint((endpoint.provider.slug, tag(endpoint), endpoint.provider.name.lower()))
            for endpoint in row.endpoints
        )

    return check if wanted else None


def _context(query: Query) -> Check | None:
    least = query.whole("context")
    return None if least is None else lambda row: (row.model.context_length or 0) >= least


def _zdr(query: Query) -> Check | None:
    return (lambda row: any(one.provider.is_zdr for one in row.endpoints)) if query.flag("zdr") else None


def _price(query: Query, name: str, side: str, compare: Callable[[Decimal, Decimal], bool]) -> Check | None:
    """A limit in USD per million tokens."""
    limit = query.number(name)
    if limit is None:
        return None
    micros = limit * 10**6
    return lambda row: row.price is not None and compare(Decimal(getattr(row.price, side)), micros)


def _age(query: Query, name: str, compare: Callable[[Decimal, Decimal], bool], now: float) -> Check | None:
    limit = query.number(name)
    if limit is None:
        return None
    seconds = limit * _DAY_S
    return lambda row: bool(row.model.created) and compare(Decimal(now - row.model.created), seconds)
