"""The guarded HTTP protocol beside uvicorn's own: one request of 1 KB in, an empty reply out, no socket between."""

import asyncio
from collections.abc import Sequence
from typing import Any

import uvloop
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from bench.micro.timing import Case
from bench.micro.wire import Wire
from bench.request import build_request, chat_body
from fairlead.edge.limits import Limits
from fairlead.edge.protocol import guarded_protocol

_REQUESTS = 200


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def _case(name: str, protocol_class: type[HttpToolsProtocol]) -> Case:
    loop = uvloop.new_event_loop()
    config = Config(_app, loop="uvloop", access_log=False, proxy_headers=False, lifespan="off", log_config=None)
    config.load()
    payload = build_request("http://127.0.0.1:80/v1/chat/completions", {}, chat_body()).payload

    async def serve() -> None:
        protocol = protocol_class(config, ServerState(), {}, asyncio.get_running_loop())
        protocol.connection_made(Wire(lambda _: None))
        for _ in range(_REQUESTS):
            protocol.data_received(payload)
            await asyncio.sleep(0)
        protocol.connection_lost(None)

    return Case(name, lambda: loop.run_until_complete(serve()), units=_REQUESTS)


def cases() -> Sequence[Case]:
    """uvicorn's, then ours."""
    return [
        _case("uvicorn's protocol, per request", HttpToolsProtocol),
        _case("guarded protocol, per request", guarded_protocol(Limits())),
    ]
