"""The routes of presets, with the paths and shapes of OpenRouter's.

GET    {base}/presets                          by slug; `offset`, `limit` (100, at most 100)
GET    {base}/presets/{slug}                   with the version in use
GET    {base}/presets/{slug}/versions          the newest first; `offset`, `limit`
GET    {base}/presets/{slug}/versions/{n}      a number, or `latest`
POST   {base}/presets/{slug}/chat/completions  make it, or a new version, of an inference request, which is not run;
       …/messages, …/responses                 what is configured already makes no new version
PATCH  {base}/presets/{slug}                   `name`, `description`, `status` (active, disabled, archived),
                                               `designated_version` (a number: back to an older version)
DELETE {base}/presets/{slug}                   for ever, with all versions

Specification: wire-api, section 9.11; PATCH and DELETE are ours. Any key may read presets and make its own. An
inference key changes only what it has made itself, since other callers' requests follow what others have made; and
never the default preset, which everybody's do. The admin key and management keys change all, and only they may PATCH
and DELETE.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead import clock
from fairlead.access.admit import check_alive, token_of
from fairlead.access.iso import iso_utc
from fairlead.access.preferences import read_preferences
from fairlead.edge.body import read_body
from fairlead.edge.downstream import Receive
from fairlead.edge.json_body import json_response, read_object
from fairlead.edge.query import Query
from fairlead.errors import ApiError, ClientGone
from fairlead.store.keys import KeyRing, answered
from fairlead.store.presets import (
    MOST_PRESETS,
    NotActive,
    NoVersion,
    PresetStore,
    StoredPreset,
    TooMany,
    Version,
)
from fairlead.wire.preset_config import SLUG, Config, Kind, config_of

PAGE = 100
MOST_BODY_BYTES = 1_048_576
"""Of an inference request that becomes a preset: its messages are left out, so it may be longer than one."""
MOST_TEXT_CHARS = 500
STATUSES = ("active", "disabled", "archived")

Headers = Sequence[tuple[bytes, bytes]]
Manages = Callable[[Headers], Awaitable[str]]
"""Return who manages with these headers: `admin` or the hash of a management key. Raises ApiError for all others."""

PATCHED = ("name", "description", "status", "designated_version")


def preset_routes(
    base: str,
    keys: KeyRing,
    presets: PresetStore,
    manages: Manages,
    default: str = "",
    now: Callable[[], float] = clock.wall,
) -> list[Route]:
    """Return the routes under `base`. `default` is the slug of the default preset; `now` tells Unix seconds."""
    it = _Presets(base, keys, presets, manages, default, now)
    one = f"{base}/presets/{{slug}}"
    kinds: tuple[Kind, ...] = ("chat/completions", "messages", "responses")
    return [
        Route(f"{base}/presets", it.list, methods=["GET"]),
        Route(one, it.show_or_manage, methods=["GET", "PATCH", "DELETE"]),
        Route(f"{one}/versions", it.versions, methods=["GET"]),
        Route(f"{one}/versions/{{version}}", it.version, methods=["GET"]),
        *(Route(f"{one}/{kind}", it.maker(kind), methods=["POST"]) for kind in kinds),
    ]


class _Presets:
    """The handlers."""

    def __init__(
        self,
        base: str,
        keys: KeyRing,
        presets: PresetStore,
        manages: Manages,
        default: str,
        now: Callable[[], float],
    ) -> None:
        self._base = base
        self._keys = keys
        self._presets = presets
        self._manages = manages
        self._default = default
        self._now = now

    async def list(self, request: Request) -> Response:
        await self._who(request)
        offset, limit = _page(request)
        with answered():
            found = await self._presets.list()
        page = [preset_object(one) for one in found[offset : offset + limit]]
        return json_response({"data": page, "total_count": len(found)})

    async def show_or_manage(self, request: Request) -> Response:
        if request.method in ("GET", "HEAD"):
            await self._who(request)
            return json_response({"data": full_object(await self._stored(request))})
        await self._manages(request.scope["headers"])
        return await (self._change if request.method == "PATCH" else self._delete)(request)

    async def versions(self, request: Request) -> Response:
        await self._who(request)
        offset, limit = _page(request)
        preset = await self._stored(request)
        with answered():
            found = await self._presets.versions(preset.slug, preset.last, preset.last)
        page = [version_object(one, preset) for one in found[offset : offset + limit]]
        return json_response({"data": page, "total_count": len(found)})

    async def version(self, request: Request) -> Response:
        await self._who(request)
        preset = await self._stored(request)
        named = request.path_params["version"]
        number = preset.last if named == "latest" else int(named) if re.fullmatch("[0-9]{1,9}", named) else 0
        with answered():
            found = await self._presets.versions(preset.slug, number, 1)
        if not found:
            raise _no_version(preset.slug, named)
        return json_response({"data": version_object(found[0], preset)})

    def maker(self, kind: Kind) -> Callable[[Request], Awaitable[Response]]:
        """Return the handler that makes a preset of a request to `kind`."""

        async def make(request: Request) -> Response:
            who, is_manager = await self._who(request)
            slug = request.path_params["slug"]
            if SLUG.fullmatch(slug) is None:
                text = f"{slug[:100]!r} cannot be a preset's slug: lower-case letters, digits, - and _, at most 64"
                raise ApiError(400, text, param="slug")
            config = _checked(config_of(await _body(request), kind))
            with answered():
                if not is_manager:
                    await self._check_own(slug, who)
                try:
                    stored = await self._presets.put(slug, config, creator=who, now=int(self._now()))
                except NotActive:
                    text = f"The preset {slug!r} is disabled or archived: nothing is added to it until it is active"
                    raise ApiError(409, text, error_type="invalid_request") from None
                except TooMany:
                    text = f"There are {MOST_PRESETS} presets, as many as there can be: delete one first"
                    raise ApiError(409, text, error_type="invalid_request") from None
            return json_response({"data": full_object(stored)})

        return make

    async def _check_own(self, slug: str, who: str) -> None:
        """Raise ApiError 403 if an inference key must not change this preset."""
        if slug == self._default:
            text = f"The preset {slug!r} applies to everybody: send the admin key or a management key to change it"
            raise ApiError(403, text, error_type="permission_denied")
        stored = await self._presets.get(slug)
        if stored is not None and stored.creator != who:
            text = f"Another key has made the preset {slug!r}: take another slug, or send a management key to change it"
            raise ApiError(403, text, error_type="permission_denied")

    async def _change(self, request: Request) -> Response:
        slug = self._slug(request)
        changes, designated = read_changes(await read_object(request))
        try:
            with answered():
                stored = await self._presets.change(slug, changes, designated=designated, now=int(self._now()))
        except NoVersion:
            raise _no_version(slug, str(designated), param="designated_version") from None
        if stored is None:
            raise self._unknown(slug)
        return json_response({"data": full_object(stored)})

    async def _delete(self, request: Request) -> Response:
        slug = self._slug(request)
        with answered():
            was_there = await self._presets.delete(slug)
        if not was_there:
            raise self._unknown(slug)
        return json_response({"deleted": True})

    async def _who(self, request: Request) -> tuple[str, bool]:
        """Return who asks, and whether that one manages. Raises ApiError 401, and 503 when nobody can tell."""
        headers = request.scope["headers"]
        token = token_of(dict(reversed(headers)))
        key = self._keys.find(token)
        if key is None:
            try:
                key = await self._keys.look_up(token)
            except ApiError as refusal:
                if refusal.status != 401:
                    raise
                try:
                    return await self._manages(headers), True
                except ApiError:
                    raise refusal from None
        check_alive(key, self._now())
        return f"key:{key.hash}", key.is_management

    async def _stored(self, request: Request) -> StoredPreset:
        slug = self._slug(request)
        with answered():
            stored = await self._presets.get(slug)
        if stored is None:
            raise self._unknown(slug)
        return stored

    def _slug(self, request: Request) -> str:
        slug: str = request.path_params["slug"]
        if SLUG.fullmatch(slug) is None:
            raise self._unknown(slug)
        return slug

    def _unknown(self, slug: str) -> ApiError:
        text = f"There is no preset {slug[:100]!r}: GET {self._base}/presets lists them"
        return ApiError(404, text, error_type="not_found")


def preset_object(preset: StoredPreset) -> dict[str, object]:
    """Return a preset as the list shows it."""
    return {
        "id": preset.id,
        "slug": preset.slug,
        "name": preset.name,
        "description": preset.description or None,
        "status": preset.status,
        "designated_version_id": preset.designated.id,
        "workspace_id": None,
        "creator_user_id": preset.creator,
        "created_at": iso_utc(preset.created),
        "updated_at": iso_utc(preset.updated),
        "status_updated_at": None if preset.status_updated is None else iso_utc(preset.status_updated),
    }


def full_object(preset: StoredPreset) -> dict[str, object]:
    """Return a preset with the version in use."""
    return {**preset_object(preset), "designated_version": version_object(preset.designated, preset)}


def version_object(version: Version, preset: StoredPreset) -> dict[str, object]:
    return {
        "id": version.id,
        "version": version.number,
        "preset_id": preset.id,
        "config": orjson.Fragment(version.config.text),
        "system_prompt": version.config.system_prompt,
        "creator_id": version.creator,
        "created_at": iso_utc(version.created),
        "updated_at": iso_utc(version.created),
    }


def read_changes(body: Mapping[str, Any]) -> tuple[dict[str, str | int], int | None]:
    """Return what a PATCH changes, and the number of the version to designate. Raises ApiError 400."""
    for name in body:
        if name not in PATCHED:
            text = f"There is no member {name[:100]!r} here: send {', '.join(PATCHED)}"
            raise ApiError(400, text, param=name[:100])
    if not body:
        raise ApiError(400, "No update fields provided")
    changes: dict[str, str | int] = {}
    for name in ("name", "description"):
        if name in body:
            changes[name] = _text(name, body[name])
    if "status" in body:
        if body["status"] not in STATUSES:
            raise ApiError(400, f"'status' must be one of {', '.join(STATUSES)}", param="status")
        changes["status"] = body["status"]
    designated = body.get("designated_version")
    if "designated_version" in body and (type(designated) is not int or not 0 < designated < 10**9):
        raise ApiError(400, "'designated_version' must be the number of a version", param="designated_version")
    return changes, designated


def _text(name: str, given: object) -> str:
    if given is None and name == "description":
        return ""
    if not isinstance(given, str) or len(given) > MOST_TEXT_CHARS or (name == "name" and not given.strip()):
        raise ApiError(400, f"'{name}' must be a text of at most {MOST_TEXT_CHARS} characters", param=name)
    return given


def _checked(config: Config) -> Config:
    """Raise ApiError 400 for routing preferences that every request with this preset would be refused for."""
    preferences = config.members().get("provider")
    if preferences is not None:
        try:
            _ = read_preferences(preferences)
        except ValueError as error:
            raise ApiError(400, f"'provider' is wrong: {error}", param="provider") from None
    return config


async def _body(request: Request) -> bytes:
    try:
        fields = dict(reversed(request.scope["headers"]))
        return await read_body(cast(Receive, request.receive), fields, MOST_BODY_BYTES)
    except ApiError as error:
        text = f"The request body is larger than {MOST_BODY_BYTES} bytes, the most that is read here"
        raise ApiError(413, text, error_type=error.error_type, headers=error.headers) from None
    except ClientGone:
        raise ApiError(499, "The caller left before the end of its body") from None


def _page(request: Request) -> tuple[int, int]:
    """Return `offset` and `limit`. Raises ApiError 400."""
    query = Query(request.query_params)
    return query.whole("offset") or 0, query.whole("limit", 1, PAGE) or PAGE


def _no_version(slug: str, named: str, param: str | None = None) -> ApiError:
    text = f"The preset {slug!r} has no version {named[:40]}: GET …/presets/{slug}/versions lists them"
    return ApiError(404, text, error_type="not_found", param=param)
