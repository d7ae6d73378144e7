"""Chat completions and responses.

Only what the gateway itself reads has limits here, those that it enforces; the rest of a body is its provider's
business, and is described for people.
"""

from typing import Final

import msgspec

from fairlead.access.preferences import Cutoffs, MaxPrice, Preferences
from fairlead.openapi.operation import EVENTS, JSON, Operation, Parameter, Paths, Reply
from fairlead.openapi.shapes import (
    ANYTHING,
    COUNT,
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
    Json,
    asked,
    event,
    listed,
    or_null,
    ref,
    says,
    text_of,
    told,
    words,
)
from fairlead.plan.variants import VARIANTS
from fairlead.wire.cache_key import DEFAULT_TTL_S, MAX_TTL_S, MIN_TTL_S
from fairlead.wire.request import MOST_MODELS, MOST_NAME_CHARS

TAG: Final = "Inference"

_MODEL: Final = text_of(
    0,
    MOST_NAME_CHARS,
    "An id of GET /models, an alias, `auto`, or `@preset/<slug>`; variants after a colon: "
    + ", ".join(f"`:{variant}`" for variant in sorted(VARIANTS)),
)
_LIMIT: Final = or_null({"type": "integer", "minimum": 1})
_SAMPLING: Final[dict[str, Json]] = {
    **dict.fromkeys(
        ("temperature", "top_p", "top_k", "min_p", "top_a", "frequency_penalty", "presence_penalty",
         "repetition_penalty", "seed"), ANYTHING
    ),
    "logit_bias": says(ANYTHING, "Bias by token id"),
    "logprobs": ANYTHING,
    "top_logprobs": ANYTHING,
    "stop": says(ANYTHING, "A string, or a list of them"),
}  # fmt: skip
_OURS: Final[dict[str, Json]] = {
    "models": or_null(says({"type": "array", "items": _MODEL, "maxItems": MOST_MODELS}, "Others, if that one fails")),
    "provider": or_null(says(ref("ProviderPreferences"), "Who may answer, and in which order")),
    "plugins": says(ANYTHING, "A list of objects with an `id`: `auto-router`, `context-compression`"),
    "transforms": says(ANYTHING, '`["middle-out"]`, or `[]`'),
    "preset": or_null(says(TEXT, "Slug of a preset that is laid under the request")),
    "route": says(ANYTHING, "As OpenRouter has it; changes nothing"),
    "session_id": says(ANYTHING, "Keeps a conversation with one provider, and stands in the ledger"),
    "trace": says(ANYTHING, "Taken out before the provider sees it"),
    "debug": or_null(asked({"echo_upstream_body": or_null(FLAG)})),
    "usage": says(ANYTHING, "Not needed: usage is always told"),
    "stop_server_tools_when": ANYTHING,
    "deferred_tools": ANYTHING,
    "max_tool_calls": ANYTHING,
    "user": says(ANYTHING, "Whoever it is for; stands in the ledger"),
}
"""What is said to the gateway."""
_STREAM: Final = or_null(says(FLAG, "Answer as server-sent events"))

CHAT_REQUEST: Final = asked(
    {
        "model": or_null(_MODEL),
        "messages": says({"type": "array", "items": ANYTHING}, "The conversation so far: objects with a `role`"),
        "stream": _STREAM,
        "stream_options": or_null(asked({"include_usage": or_null(FLAG)})),
        "max_tokens": _LIMIT,
        "max_completion_tokens": _LIMIT,
        "n": says(ANYTHING, "How many replies"),
        "tools": ANYTHING,
        "tool_choice": ANYTHING,
        "parallel_tool_calls": ANYTHING,
        "response_format": ANYTHING,
        "structured_outputs": ANYTHING,
        "reasoning": says(ANYTHING, "`effort`, or `max_tokens`, or `enabled`; `exclude` keeps it out of the reply"),
        "reasoning_effort": ANYTHING,
        "include_reasoning": ANYTHING,
        "verbosity": ANYTHING,
        "modalities": ANYTHING,
        "image_config": ANYTHING,
        "audio": ANYTHING,
        "web_search_options": ANYTHING,
        "service_tier": ANYTHING,
        "cache_control": ANYTHING,
        "prompt_cache_options": ANYTHING,
        **_SAMPLING,
        **_OURS,
    },
    required=("messages",),
)
RESPONSES_REQUEST: Final = asked(
    {
        "model": or_null(_MODEL),
        "input": {"anyOf": [TEXT, listed(OBJECT)], "description": "A text, or the items of the conversation so far"},
        "instructions": or_null(TEXT),
        "stream": _STREAM,
        "max_output_tokens": _LIMIT,
        "max_tool_calls": _LIMIT,
        "tools": or_null(listed(OBJECT)),
        "tool_choice": ANYTHING,
        "parallel_tool_calls": ANYTHING,
        "text": or_null(OBJECT),
        "reasoning": or_null(OBJECT),
        "include": or_null(listed(TEXT)),
        "top_logprobs": or_null(COUNT),
        "truncation": or_null(words(("auto", "disabled"))),
        "store": or_null({"type": "boolean", "const": False, "description": "Nothing is kept between requests"}),
        "background": or_null({"type": "boolean", "const": False}),
        "metadata": ANYTHING,
        **{name: schema for name, schema in _SAMPLING.items() if name != "top_logprobs"},
        **{name: schema for name, schema in _OURS.items() if name != "max_tool_calls"},
    },
    required=("input",),
)

_DETAILS: Final = {"type": "object", "additionalProperties": True}
CHAT_REPLY: Final = told(
    {
        "id": says(TEXT, "Under /api/v1 the generation's; else the provider's"),
        "object": TEXT,
        "created": {"type": "integer"},
        "model": TEXT,
        "provider": TEXT,
        "choices": listed(
            told(
                {
                    "index": COUNT,
                    "message": OBJECT,
                    "finish_reason": or_null(TEXT),
                    "native_finish_reason": or_null(TEXT),
                    "logprobs": ANYTHING,
                },
                ("index", "finish_reason", "native_finish_reason", "logprobs"),
            )
        ),
        "usage": ref("Usage"),
        "openrouter_metadata": says(OBJECT, "How the request was routed, for who asks for it by a header"),
    },
    ("id", "object", "created", "model", "provider", "usage", "openrouter_metadata"),
)
USAGE: Final = told(
    {
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "total_tokens": COUNT,
        "cost": says(NUMBER, "USD"),
        "cost_details": or_null(_DETAILS),
        "prompt_tokens_details": or_null(_DETAILS),
        "completion_tokens_details": or_null(_DETAILS),
    },
    ("total_tokens", "cost", "cost_details", "prompt_tokens_details", "completion_tokens_details"),
)
CHAT_CHUNK: Final = told(
    {
        "id": TEXT,
        "object": {"const": "chat.completion.chunk"},
        "created": {"type": "integer"},
        "model": TEXT,
        "provider": TEXT,
        "choices": listed(
            told(
                {
                    "index": COUNT,
                    "delta": says(OBJECT, "What is new of the message: `content`, `reasoning`, `tool_calls`"),
                    "finish_reason": or_null(TEXT),
                    "native_finish_reason": or_null(TEXT),
                },
                ("index", "finish_reason", "native_finish_reason"),
            )
        ),
        "usage": or_null(says(ref("Usage"), "Of the last chunk")),
        "error": ref("ErrorObject"),
    },
    ("id", "object", "created", "model", "provider", "usage", "error"),
)
RESPONSES_EVENT: Final = told(
    {
        "type": says(TEXT, "As `event`: `response.created`, `response.output_text.delta`, `response.completed`, …"),
        "sequence_number": COUNT,
        "response": ref("ResponsesReply"),
        "delta": TEXT,
    },
    ("response", "delta"),
)
RESPONSES_REPLY: Final = told(
    {
        "id": says(TEXT, "The generation's"),
        "object": {"const": "response"},
        "created_at": {"type": "integer"},
        "completed_at": or_null({"type": "integer"}),
        "status": words(("completed", "incomplete", "failed", "in_progress")),
        "error": or_null(OBJECT),
        "incomplete_details": or_null(told({"reason": words(("max_output_tokens", "content_filter"))})),
        "model": or_null(TEXT),
        "output": listed(told({"type": TEXT})),
        "output_text": TEXT,
        "service_tier": ANYTHING,
        "usage": or_null(OBJECT),
    }
)
RESPONSES_ERROR: Final = told(
    {
        "id": TEXT,
        "object": {"const": "response"},
        "status": {"const": "failed"},
        "error": ref("ErrorObject"),
        "error_type": TEXT,
        "openrouter_metadata": OBJECT,
    },
    ("openrouter_metadata",),
)


def preference_schemas() -> dict[str, Json]:
    """Return the schemas of routing preferences: a key's, which are strict, and a request's, which are lenient."""
    kinds = (Preferences, MaxPrice, Cutoffs)
    _, found = msgspec.json.schema_components(
        kinds, schema_hook=lambda _: {"description": "Anything"}, ref_template="#/components/schemas/{name}"
    )
    schemas: dict[str, Json] = {"KeyPreferences" if name == "Preferences" else name: found[name] for name in found}
    lenient = {name: part for name, part in found["Preferences"].items() if name != "additionalProperties"}
    return {**schemas, "ProviderPreferences": {**lenient, "title": "ProviderPreferences"}}


_ASKED_HEADERS: Final = (
    Parameter("x-request-id", "Passed on to the provider and told in the reply, if it is a plain one", TEXT, "header"),
    Parameter("x-session-id", "As `session_id`", TEXT, "header"),
    Parameter("http-referer", "The app that asks, for the ledger", TEXT, "header"),
    Parameter("x-title", "The app's name, for the ledger", TEXT, "header"),
    Parameter("x-openrouter-metadata", "`enabled`: tell in the reply how it was routed", TEXT, "header"),
    Parameter("x-openrouter-cache", "`true`: answer from the response cache, and keep the reply there", TEXT, "header"),
    Parameter(
        "x-openrouter-cache-ttl",
        f"Seconds for which it is kept, {MIN_TTL_S} to {MAX_TTL_S}; {DEFAULT_TTL_S} if it is not said",
        TEXT,
        "header",
    ),
    Parameter("x-openrouter-cache-clear", "`true`: forget what is kept, and ask anew", TEXT, "header"),
)
_REPLY_HEADERS: Final = (
    "x-generation-id",
    "x-request-id",
    "x-fairlead-provider",
    "x-fairlead-model",
    "x-fairlead-attempts",
    "x-fairlead-demo",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "x-openrouter-cache-status",
    "x-openrouter-cache-age",
    "x-openrouter-cache-ttl",
    "x-openrouter-cache-source-id",
    "server-timing",
)
FAULTS: Final = (400, 401, 402, 403, 404, 408, 413, 429, 500, 502, 503, 504)

PATHS: Final[Paths] = {
    "/chat/completions": {
        "post": Operation(
            "createChatCompletion",
            TAG,
            "Answer a conversation",
            {
                200: Reply(
                    "The reply, or its events: chunks of it, comments while there is nothing to say, and `[DONE]`. A "
                    "stream that fails after it has begun ends with an event that has `error`, and without `[DONE]`",
                    {JSON: ref("ChatReply"), EVENTS: event("A chunk of the reply", ref("ChatChunk"), "[DONE]")},
                    _REPLY_HEADERS,
                )
            },
            "The provider's refusals are passed on with its own status. Under `/v1` and `/openai/v1` a reply is the "
            "provider's, byte for byte but for what it cost; under `/api/v1` it has OpenRouter's shape.",
            parameters=_ASKED_HEADERS,
            body=ref("ChatRequest"),
            example={"model": "auto", "messages": [{"role": "user", "content": "Say hello"}]},
            faults=FAULTS,
        )
    },
    "/responses": {
        "post": Operation(
            "createResponse",
            TAG,
            "Answer in the shape of OpenAI's Responses API",
            {
                200: Reply(
                    "The Response, or its events, the last of which is `response.completed`, `response.incomplete` or "
                    "`response.failed`",
                    {JSON: ref("ResponsesReply"), EVENTS: event("What has happened", ref("ResponsesEvent"), "[DONE]")},
                    _REPLY_HEADERS,
                )
            },
            "Nothing is kept between requests: the whole conversation is sent in `input`.",
            parameters=_ASKED_HEADERS,
            body=ref("ResponsesRequest"),
            example={"model": "auto", "input": "Say hello"},
            faults=FAULTS,
            fault_kind="Response",
        )
    },
}

SCHEMAS: Final[dict[str, Json]] = {
    "ChatRequest": CHAT_REQUEST,
    "ChatReply": CHAT_REPLY,
    "ChatChunk": CHAT_CHUNK,
    "Usage": USAGE,
    "ResponsesRequest": RESPONSES_REQUEST,
    "ResponsesReply": RESPONSES_REPLY,
    "ResponsesEvent": RESPONSES_EVENT,
    "ResponseError": RESPONSES_ERROR,
}
