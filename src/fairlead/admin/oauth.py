"""OAuth with PKCE for apps: a code is made for what they ask, and becomes a key (OpenRouter's /auth/keys).

POST {base}/auth/keys/code   begins where no browser can, with a management key: `id` in the answer is the code
POST {base}/auth/keys        code and verifier → key; no key is needed to ask

The other way to begin is the consent page (consent.py).
"""

import zlib
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead import clock
from fairlead.access import key_request
from fairlead.access.iso import iso_utc
from fairlead.access.key_request import KeyRequest, refuse_code
from fairlead.access.keys import generate
from fairlead.access.pkce import is_code, new_code, read_method
from fairlead.admin.management import ManagementDoor
from fairlead.edge.json_body import json_response, read_object
from fairlead.errors import ApiError
from fairlead.store.keys import KeyStore, answered
from fairlead.store.oauth import CodeStore
from fairlead.telemetry.log import Logger


def oauth_routes(base: str, door: ManagementDoor, keys: KeyStore, codes: CodeStore, log: Logger) -> list[Route]:
    """Return the routes of the API under `base`."""

    async def begin(request: Request) -> Response:
        by = await door.check(request.scope["headers"])
        now = clock.wall()
        members = await read_object(request)
        if not members.get("callback_url"):
            raise ApiError(400, "callback_url is missing", param="callback_url")
        asked = key_request.read(members, now)
        code = await new_code_for(asked, codes, log, by)
        # OpenRouter numbers apps; all that tells one from another here is where it is.
        app_id = zlib.crc32(asked.origin.encode())
        return json_response({"data": {"id": code, "app_id": app_id, "created_at": iso_utc(int(now))}})

    async def finish(request: Request) -> Response:
        members = await read_object(request)
        code, verifier, method = (_text(members, name) for name in ("code", "code_verifier", "code_challenge_method"))
        if not code:
            raise ApiError(400, "code is missing", param="code")
        read_method(method)
        if not is_code(code):
            raise refuse_code()
        with answered():
            taken = await codes.take(code)
        if taken is None:
            raise refuse_code()
        taken.request.check_proof(verifier, method)
        if taken.is_expired:
            raise ApiError(403, "Authorization code expired", error_type="permission_denied")
        token = generate()
        key = taken.request.key(token, clock.wall())
        with answered():
            await keys.add(key)
        log.info("key made for an app", key=key.label, name=key.name, creator=key.creator)
        return json_response({"key": token, "user_id": None})

    return [
        Route(f"{base}/auth/keys", finish, methods=["POST"]),
        Route(f"{base}/auth/keys/code", begin, methods=["POST"]),
    ]


async def new_code_for(asked: KeyRequest, codes: CodeStore, log: Logger, by: str) -> str:
    """Keep what `by` has approved, and return the code for it. Raises ApiError 409 or 503."""
    code = new_code()
    with answered():
        if not await codes.add(code, asked):  # the client of the store asked twice, and the first time was heard
            raise ApiError(409, "The code exists already. Try again", error_type="invalid_request")
    log.info("code made for an app", origin=asked.origin, name=asked.name, by=by)
    return code


def _text(members: Mapping[str, object], name: str) -> str | None:
    value = members.get(name)
    if value is not None and not isinstance(value, str):
        raise ApiError(400, f"{name} must be a string", param=name)
    return value
