"""The whole document, of all its parts."""

from collections.abc import Mapping
from typing import Final

from fairlead import __version__
from fairlead.edge.asgi import BASES
from fairlead.openapi import apps, inference, keys, models, operators, presets
from fairlead.openapi.operation import (
    ERROR,
    ERROR_REPLY,
    SECURITY_SCHEMES,
    Paths,
    fault_replies,
    header_components,
)
from fairlead.openapi.shapes import Json

UNDER_BASES: Final[Paths] = {**inference.PATHS, **models.PATHS, **keys.PATHS, **apps.PATHS, **presets.PATHS}
"""What is there under each base."""
AT_TOP: Final[Paths] = operators.PATHS

_SERVERS: Final = (
    "Replies as the provider sends them: OpenAI's clients",
    "Replies in OpenRouter's shape: its clients",
    "As under /v1, without comments in streams: GateRouter's clients",
)
_TAGS: Final[Mapping[str, str]] = {
    inference.TAG: "What models answer.",
    models.TAG: "What can be asked for, who serves it, at what price.",
    presets.TAG: "Parts of requests that are kept here, and named in others as `@preset/<slug>`.",
    keys.TAG: "Who may ask, how much, and what it came to.",
    apps.TAG: "OAuth with PKCE: an app gets a key of its own.",
    operators.ADMINISTRATION: "What the whole fleet knows, for operators.",
    operators.HEALTH: "For load balancers and monitoring. Without a key.",
    operators.DOCUMENT: "Without a key.",
}
_TEXT: Final = (
    "One URL and one key in front of every model provider. Errors are JSON with `error`: its `message` says what is "
    "wrong, and the remedy. Members and parameters that are not described here are passed on or let pass, unless a "
    "schema says otherwise. Wherever there is a GET there is a HEAD."
)


def document() -> dict[str, object]:
    """Return the document. Paths under the bases are relative to each of the servers; others name their own."""
    servers = [{"url": base, "description": text} for base, text in zip(BASES, _SERVERS, strict=True)]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fairlead",
            "version": __version__,
            "summary": "The self-hosted OpenRouter",
            "description": _TEXT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": servers,
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": {
            **{path: _item(path, UNDER_BASES) for path in UNDER_BASES},
            **{path: {"servers": [{"url": "/"}], **_item(path, AT_TOP)} for path in AT_TOP},
        },
        "components": {
            "schemas": _schemas(),
            "responses": fault_replies(inference.FAULTS),
            "headers": header_components(),
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _item(path: str, paths: Paths) -> dict[str, object]:
    return {method: operation.json() for method, operation in paths[path].items()}


def _schemas() -> dict[str, Json]:
    return {
        "ErrorObject": ERROR,
        "Error": ERROR_REPLY,
        **inference.SCHEMAS,
        **inference.preference_schemas(),
        **models.SCHEMAS,
        **keys.SCHEMAS,
        **presets.SCHEMAS,
        **operators.SCHEMAS,
    }
