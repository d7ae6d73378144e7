"""What a caller may know of its own key: limits, and what has been spent with it.

GET {base}/key        as at OpenRouter
GET {base}/auth/key   the same, as its older clients ask for it
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead import clock
from fairlead.access.admit import check_alive, token_of
from fairlead.access.windows import Spent
from fairlead.edge.json_body import json_response
from fairlead.edge.key_view import current_key_object
from fairlead.store.keys import KeyRing, answered

SpentOf = Callable[[Sequence[str]], Awaitable[Mapping[str, Spent]]]
"""Return what accounts, by hash of the key, have spent; raises RedisError."""


def key_routes(base: str, keys: KeyRing, spent: SpentOf, now: Callable[[], float] = clock.wall) -> list[Route]:
    """Return the routes under `base`; `now` tells Unix seconds. A management key may ask about itself too."""

    async def show_key(request: Request) -> Response:
        token = token_of(dict(reversed(request.scope["headers"])))
        key = keys.find(token) or await keys.look_up(token)
        check_alive(key, now())
        with answered():
            told = await spent([key.hash])
        return json_response({"data": current_key_object(key, told[key.hash], now())})

    return [Route(f"{base}/{path}", show_key, methods=["GET"]) for path in ("key", "auth/key")]
