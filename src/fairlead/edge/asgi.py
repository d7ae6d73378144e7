"""The ASGI callable: hot paths by one look-up in a dict, everything else to Starlette."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fairlead import clock
from fairlead.access.admit import token_of
from fairlead.edge.brake import Brake
from fairlead.edge.downstream import Message, Receive, Scope, Send
from fairlead.errors import ApiError
from fairlead.wire.errors import error_body

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
Lifespan = Callable[[Starlette], Any]

CONSENT = "/auth"
BASES = ("/v1", "/api/v1", "/openai/v1")
"""Of OpenAI's clients, OpenRouter's and GateRouter's: the same handlers under each."""


class App:
    """`hot` maps a path to the handler of its POST; `routes` are Starlette's.

    `brake` slows down who guesses keys, but for the good ones of `is_callers`: keys for inference that are known here.
    """

    def __init__(
        self,
        hot: Mapping[str, Handler],
        routes: Sequence[BaseRoute],
        lifespan: Lifespan,
        brake: Brake | None = None,
        is_callers: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        self._hot = hot
        self._brake = brake
        self._is_callers = is_callers
        self._cold = Starlette(
            routes=routes,
            lifespan=lifespan,
            exception_handlers={HTTPException: self._refuse, ApiError: _answer_api_error, Exception: _answer_fault},
        )
        self._cold.router.redirect_slashes = False

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and scope["method"] == "POST":
            handler = self._hot.get(scope["path"])
            if handler is not None:
                return handler(scope, receive, send)
        if scope["type"] == "http" and scope["path"].endswith("\n"):  # Starlette's patterns end with $, before it
            return _response(_no_page(scope["path"]))(scope, receive, send)  # type: ignore[arg-type]  # as below
        if self._brake is not None and scope["type"] == "http" and self._may_be_guessed(scope):
            return self._guarded(self._brake, scope, receive, send)
        return self._cold(scope, receive, send)  # type: ignore[arg-type]  # Starlette types messages more narrowly

    def _may_be_guessed(self, scope: Scope) -> bool:
        """Whether a request shows a key, in a header or in the form that asks for one, that may be a guess."""
        if scope["method"] == "POST" and scope["path"] == CONSENT:
            return True
        if not any(name in (b"authorization", b"x-api-key") for name, _ in scope["headers"]):
            return False
        try:
            return not self._is_callers(token_of(dict(reversed(scope["headers"]))))
        except ApiError:
            return True

    async def _guarded(self, brake: Brake, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with a key that may be guessed, and count it if the key is refused."""
        address = brake.address_of(scope)
        try:
            brake.check(address, clock.monotonic())
        except ApiError as refusal:
            await _response(refusal)(scope, receive, send)  # type: ignore[arg-type]  # as above
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                brake.refused(address, clock.monotonic())
            await send(message)

        await self._cold(scope, receive, watched)  # type: ignore[arg-type]  # as above

    async def _refuse(self, request: Request, fault: Exception) -> Response:
        """Answer what Starlette has no route for."""
        assert isinstance(fault, HTTPException)
        path = request.scope["path"]  # as it was routed; `request.url` drops what no URL may contain
        headers = dict(fault.headers or {})
        if fault.status_code == 405 or path in self._hot:
            allowed = "POST" if path in self._hot else headers.get("Allow", "GET")
            text = f"{request.method} is not allowed on {path}: use {allowed}"
            return _response(ApiError(405, text, error_type="invalid_request", headers={"allow": allowed}))
        if fault.status_code == 404:
            return _response(_no_page(path))
        return _response(ApiError(fault.status_code, str(fault.detail), headers=headers))


def _no_page(path: str) -> ApiError:
    text = (
        f"404 page not found: {path}. The API is under {', '.join(BASES)}; "
        f"for example POST {BASES[0]}/chat/completions, GET {BASES[0]}/models"
    )
    return ApiError(404, text, error_type="not_found")


async def _answer_api_error(_: Request, fault: Exception) -> Response:
    assert isinstance(fault, ApiError)
    return _response(fault)


async def _answer_fault(_: Request, __: Exception) -> Response:
    return _response(ApiError(500, "Internal error", error_type="server"))


def _response(error: ApiError) -> Response:
    return Response(error_body(error), error.status, dict(error.headers), "application/json")
