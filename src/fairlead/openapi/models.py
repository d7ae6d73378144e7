"""What can be asked for, and who serves it: the words and limits of `edge/model_filters.py` and its neighbours."""

from typing import Final

from fairlead.edge.model_feed import MEDIA_TYPE as FEED
from fairlead.edge.model_filters import CATEGORIES, INPUTS, OUTPUTS, PARAMETERS
from fairlead.edge.model_sorts import SORTS
from fairlead.edge.model_view import TOKENIZERS
from fairlead.edge.models import MOST_ON_PAGE, PAGE
from fairlead.openapi.operation import JSON, Operation, Parameter, Paths, Reply
from fairlead.openapi.shapes import (
    ANYTHING,
    COUNT,
    FLAG,
    NULL,
    NUMBER,
    OBJECT,
    TEXT,
    Json,
    data,
    listed,
    or_null,
    ref,
    says,
    told,
    whole_of,
    words,
)

TAG: Final = "Models"
_MOST: Final = 10**15 - 1
"""A parameter has at most fifteen digits before its point."""
_AMOUNT: Final[Json] = {"type": "number", "minimum": 0, "maximum": _MOST}
_INDEX: Final[Json] = {"type": "number", "minimum": -_MOST, "maximum": _MOST}
_SHARE: Final[Json] = {"type": "number", "minimum": 0, "maximum": 1}

_FILTERS: Final = (
    Parameter("q", "Words that must all be in the id or the name", TEXT),
    Parameter("category", "Not known here: lets none pass", words(CATEGORIES)),
    Parameter("supported_parameters", "Only models that have all of these", listed(words(sorted(PARAMETERS)))),
    Parameter("input_modalities", "Only models that take all of these", listed(words(INPUTS))),
    Parameter("output_modalities", "Only models that make one of these; text, if it is not said",
              listed(words((*OUTPUTS, "all")))),
    Parameter("arch", "Families of models whose tokens they have", listed(words(TOKENIZERS))),
    Parameter("model_authors", "Only models of these authors", listed(TEXT)),
    Parameter("providers", "Only models that one of these serves: slugs, names or tags", listed(TEXT)),
    Parameter("context", "Only models with a context of so many tokens", whole_of(0, _MOST)),
    Parameter("zdr", "Only models that somebody serves who retains nothing", FLAG),
    Parameter("region", "Not known here: lets none pass", words(("eu", "us"))),
    Parameter("distillable", "Not known here: lets none pass if it is true", FLAG),
    *(
        Parameter(f"{end}_{what}", f"{word} {text}", schema)
        for end, word in (("min", "Least"), ("max", "Most"))
        for what, text, schema in (
            ("price", "USD per million tokens of prompt", _AMOUNT),
            ("output_price", "USD per million tokens of output", _AMOUNT),
            ("age_days", "days since the model came out", _AMOUNT),
            ("tool_success_rate", "share of tool calls that succeed: not known here", _SHARE),
            ("intelligence_index", "marks: not known here", _INDEX),
            ("coding_index", "marks: not known here", _INDEX),
            ("agentic_index", "marks: not known here", _INDEX),
        )
    ),
    Parameter("sort", "In which order; newest first, if it is not said", words(SORTS)),
)  # fmt: skip
_PAGES: Final = (
    Parameter("limit", f"So many on a page: {PAGE}, if only `offset` is said", whole_of(1, MOST_ON_PAGE)),
    Parameter("offset", "From which one on", whole_of(0, _MOST)),
)
_FEEDS: Final = (
    Parameter("use_rss", "Answer with a feed", FLAG),
    Parameter("use_rss_chat_links", "The same", FLAG),
)
_ID: Final = Parameter(
    "model_id",
    "Any name of a model, with or without variants. It may have slashes in it",
    {"type": "string", "minLength": 1},
    "path",
    "openai/gpt-5.2",
)

_PRICE: Final = {
    "type": "object",
    "required": ["prompt", "completion"],
    "properties": {"prompt": TEXT, "completion": TEXT, "overrides": listed(OBJECT, "Above so many tokens of prompt")},
    "additionalProperties": {"type": "string", "description": "USD per token, as a decimal; -1: not known"},
}
_ARCHITECTURE: Final = told(
    {
        "modality": TEXT,
        "input_modalities": listed(TEXT),
        "output_modalities": listed(TEXT),
        "tokenizer": words(TOKENIZERS),
        "instruct_type": NULL,
    }
)
MODEL: Final = told(
    {
        "id": TEXT,
        "object": {"const": "model"},
        "created": says({"type": "integer"}, "Unix seconds; 0 if it is not known"),
        "owned_by": TEXT,
        "canonical_slug": TEXT,
        "hugging_face_id": NULL,
        "name": TEXT,
        "description": TEXT,
        "context_length": or_null(COUNT),
        "architecture": _ARCHITECTURE,
        "pricing": _PRICE,
        "top_provider": told(
            {"context_length": or_null(COUNT), "max_completion_tokens": or_null(COUNT), "is_moderated": FLAG}
        ),
        "per_request_limits": NULL,
        "supported_parameters": listed(TEXT),
        "default_parameters": NULL,
        "supported_voices": NULL,
        "knowledge_cutoff": NULL,
        "expiration_date": NULL,
        "links": told({"details": TEXT}),
        "providers": listed(TEXT, "Slugs of those who serve it"),
        "reasoning": told({"mandatory": FLAG, "supported_efforts": NULL, "supports_max_tokens": FLAG},
                          ("supports_max_tokens",)),
        "alias_target": told({"slug": TEXT, "name": TEXT}),
    },
    ("reasoning", "alias_target"),
)  # fmt: skip
_PERCENTILES: Final = or_null(told({"p50": NUMBER, "p75": NUMBER, "p90": NUMBER, "p99": NUMBER}))
_PERCENT: Final = or_null({"type": "number", "minimum": 0, "maximum": 100})
ENDPOINT: Final = told(
    {
        "name": TEXT,
        "tag": says(TEXT, "What `provider.order` and the like take"),
        "provider_name": TEXT,
        "model_id": TEXT,
        "model_name": TEXT,
        "context_length": COUNT,
        "max_completion_tokens": or_null(COUNT),
        "max_prompt_tokens": NULL,
        "pricing": _PRICE,
        "quantization": TEXT,
        "status": says(
            {"type": "integer", "enum": [0, -1, -2, -3]},
            "0 gets traffic, -1 cools down, -2 is being probed after an ejection, -3 is ejected",
        ),
        "supported_parameters": listed(TEXT),
        "supports_tool_choice": told({"auto": FLAG, "none": FLAG, "required": FLAG, "function": FLAG}),
        "supports_implicit_caching": FLAG,
        "native_tools": OBJECT,
        "service_tier": NULL,
        "latency_last_30m": says(_PERCENTILES, "Milliseconds to the first token; null without a key"),
        "throughput_last_30m": says(_PERCENTILES, "Tokens per second; null without a key"),
        "uptime_last_5m": _PERCENT,
        "uptime_last_30m": _PERCENT,
        "uptime_last_1d": _PERCENT,
        "supports_voice_cloning": FLAG,
        "supports_image_reference": FLAG,
        "supports_multiple_audio_references": FLAG,
        "supports_diarization": FLAG,
        "perf_last_30m_by_workload": ANYTHING,
    },
    ("perf_last_30m_by_workload",),
)
_LIST: Final = told(
    {
        "object": {"const": "list"},
        "data": listed(ref("Model")),
        "total_count": COUNT,
        "links": told({"next": or_null(says(TEXT, "Path of the next page"))}),
    }
)
_PROVIDER: Final = told(
    {
        "name": TEXT,
        "slug": TEXT,
        **dict.fromkeys(
            ("privacy_policy_url", "terms_of_service_url", "status_page_url", "headquarters", "datacenters"), NULL
        ),
    }
)
_KEY: Final = "A key shows the speeds as well; one that is refused is refused here too."

PATHS: Final[Paths] = {
    "/models": {
        "get": Operation(
            "listModels",
            TAG,
            "List what can be asked for",
            {200: Reply("The models, or a feed of them", {JSON: ref("ModelList"), FEED: TEXT})},
            security=(),
            parameters=(*_FILTERS, *_PAGES, *_FEEDS),
        )
    },
    "/models/count": {
        "get": Operation(
            "countModels",
            TAG,
            "Count them",
            {200: Reply("How many pass the filters", {JSON: data(told({"count": COUNT}))})},
            security=(),
            parameters=_FILTERS,
        )
    },
    "/models/user": {
        "get": Operation(
            "listModelsOfKey",
            TAG,
            "List what the caller's key may use",
            {200: Reply("The models", {JSON: ref("ModelList")})},
            parameters=(*_FILTERS, *_PAGES),
        )
    },
    "/models/{model_id}": {
        "get": Operation(
            "showModel",
            TAG,
            "Show one, as OpenAI's clients ask for it",
            {200: Reply("The model", {JSON: ref("Model")})},
            security=(),
            parameters=(_ID,),
            faults=(404,),
        )
    },
    "/model/{model_id}": {
        "get": Operation(
            "showModelWithinData",
            TAG,
            "Show one, as OpenRouter's clients ask for it",
            {200: Reply("The model", {JSON: data(ref("Model"))})},
            security=(),
            parameters=(_ID,),
            faults=(404,),
        )
    },
    "/models/{model_id}/endpoints": {
        "get": Operation(
            "listEndpointsOfModel",
            TAG,
            "Show who serves a model, how well, and at what price",
            {
                200: Reply(
                    "The model with its endpoints",
                    {
                        JSON: data(
                            told(
                                {
                                    "id": TEXT,
                                    "name": TEXT,
                                    "created": {"type": "integer"},
                                    "description": TEXT,
                                    "architecture": _ARCHITECTURE,
                                    "endpoints": listed(ref("Endpoint")),
                                }
                            )
                        )
                    },
                    ("cache-control",),
                )
            },
            _KEY,
            is_key_optional=True,
            parameters=(_ID,),
            faults=(404,),
        )
    },
    "/endpoints/zdr": {
        "get": Operation(
            "listEndpointsWithoutRetention",
            TAG,
            "List the endpoints that retain nothing",
            {200: Reply("The endpoints", {JSON: data(listed(ref("Endpoint")))}, ("cache-control",))},
            _KEY,
            is_key_optional=True,
        )
    },
    "/embeddings/models": {
        "get": Operation(
            "listEmbeddingModels",
            TAG,
            "List the models that embed",
            {200: Reply("The models", {JSON: ref("ModelList")})},
            security=(),
            parameters=_PAGES,
        )
    },
    "/providers": {
        "get": Operation(
            "listProviders",
            TAG,
            "List who serves something here",
            {200: Reply("The providers, by name", {JSON: data(listed(_PROVIDER))})},
            security=(),
        )
    },
}

SCHEMAS: Final[dict[str, Json]] = {"Model": MODEL, "ModelList": _LIST, "Endpoint": ENDPOINT}
