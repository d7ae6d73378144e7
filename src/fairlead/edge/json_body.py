"""Small JSON bodies of the routes that are not hot: a bounded object in, a value out."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any, cast

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response

from fairlead.edge.body import read_body
from fairlead.edge.downstream import Receive
from fairlead.errors import ApiError, ClientGone

MOST_BYTES = 65_536


_MOST_WHOLE = 10**18
"""More than any limit here; a number with an exponent of a billion would fill the memory as a whole one."""


def _number(text: str) -> Decimal | int:
    """Return a number with a point or an exponent; `60.0` is the whole number that it is in JSON Schema."""
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent of twenty digits
        return Decimal("NaN")
    if abs(number) <= _MOST_WHOLE and number == int(number):
        return int(number)
    return number


_DECODER = msgspec.json.Decoder(float_hook=_number)
_NO_NUMBER = re.compile(rb'"([a-z_]{1,40})"[ \t\n\r]*:[ \t\n\r]*(-?(?:NaN|Infinity))')


async def read_object(request: Request) -> dict[str, Any]:
    """Return the JSON object that is the request's body; numbers with a fraction are Decimals, and so exact;
    `60.0` has none.

    Raises ApiError: 413 for a body of more than MOST_BYTES, 400 for anything but an object.
    """
    try:
        receive = cast(Receive, request.receive)
        body = await read_body(receive, dict(reversed(request.scope["headers"])), MOST_BYTES)
    except ApiError as error:
        text = f"The request body is larger than {MOST_BYTES} bytes, the most that is read here"
        raise ApiError(413, text, error_type=error.error_type, headers=error.headers) from None
    except ClientGone:
        raise ApiError(499, "The caller left before the end of its body") from None
    try:
        value = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if (found := _NO_NUMBER.search(body)) is not None:
            member, number = found[1].decode(), found[2].decode()
            text = f"'{member}' is {number}, which JSON does not have: send a number, or null"
            raise ApiError(400, text, param=member) from None
        raise ApiError(400, f"The request body is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ApiError(400, 'The request body must be a JSON object, such as {"name": "web"}')
    return value


def json_response(value: object, status: int = 200) -> Response:
    """Return a reply that no proxy keeps: it is for one caller, at one time."""
    return Response(orjson.dumps(value), status, {"cache-control": "no-store"}, "application/json")
