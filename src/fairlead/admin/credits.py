"""The routes of credits. All of them want a management key, or the admin key.

GET  {base}/credits            what has been bought and used, as at OpenRouter
POST {base}/credits/coinbase   gone, as at OpenRouter
GET  /admin/v1/credits         the same with the last top-ups, the newest first; `?limit=` (100)
POST /admin/v1/credits         {"amount_usd": 25, "reason": "…", "idempotency_key": "…"}: a top-up, or with a negative
                               amount an adjustment, which may take back more than is left. Answers as the first
                               one, with 201, or 200 where that was done before. The key may also come as the header
                               Idempotency-Key
"""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead.access.iso import iso_utc
from fairlead.access.spend import INSTANCE
from fairlead.access.usd import usd_nanos, usd_of
from fairlead.admin.management import ManagementDoor
from fairlead.edge.json_body import json_response, read_object
from fairlead.edge.key import SpentOf
from fairlead.errors import ApiError
from fairlead.store.credits import CreditStore, OtherAmount, TopUp
from fairlead.store.keys import answered

PATH = "/admin/v1/credits"
PAGE = 100
MOST_PAGE = 1000
MOST_TEXT_CHARS = 200
"""Of a reason, of an idempotency key."""

_MEMBERS = ("amount_usd", "reason", "idempotency_key")
_KEY_FORM = re.compile(rf"[\x21-\x7e]{{1,{MOST_TEXT_CHARS}}}")


def credit_routes(base: str, door: ManagementDoor, credit: CreditStore, spent: SpentOf) -> list[Route]:
    """Return OpenRouter's routes under `base`."""

    async def show(request: Request) -> Response:
        await door.check(request.scope["headers"])
        return json_response({"data": await _totals(credit, spent)})

    async def coinbase(request: Request) -> Response:
        await door.check(request.scope["headers"])
        raise ApiError(410, f"Nothing is sold here. The operator adds credits: POST {PATH}")

    return [
        Route(f"{base}/credits", show, methods=["GET"]),
        Route(f"{base}/credits/coinbase", coinbase, methods=["POST"]),
    ]


def top_up_routes(door: ManagementDoor, credit: CreditStore, spent: SpentOf) -> list[Route]:
    """Return the routes under /admin/v1."""

    async def list_or_add(request: Request) -> Response:
        who = await door.check(request.scope["headers"])
        if request.method != "POST":
            return await _list(request, credit, spent)
        nanos, reason, key = read_top_up(await read_object(request), request.headers.get("idempotency-key"))
        try:
            with answered():
                _, is_new = await credit.add(nanos, reason=reason, id=key, by=who)
        except OtherAmount:
            text = "This idempotency key has been used for another amount. Another top-up needs another key"
            raise ApiError(409, text, param="idempotency_key") from None
        return json_response({"data": await _totals(credit, spent)}, 201 if is_new else 200)

    return [Route(PATH, list_or_add, methods=["GET", "POST"])]


async def _totals(credit: CreditStore, spent: SpentOf) -> dict[str, object]:
    with answered():
        bought = await credit.total()
        used = (await spent([INSTANCE]))[INSTANCE].total
    return {"total_credits": usd_of(bought), "total_usage": usd_of(used)}


async def _list(request: Request, credit: CreditStore, spent: SpentOf) -> Response:
    text = request.query_params.get("limit", str(PAGE))
    if not re.fullmatch("[0-9]{1,4}", text) or not 0 < int(text) <= MOST_PAGE:
        raise ApiError(400, f"limit must be a number from 1 to {MOST_PAGE}", param="limit")
    totals = await _totals(credit, spent)
    with answered():
        found = await credit.last(int(text))
    return json_response({"data": {**totals, "top_ups": [top_up_object(one) for one in found]}})


def read_top_up(body: dict[str, Any], header: str | None) -> tuple[int, str, str]:
    """Return amount (nano-USD), reason and idempotency key of a request. Raises ApiError 400."""
    if unknown := [name for name in body if name not in _MEMBERS]:
        text = f"There is no member {unknown[0][:100]!r} here: send {', '.join(_MEMBERS)}"
        raise ApiError(400, text, param=unknown[0][:100])
    return _amount(body.get("amount_usd")), _reason(body.get("reason")), _key(body.get("idempotency_key"), header)


def _amount(given: Any) -> int:
    if given is None:
        raise ApiError(
            400, "amount_usd is missing: how many USD to add, or below zero to take back", param="amount_usd"
        )
    try:
        amount = usd_nanos(given, can_be_negative=True)
    except ValueError as error:
        raise ApiError(400, f"amount_usd: {error}", param="amount_usd") from None
    if amount == 0:
        raise ApiError(400, "amount_usd comes to nothing", param="amount_usd")
    return amount


def _reason(given: Any) -> str:
    reason = " ".join(given.split()) if isinstance(given, str) else ""
    if not 0 < len(reason) <= MOST_TEXT_CHARS:
        text = f"Say why in reason, in 1 to {MOST_TEXT_CHARS} characters: it stands in the record of top-ups"
        raise ApiError(400, text, param="reason")
    return reason


def _key(given: Any, header: str | None) -> str:
    if given is not None and header is not None and given != header:
        text = "idempotency_key and the header Idempotency-Key differ: send one of them"
        raise ApiError(400, text, param="idempotency_key")
    key = header if given is None else given
    if not isinstance(key, str) or not _KEY_FORM.fullmatch(key):
        text = (
            "Send an idempotency_key, or the header Idempotency-Key, so that the same top-up sent twice counts once:"
            f" any 1 to {MOST_TEXT_CHARS} characters of ASCII without spaces, such as the number of an invoice"
        )
        raise ApiError(400, text, param="idempotency_key")
    return key


def top_up_object(top_up: TopUp) -> dict[str, object]:
    return {
        "at": iso_utc(int(top_up.unix)),
        "amount_usd": usd_of(top_up.usd_nanos),
        "reason": top_up.reason,
        "idempotency_key": top_up.id,
        "by": top_up.by,
    }
