"""Three paths: how a test in another process reads what a simulator saw, and tells it what to do next.

GET    /demo/stats      the counters
GET    /demo/requests   the last hundred requests; bodies and heads in base64
DELETE /demo/requests   forgets them
PUT    /demo/script     {"default": script or null, "queue": [script or null, …]}; a member left out stays as it is
"""

import base64
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import orjson

from fairlead.demo.intake import ReceivedRequest
from fairlead.demo.record import Record
from fairlead.demo.reply import Reply, error, reply_of
from fairlead.demo.script import PLAIN, Script, script_of

SHOWN_REQUESTS: Final = 100

Direct = Callable[[Script | None, Sequence[Script] | None], None]
"""Takes the new default and the new queue; `None` leaves one as it is."""


_PATHS: Final = frozenset({"/demo/stats", "/demo/requests", "/demo/script"})


def is_for_provider(request: ReceivedRequest) -> bool:
    """Whether a request is to the provider that is simulated, not about the simulator."""
    return request.path not in _PATHS


def control(request: ReceivedRequest, record: Record, direct: Direct, *, name: str) -> Reply:
    """Do what a request asks for that is not for the provider."""
    match request.method, request.path:
        case "GET", "/demo/stats":
            return reply_of(orjson.dumps({"name": name} | record.counters()))
        case "GET", "/demo/requests":
            return reply_of(_listed(list(record.requests)[-SHOWN_REQUESTS:]))
        case "DELETE", "/demo/requests":
            record.forget()
            return reply_of(b"{}")
        case "PUT", "/demo/script":
            return _directed(request, direct)
        case method, path:
            return error(405, f"{method} {path} is not served", code="method_not_allowed")


def _listed(requests: Iterable[ReceivedRequest]) -> bytes:
    listed = [
        {
            "method": request.method,
            "target": request.target,
            "headers": [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers],
            "head": base64.b64encode(request.head).decode(),
            "body": base64.b64encode(request.body).decode(),
        }
        for request in requests
    ]
    return orjson.dumps({"requests": listed})


def _directed(request: ReceivedRequest, direct: Direct) -> Reply:
    try:
        members = request.json()
        if not isinstance(members, dict) or set(members) - {"default", "queue"}:
            raise ValueError('the body must be an object of "default" and "queue"')
        direct(*_directions(members))
    except ValueError as wrong:  # orjson's error is one
        return error(400, str(wrong))
    return reply_of(b"{}")


def _directions(members: dict[str, object]) -> tuple[Script | None, list[Script] | None]:
    default = _script_or_plain(members["default"]) if "default" in members else None
    if "queue" not in members:
        return default, None
    queue = members["queue"]
    if not isinstance(queue, list):
        raise ValueError("the queue must be a list of scripts")
    scripts = [_script_or_plain(item) for item in queue]
    if any(script.refuse for script in scripts):
        raise ValueError("refuse is for a server's default script")
    return default, scripts


def _script_or_plain(members: object) -> Script:
    return PLAIN if members is None else script_of(members)
