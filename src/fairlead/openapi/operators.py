"""For operators and their machines: health, figures, administration, the consent page, and the document itself."""

from typing import Final

from fairlead.openapi.apps import CONSENT_PATHS
from fairlead.openapi.keys import TOP_UP_PATHS
from fairlead.openapi.operation import ADMIN, EVENTS, HTML, JSON, Item, Operation, Parameter, Paths, Reply
from fairlead.openapi.shapes import (
    COUNT,
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
    Json,
    event,
    listed,
    or_null,
    ref,
    says,
    told,
    words,
)
from fairlead.telemetry.exposition import CONTENT_TYPE

HEALTH: Final = "Health"
ADMINISTRATION: Final = "Administration"
DOCUMENT: Final = "This document"

_NOT_KEPT: Final = ("cache-control",)
_READY: Final = told(
    {
        "status": words(("ready", "draining")),
        "version": TEXT,
        "in_flight": COUNT,
        "models": COUNT,
        "endpoints": COUNT,
        "admitted": COUNT,
        "waiting": COUNT,
        "upstream_connections": COUNT,
        "worker": COUNT,
        "tasks": COUNT,
        "store": words(("ok", "away")),
    },
    ("version", "in_flight", "models", "endpoints", "admitted", "waiting", "upstream_connections", "worker", "tasks",
     "store"),
)  # fmt: skip


def _readiness(id: str, text: str) -> Item:
    return {
        "get": Operation(
            id,
            HEALTH,
            text,
            {
                200: Reply("It takes requests", {JSON: _READY}, _NOT_KEPT),
                503: Reply("It is about to end, and takes them all the same", {JSON: _READY}, _NOT_KEPT),
            },
            security=(),
            parameters=(Parameter("verbose", "Tell more, whatever its value", TEXT),),
        )
    }


_FIGURE: Final = or_null(NUMBER)
_FIGURES: Final[dict[str, Json]] = {
    "first_token_ms": says(OBJECT, "`mean`; of an endpoint also `p50` and `p95`"),
    "tokens_per_s": _FIGURE,
    "error_share": _FIGURE,
    "cut_share": _FIGURE,
    "in_flight": _FIGURE,
    "waiting": _FIGURE,
    "attempts_per_s": _FIGURE,
}
_FLEET: Final = told(
    {
        "at": says(NUMBER, "Unix seconds"),
        "store": words(("ok", "away")),
        "endpoints": listed(
            told(
                {
                    "id": TEXT,
                    "model": TEXT,
                    "provider": TEXT,
                    "unknown": says(FLAG, "Nothing has been heard of it within the last hour"),
                    "state": words(("healthy", "ejected", "probing", "cooling")),
                    "reason": or_null(TEXT),
                    "seconds_left": _FIGURE,
                    "share": _FIGURE,
                    "elasticity": _FIGURE,
                    "expected_ms": _FIGURE,
                    "rate_cap": _FIGURE,
                    "level": COUNT,
                    "last_ejection": or_null(OBJECT),
                    **_FIGURES,
                }
            )
        ),
        "providers": listed(
            told(
                {
                    "provider": TEXT,
                    "endpoints": COUNT,
                    "out": COUNT,
                    "share": _FIGURE,
                    "account": told({"state": TEXT, "reason": or_null(TEXT), "seconds_left": _FIGURE}),
                    **_FIGURES,
                }
            )
        ),
    }
)
_PLAN: Final = told(
    {
        "requested": listed(TEXT),
        "stream": FLAG,
        "model": or_null(TEXT),
        "router": or_null(TEXT),
        "is_panic": FLAG,
        "candidates": listed(OBJECT, "In the order in which they are asked, with the terms of their scores"),
        "skipped": listed(OBJECT, "Who is left out, and why"),
        "error": or_null(ref("ErrorObject")),
    },
    ("router", "is_panic"),
)
_PAST: Final = told(
    {
        "id": TEXT,
        "requested": TEXT,
        "model": TEXT,
        "provider": or_null(TEXT),
        "end": TEXT,
        "candidates": listed(OBJECT),
        "skipped": listed(OBJECT),
        "attempts": listed(OBJECT),
    }
)
_PAGE: Final = {HTML: TEXT}

PATHS: Final[Paths] = {
    "/livez": {
        "get": Operation(
            "isAlive",
            HEALTH,
            "Whether it is alive",
            {200: Reply("It is", {JSON: told({"status": {"const": "alive"}})}, _NOT_KEPT)},
            security=(),
        )
    },
    "/readyz": _readiness("isReady", "Whether a load balancer should send requests"),
    "/healthz": _readiness("isHealthy", "The same"),
    "/health": _readiness("isHealthyToo", "The same"),
    "/metrics": {
        "get": Operation(
            "readMetrics",
            HEALTH,
            "Figures of all workers, for Prometheus",
            {200: Reply("The figures", {CONTENT_TYPE.partition(";")[0]: TEXT}, _NOT_KEPT)},
            security=(),
        )
    },
    "/admin/v1/endpoints": {
        "get": Operation(
            "watchEndpoints",
            ADMINISTRATION,
            "Show what the whole fleet knows of each endpoint and provider",
            {200: Reply("As of now", {JSON: ref("Fleet")}, _NOT_KEPT)},
            security=ADMIN,
            parameters=(
                Parameter("active", "Leave out endpoints of which nothing is known, unless it is 0, no, off", TEXT),
            ),
            faults=(403,),
        )
    },
    "/admin/v1/events": {
        "get": Operation(
            "followEvents",
            ADMINISTRATION,
            "Follow changes of state as they happen",
            {
                200: Reply(
                    "`ejected`, `probing`, `recovered`, `cooling`; `dropped`: some were lost; `end`: connect again. A "
                    "comment comes while nothing happens",
                    {EVENTS: event("A change", ref("Change"))},
                    _NOT_KEPT,
                )
            },
            security=ADMIN,
            faults=(403,),
        )
    },
    "/admin/v1/explain": {
        "post": Operation(
            "explainRequest",
            ADMINISTRATION,
            "Show the plan that a chat request would get now; nothing is sent, held or charged",
            {200: Reply("The plan", {JSON: _PLAN}, _NOT_KEPT)},
            security=ADMIN,
            parameters=(Parameter("key", "Hash of a key: as its request would fare", TEXT),),
            body=ref("ChatRequest"),
            example={"model": "auto", "messages": [{"role": "user", "content": "Say hello"}]},
            faults=(403, 404),
        )
    },
    "/admin/v1/explain/{id}": {
        "get": Operation(
            "explainGeneration",
            ADMINISTRATION,
            "Show why a request went where it went",
            {200: Reply("Whom the choice was made from, and what was tried", {JSON: _PAST}, _NOT_KEPT)},
            security=ADMIN,
            parameters=(
                Parameter("id", "A generation's", {**TEXT, "minLength": 1}, "path", "gen-1767225600-0123456789"),
            ),
            faults=(403, 404),
        )
    },
    **TOP_UP_PATHS,
    **CONSENT_PATHS,
    "/openapi.json": {
        "get": Operation(
            "showDocument",
            DOCUMENT,
            "This document",
            {200: Reply("OpenAPI 3.1", {JSON: OBJECT}, ("etag",)), 304: Reply("As it was", {}, ("etag",))},
            security=(),
            parameters=(Parameter("if-none-match", "The `etag` of what you have", TEXT, "header"),),
        )
    },
    "/docs": {
        "get": Operation(
            "showPage",
            DOCUMENT,
            "This document as a page",
            {200: Reply("HTML", _PAGE, ("etag",)), 304: Reply("As it was", {}, ("etag",))},
            security=(),
            parameters=(Parameter("if-none-match", "The `etag` of what you have", TEXT, "header"),),
        )
    },
    **{
        f"/docs/{name}": {
            "get": Operation(
                id,
                DOCUMENT,
                f"{what} of the page",
                {200: Reply(what, {kind: TEXT}, ("etag",)), 304: Reply("As it was", {}, ("etag",))},
                security=(),
            )
        }
        for name, id, what, kind in (
            ("docs.css", "showStyle", "The style", "text/css"),
            ("docs.js", "showScript", "The script", "text/javascript"),
        )
    },
}

CHANGE: Final = told(
    {
        "at": says(NUMBER, "Unix seconds"),
        "kind": words(("ejected", "probing", "recovered", "cooling")),
        "endpoint": says(TEXT, "`@provider` for a whole account"),
        "provider": TEXT,
        "model": or_null(TEXT),
        "why": TEXT,
        "seconds": says(NUMBER, "Until it ends; 0 if it does not"),
    }
)
SCHEMAS: Final[dict[str, Json]] = {"Fleet": _FLEET, "Change": CHANGE}
