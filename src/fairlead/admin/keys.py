"""The routes that manage keys, with the paths and shapes of OpenRouter's.

GET    {base}/keys          newest first, 100 from `offset` on; `include_disabled`, `include_expired`: true or false
POST   {base}/keys          make one: 201, and the only time that the key itself is told
GET    {base}/keys/{hash}
PATCH  {base}/keys/{hash}   change what is named, and nothing else
DELETE {base}/keys/{hash}   for ever, on every worker at once

Keys of the environment are not among them. What has been spent with a key stays in the ledger when it is deleted.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead import clock
from fairlead.access.keys import ApiKey, from_token, generate
from fairlead.access.windows import Spent
from fairlead.admin.key_members import read_changes, read_new
from fairlead.admin.management import ADMIN, ManagementDoor
from fairlead.edge.json_body import json_response, read_object
from fairlead.edge.key import SpentOf
from fairlead.edge.key_view import key_object
from fairlead.errors import ApiError
from fairlead.store.keys import KeyStore, answered

PAGE = 100
_HASH = re.compile(r"[0-9a-f]{64}")
_SWITCH = {"true": True, "1": True, "false": False, "0": False}


def management_routes(
    base: str, door: ManagementDoor, keys: KeyStore, spent: SpentOf, now: Callable[[], float] = clock.wall
) -> list[Route]:
    """Return the routes under `base`; `now` tells Unix seconds."""
    it = _Management(base, door, keys, spent, now)
    whole = it.by_method({"GET": it.list, "HEAD": it.list, "POST": it.create})
    one = it.by_method({"GET": it.show, "HEAD": it.show, "PATCH": it.change, "DELETE": it.delete})
    return [
        Route(f"{base}/keys", whole, methods=["GET", "POST"]),
        Route(f"{base}/keys/", whole, methods=["GET", "POST"]),  # as OpenRouter's own examples have it
        Route(f"{base}/keys/{{hash}}", one, methods=["GET", "PATCH", "DELETE"]),
    ]


_Handler = Callable[[Request, str], Awaitable[Response]]


class _Management:
    """The handlers. Each gets the request, and who sends it: `admin` or the hash of a management key."""

    def __init__(
        self, base: str, door: ManagementDoor, keys: KeyStore, spent: SpentOf, now: Callable[[], float]
    ) -> None:
        self._base = base
        self._door = door
        self._keys = keys
        self._spent = spent
        self._now = now

    def by_method(self, handlers: Mapping[str, _Handler]) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint of a path: behind the door, the handler of the request's method."""

        async def endpoint(request: Request) -> Response:
            who = await self._door.check(request.scope["headers"])
            with answered():
                return await handlers[request.method](request, who)

        return endpoint

    async def list(self, request: Request, _: str) -> Response:
        offset = _offset(request)
        with_disabled, with_expired = _switch(request, "include_disabled"), _switch(request, "include_expired")
        now = self._now()
        listed = [
            key
            for key in reversed(await self._keys.list())
            if (with_disabled or not key.is_disabled) and (with_expired or key.expires is None or now < key.expires)
        ]
        page = listed[offset : offset + PAGE]
        told = await self._spent([key.hash for key in page]) if page else {}
        return json_response({"data": [key_object(key, told[key.hash]) for key in page]})

    async def create(self, request: Request, who: str) -> Response:
        members = await read_object(request)
        if "name" not in members:
            raise ApiError(400, "'name' is missing: say what the key is for", param="name")
        now = self._now()
        wanted = read_new(members, now)
        token = generate()
        creator = "" if who == ADMIN else f"key:{who}"
        key = replace(from_token(token, "", int(now)), creator=creator, **wanted)  # type: ignore[arg-type]
        await self._keys.add(key)
        return json_response({"data": key_object(key, Spent()), "key": token}, 201)

    async def show(self, request: Request, _: str) -> Response:
        digest = self._digest(request)
        return await self._answer(digest, await self._keys.get(digest))

    async def change(self, request: Request, _: str) -> Response:
        digest = self._digest(request)
        changes = read_changes(await read_object(request), self._now())
        return await self._answer(digest, await self._keys.change(digest, changes | {"updated": int(self._now())}))

    async def delete(self, request: Request, _: str) -> Response:
        digest = self._digest(request)
        if not await self._keys.delete(digest):
            raise self._unknown(digest)
        return json_response({"deleted": True})

    async def _answer(self, digest: str, key: ApiKey | None) -> Response:
        if key is None:
            raise self._unknown(digest)
        told = await self._spent([digest])
        return json_response({"data": key_object(key, told[digest])})

    def _digest(self, request: Request) -> str:
        digest: str = request.path_params["hash"]
        if _HASH.fullmatch(digest) is None:
            raise self._unknown(digest)
        return digest

    def _unknown(self, digest: str) -> ApiError:
        text = f"There is no API key with the hash {digest[:64]}: GET {self._base}/keys lists them"
        return ApiError(404, text, error_type="not_found")


def _offset(request: Request) -> int:
    text = request.query_params.get("offset", "0")
    if re.fullmatch(r"[0-9]{1,9}", text) is None:
        raise ApiError(400, f"'offset' is {text[:40]}: it must be a whole number, 0 or more", param="offset")
    return int(text)


def _switch(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false")
    if text.lower() not in _SWITCH:
        raise ApiError(400, f"'{name}' is {text[:40]}: it must be true or false", param=name)
    return _SWITCH[text.lower()]
