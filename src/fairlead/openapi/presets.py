"""Presets: the limits of `edge/presets.py` and `wire/preset_config.py`."""

from typing import Final, get_args

from fairlead.edge.presets import MOST_TEXT_CHARS, PAGE, PATCHED, STATUSES
from fairlead.openapi.operation import JSON, MANAGEMENT, Item, Operation, Parameter, Paths, Reply
from fairlead.openapi.shapes import (
    ANYTHING,
    COUNT,
    NULL,
    OBJECT,
    TEXT,
    TIME,
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
from fairlead.wire.preset_config import FIELDS, SLUG, Kind

TAG: Final = "Presets"

_SLUG: Final = Parameter(
    "slug",
    "Lower-case letters, digits, - and _",
    {"type": "string", "pattern": f"^{SLUG.pattern}$"},
    "path",
    "fast-and-cheap",
)
_VERSION: Final = Parameter(
    "version", "A number, or `latest`", {"type": "string", "pattern": "^(latest|[0-9]{1,9})$"}, "path", "latest"
)
_MOST: Final = 10**15 - 1
_PAGES: Final = (
    Parameter("offset", "From which one on", whole_of(0, _MOST)),
    Parameter("limit", f"So many on a page: {PAGE}, if it is not said", whole_of(1, PAGE)),
)
_CHANGES: Final[dict[str, Json]] = {
    "name": {"type": "string", "minLength": 1, "maxLength": MOST_TEXT_CHARS, "pattern": r"\S"},
    "description": or_null(text_of(0, MOST_TEXT_CHARS)),
    "status": words(STATUSES),
    "designated_version": says(whole_of(1, 10**9 - 1), "Number of the version that requests get"),
}
_LISTED: Final[dict[str, Json]] = {
    "id": TEXT,
    "slug": TEXT,
    "name": TEXT,
    "description": or_null(TEXT),
    "status": words(STATUSES),
    "designated_version_id": TEXT,
    "workspace_id": NULL,
    "creator_user_id": TEXT,
    "created_at": TIME,
    "updated_at": TIME,
    "status_updated_at": or_null(TIME),
}
_CONFIG: Final = asked(dict.fromkeys(FIELDS, ANYTHING))
_VERSIONS: Final = told(
    {
        "id": TEXT,
        "version": COUNT,
        "preset_id": TEXT,
        "config": says(_CONFIG, "Members of a chat request that are laid under others"),
        "system_prompt": or_null(TEXT),
        "creator_id": TEXT,
        "created_at": TIME,
        "updated_at": TIME,
    }
)
_STORED: Final = ("cache-control",)
_WHOLE: Final = Reply("The preset, with the version in use", {JSON: data(ref("Preset"))}, _STORED)


def _make(kind: Kind) -> Item:
    name = "".join(part.capitalize() for part in kind.split("/"))
    return {
        "post": Operation(
            f"createPresetOf{name}",
            TAG,
            f"Make a preset, or a new version of it, of the body of a request to /{kind}",
            {200: _WHOLE},
            "The request is not run, and its messages are left out. An inference key changes only what it has made.",
            parameters=(_SLUG,),
            body=says(OBJECT, "Of the request: what of it configures becomes the preset"),
            example={"model": "auto", "temperature": 0.2},
            faults=(403, 404, 409),
        )
    }


PATHS: Final[Paths] = {
    "/presets": {
        "get": Operation(
            "listPresets",
            TAG,
            "List presets, by slug",
            {
                200: Reply(
                    "A page of them", {JSON: told({"data": listed(told(_LISTED)), "total_count": COUNT})}, _STORED
                )
            },
            parameters=_PAGES,
        )
    },
    "/presets/{slug}": {
        "get": Operation("showPreset", TAG, "Show a preset", {200: _WHOLE}, parameters=(_SLUG,), faults=(404,)),
        "patch": Operation(
            "changePreset",
            TAG,
            "Change a preset's name, description or status, or go back to another version",
            {200: _WHOLE},
            security=MANAGEMENT,
            parameters=(_SLUG,),
            body={**asked({name: _CHANGES[name] for name in PATCHED}, is_closed=True), "minProperties": 1},
            example={"designated_version": 1},
            faults=(403, 404),
        ),
        "delete": Operation(
            "deletePreset",
            TAG,
            "Delete a preset for ever, with all its versions",
            {200: Reply("Done", {JSON: told({"deleted": {"const": True}})}, _STORED)},
            security=MANAGEMENT,
            parameters=(_SLUG,),
            faults=(403, 404),
        ),
    },
    "/presets/{slug}/versions": {
        "get": Operation(
            "listPresetVersions",
            TAG,
            "List a preset's versions, the newest first",
            {
                200: Reply(
                    "A page of them",
                    {JSON: told({"data": listed(ref("PresetVersion")), "total_count": COUNT})},
                    _STORED,
                )
            },
            parameters=(_SLUG, *_PAGES),
            faults=(404,),
        )
    },
    "/presets/{slug}/versions/{version}": {
        "get": Operation(
            "showPresetVersion",
            TAG,
            "Show one version of a preset",
            {200: Reply("The version", {JSON: data(ref("PresetVersion"))}, _STORED)},
            parameters=(_SLUG, _VERSION),
            faults=(404,),
        )
    },
    **{f"/presets/{{slug}}/{kind}": _make(kind) for kind in get_args(Kind)},
}

SCHEMAS: Final[dict[str, Json]] = {
    "Preset": told({**_LISTED, "designated_version": ref("PresetVersion")}),
    "PresetVersion": _VERSIONS,
}
