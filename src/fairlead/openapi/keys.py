"""Keys, what they have used, credits, and keys for apps: the limits of `admin/key_members.py` and its neighbours."""

from typing import Final, get_args

from fairlead.access.keys import MOST_RESUMED, Reset
from fairlead.access.usd import MOST_USD
from fairlead.admin.credits import MOST_PAGE as MOST_TOP_UPS
from fairlead.admin.credits import MOST_TEXT_CHARS
from fairlead.admin.credits import PAGE as TOP_UPS
from fairlead.admin.key_members import FOR_CHANGES, FOR_NEW, MOST_NAME_CHARS, MOST_PATTERNS, MOST_PER_MINUTE
from fairlead.admin.keys import PAGE
from fairlead.openapi.operation import JSON, MANAGEMENT, Item, Operation, Parameter, Paths, Reply
from fairlead.openapi.shapes import (
    COUNT,
    FLAG,
    NULL,
    NUMBER,
    OBJECT,
    TEXT,
    TIME,
    USD,
    Json,
    asked,
    data,
    listed,
    or_null,
    ref,
    says,
    text_of,
    told,
    whole_of,
    words,
)

TAG: Final = "Keys and credits"

_RESET: Final = or_null(words(get_args(Reset)))
_PATTERN: Final = {"type": "string", "minLength": 1, "maxLength": MOST_NAME_CHARS, "pattern": r"^[!-~]+$"}
_PATTERNS: Final = or_null({"type": "array", "items": _PATTERN, "minItems": 1, "maxItems": MOST_PATTERNS})
_PER_MINUTE: Final = or_null(whole_of(1, MOST_PER_MINUTE))
_MEMBERS: Final[dict[str, Json]] = {
    "name": {
        "type": "string", "minLength": 1, "maxLength": MOST_NAME_CHARS, "pattern": r"^[ -~]*[!-~][ -~]*$",
        "description": "What it is for. Other printable characters than ASCII's will do as well",
    },
    "disabled": says(FLAG, "It opens nothing"),
    "limit": or_null({"type": "number", "minimum": 0, "maximum": MOST_USD, "description": "USD that may be spent"}),
    "limit_reset": says(_RESET, "When spending begins anew; null: never"),
    "expires_at": or_null(says(TIME, "A time to come, in UTC with seconds")),
    "allowed_models": says(_PATTERNS, "Patterns such as `openai/*`"),
    "allowed_providers": says(_PATTERNS, "Patterns such as `groq`"),
    "requests_per_minute": _PER_MINUTE,
    "tokens_per_minute": _PER_MINUTE,
    "max_concurrency": or_null(whole_of(1, 10**6)),
    "preferences": or_null(says(ref("KeyPreferences"), "What its requests want of providers, unless they say so")),
    "auto_routing": says(or_null(FLAG), "Whether `auto` may be asked for; null: what the gateway does"),
    "resume_tokens": says(
        or_null(whole_of(0, MOST_RESUMED)),
        "A stream that breaks off after no more than so many tokens is asked for again; null: as the gateway is set to",
    ),
    "is_management": says(FLAG, "It manages, and does not infer"),
    "include_byok_in_limit": {"enum": [False, None]},
    "workspace_id": NULL,
    "creator_user_id": NULL,
    "external": NULL,
}  # fmt: skip
NEW_KEY: Final = asked({name: _MEMBERS[name] for name in sorted(FOR_NEW)}, ("name",), is_closed=True)
KEY_CHANGES: Final[Json] = {
    **asked({name: _MEMBERS[name] for name in sorted(FOR_CHANGES)}, is_closed=True),
    "minProperties": 1,
}

_SPENT: Final[dict[str, Json]] = {
    "limit": or_null(USD),
    "limit_remaining": or_null(USD),
    "limit_reset": _RESET,
    "include_byok_in_limit": FLAG,
    **dict.fromkeys(
        ("usage", "usage_daily", "usage_weekly", "usage_monthly", "byok_usage", "byok_usage_daily",
         "byok_usage_weekly", "byok_usage_monthly"), USD
    ),
}  # fmt: skip
_OWN: Final[dict[str, Json]] = {
    "allowed_models": or_null(listed(TEXT)),
    "allowed_providers": or_null(listed(TEXT)),
    "requests_per_minute": or_null(COUNT),
    "tokens_per_minute": or_null(COUNT),
    "max_concurrency": or_null(COUNT),
    "preferences": or_null(OBJECT),
    "auto_routing": or_null(FLAG),
    "resume_tokens": or_null(COUNT),
}
_HASH: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
KEY: Final = told(
    {
        "hash": says(_HASH, "Names the key without being it"),
        "name": TEXT,
        "label": says(TEXT, "Its beginning and end"),
        "disabled": FLAG,
        **_SPENT,
        "created_at": TIME,
        "updated_at": or_null(TIME),
        "last_used_at": or_null(TIME),
        "expires_at": or_null(TIME),
        "creator_user_id": or_null(TEXT),
        "workspace_id": NULL,
        "external_user": NULL,
        "is_management": FLAG,
        **_OWN,
    }
)
_BUDGET: Final = or_null(
    told(
        {
            "scope": TEXT,
            "limit_usd": NUMBER,
            "spend_usd": NUMBER,
            "remaining_usd": NUMBER,
            "reset_interval": _RESET,
            "resets_at": or_null(TIME),
            "include_byok": FLAG,
            "guardrail_id": NULL,
            "budget_id": NULL,
        }
    )
)
CURRENT_KEY: Final = told(
    {
        "label": TEXT,
        **_SPENT,
        "is_free_tier": FLAG,
        "is_management_key": FLAG,
        "is_provisioning_key": FLAG,
        "rate_limit": told({"requests": {"type": "integer"}, "interval": TEXT, "note": TEXT}),
        "expires_at": or_null(TIME),
        "creator_user_id": or_null(TEXT),
        "workspace_id": NULL,
        "organization_id": NULL,
        "budgets": listed(OBJECT),
        "effective_budget": _BUDGET,
        "free_model_daily_requests": NULL,
        "allowed_data_regions": listed(TEXT),
        **_OWN,
    }
)
GENERATION: Final = told(
    {
        "id": TEXT,
        "request_id": TEXT,
        "upstream_id": or_null(TEXT),
        "model": TEXT,
        "requested_model": TEXT,
        "provider_name": or_null(TEXT),
        "created_at": TIME,
        "provider_responses": listed(OBJECT, "The attempts"),
        "tokens_prompt": COUNT,
        "tokens_completion": COUNT,
        "native_tokens_reasoning": COUNT,
        "native_tokens_cached": COUNT,
        "usage": USD,
        "total_cost": USD,
        "is_estimated": FLAG,
        "latency": or_null(says(NUMBER, "Milliseconds to the first content")),
        "generation_time": or_null(says(NUMBER, "Milliseconds after it")),
        "streamed": FLAG,
        "cancelled": FLAG,
        "finish_reason": or_null(TEXT),
        "status": {"type": "integer"},
        "end": TEXT,
    }
)
_ACTIVITY: Final = told(
    {
        "date": {"type": "string", "format": "date"},
        "model": TEXT,
        "model_permaslug": TEXT,
        "endpoint_id": TEXT,
        "provider_name": TEXT,
        "usage": USD,
        "byok_usage_inference": USD,
        "requests": COUNT,
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "reasoning_tokens": COUNT,
        "cached_tokens": COUNT,
    }
)
_TOTALS: Final[dict[str, Json]] = {"total_credits": USD, "total_usage": USD}
_TOP_UP: Final = told({"at": TIME, "amount_usd": USD, "reason": TEXT, "idempotency_key": TEXT, "by": TEXT})

_OF_KEY: Final = Parameter("hash", "The key's hash, as the list tells it", _HASH, "path", "0" * 64)
_DELETED: Final = told({"deleted": {"const": True}})
_STORED: Final = ("cache-control",)


def _switch(name: str, says: str) -> Parameter:
    return Parameter(name, says, words(("true", "false", "1", "0")))


def _list_or_make(suffix: str) -> Item:
    return {
        "get": Operation(
            "listKeys" + suffix,
            TAG,
            "List keys, the newest first",
            {200: Reply(f"At most {PAGE}, from `offset` on", {JSON: data(listed(ref("Key")))}, _STORED)},
            security=MANAGEMENT,
            parameters=(
                Parameter("offset", "From which one on", whole_of(0, 10**9 - 1)),
                _switch("include_disabled", "Also those that open nothing"),
                _switch("include_expired", "Also those whose time is over"),
            ),
            faults=(403,),
        ),
        "post": Operation(
            "createKey" + suffix,
            TAG,
            "Make a key",
            {
                201: Reply(
                    "The key: this is the only time that it is told",
                    {JSON: told({"data": ref("Key"), "key": TEXT})},
                    _STORED,
                )
            },
            security=MANAGEMENT,
            body=ref("NewKey"),
            example={"name": "web", "limit": 25, "limit_reset": "monthly"},
            faults=(403,),
        ),
    }


def _own_key(id: str) -> Item:
    return {
        "get": Operation(
            id,
            TAG,
            "Show the caller's own key: limits, and what has been spent",
            {200: Reply("The key", {JSON: data(ref("CurrentKey"))}, _STORED)},
        )
    }


PATHS: Final[Paths] = {
    "/key": _own_key("showOwnKey"),
    "/auth/key": _own_key("showOwnKeyAsBefore"),
    "/keys": _list_or_make(""),
    "/keys/": _list_or_make("WithSlash"),
    "/keys/{hash}": {
        "get": Operation(
            "showKey",
            TAG,
            "Show a key",
            {200: Reply("The key", {JSON: data(ref("Key"))}, _STORED)},
            security=MANAGEMENT,
            parameters=(_OF_KEY,),
            faults=(403, 404),
        ),
        "patch": Operation(
            "changeKey",
            TAG,
            "Change what is named, and nothing else",
            {200: Reply("The key", {JSON: data(ref("Key"))}, _STORED)},
            security=MANAGEMENT,
            parameters=(_OF_KEY,),
            body=ref("KeyChanges"),
            example={"disabled": True},
            faults=(403, 404),
        ),
        "delete": Operation(
            "deleteKey",
            TAG,
            "Delete a key for ever, on every worker at once",
            {200: Reply("Done", {JSON: _DELETED}, _STORED)},
            security=MANAGEMENT,
            parameters=(_OF_KEY,),
            faults=(403, 404),
        ),
    },
    "/generation": {
        "get": Operation(
            "showGeneration",
            TAG,
            "Show what became of one request, and what it cost",
            {200: Reply("The generation", {JSON: data(ref("Generation"))}, _STORED)},
            "For the key that it was made with, or a management key.",
            parameters=(
                Parameter("id", "The `x-generation-id` of a reply, or the provider's `id`",
                          {"type": "string", "minLength": 1}, example="gen-1767225600-0123456789", is_required=True),
            ),
            faults=(404,),
        )
    },
    "/credits": {
        "get": Operation(
            "showCredits",
            TAG,
            "Show what has been put in, and what has been used",
            {200: Reply("Both, in USD", {JSON: data(told(_TOTALS))}, _STORED)},
            security=MANAGEMENT,
            faults=(403,),
        )
    },
    "/credits/coinbase": {
        "post": Operation("buyCredits", TAG, "Gone, as at OpenRouter", {}, security=MANAGEMENT, faults=(403, 410))
    },
    "/activity": {
        "get": Operation(
            "showActivity",
            TAG,
            "Sum up what has been used, by day, model and provider",
            {200: Reply("The last whole days of UTC", {JSON: data(listed(_ACTIVITY))}, _STORED)},
            security=MANAGEMENT,
            parameters=(
                Parameter("date", "One of these days", {"type": "string", "format": "date"}),
                Parameter("api_key_hash", "Only what was used with this key", TEXT),
            ),
            faults=(403,),
        )
    },
}  # fmt: skip

TOP_UP_PATHS: Final[Paths] = {
    "/admin/v1/credits": {
        "get": Operation(
            "listTopUps",
            TAG,
            "Show credits, with the last top-ups",
            {200: Reply("The newest first", {JSON: data(told({**_TOTALS, "top_ups": listed(_TOP_UP)}))}, _STORED)},
            security=MANAGEMENT,
            parameters=(Parameter("limit", f"How many: {TOP_UPS}, if it is not said", whole_of(1, MOST_TOP_UPS)),),
            faults=(403,),
        ),
        "post": Operation(
            "addTopUp",
            TAG,
            "Put in credits; a negative amount takes some back",
            {
                200: Reply("The same top-up had been made before", {JSON: data(told(_TOTALS))}, _STORED),
                201: Reply("Done", {JSON: data(told(_TOTALS))}, _STORED),
            },
            "The same idempotency key counts once.",
            security=MANAGEMENT,
            parameters=(Parameter("idempotency-key", "Instead of the member `idempotency_key`", TEXT, "header"),),
            body=asked(
                {
                    "amount_usd": {**NUMBER, "minimum": -MOST_USD, "maximum": MOST_USD},
                    "reason": text_of(1, MOST_TEXT_CHARS),
                    "idempotency_key": or_null(
                        {"type": "string", "minLength": 1, "maxLength": MOST_TEXT_CHARS, "pattern": "^[!-~]+$"}
                    ),
                },
                ("amount_usd", "reason"),
                is_closed=True,
            ),
            example={"amount_usd": 25, "reason": "invoice 7", "idempotency_key": "invoice-7"},
            faults=(403, 409),
        ),
    }
}

SCHEMAS: Final[dict[str, Json]] = {
    "Key": KEY,
    "CurrentKey": CURRENT_KEY,
    "NewKey": NEW_KEY,
    "KeyChanges": KEY_CHANGES,
    "Generation": GENERATION,
}
