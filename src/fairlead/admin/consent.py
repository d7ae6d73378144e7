"""The consent page: whoever has a management key says whether an app gets a key (OpenRouter's /auth).

GET /auth    shows what an app asks for, and asks for a management key
POST /auth   takes the answer, and sends the browser back to the app, with a code or with `error=access_denied`

There are no accounts and no session here: a form without a management key in it changes nothing, whoever made the
browser send it. That a form comes from our page, in this browser, with what it showed, is checked all the same: by the
ticket (access/ticket.py), its nonce in a SameSite cookie, and where the browser says that the form comes from.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead import clock
from fairlead.access import key_request, ticket
from fairlead.access.key_request import KeyRequest
from fairlead.access.pkce import answer_url
from fairlead.admin.consent_page import ConsentPages
from fairlead.admin.management import REMEDY, ManagementDoor
from fairlead.admin.oauth import new_code_for
from fairlead.edge.forwarded import Network, is_trusted
from fairlead.errors import ApiError
from fairlead.store.keys import answered
from fairlead.store.oauth import CodeStore
from fairlead.telemetry.log import Logger

PATH = "/auth"
COOKIE = "fairlead-consent"
MAX_FORM_BYTES = 16_384
"""Twice what the ticket of the longest callback fills."""

Brake = Callable[[str], Awaitable[None]]
"""Called with a client's address before a key of its is checked; raises ApiError 429 when there were too many."""


def consent_routes(
    door: ManagementDoor,
    codes: CodeStore,
    log: Logger,
    brake: Brake | None = None,
    trusted: Sequence[Network] = (),
) -> list[Route]:
    """Return the routes. `trusted`: the proxies that know how the browser speaks to them."""
    consent = Consent(door, codes, log, brake, trusted)

    async def show_or_answer(request: Request) -> Response:
        return await (consent.answer if request.method == "POST" else consent.show)(request)

    return [Route(PATH, show_or_answer, methods=["GET", "POST"])]


class Consent:
    """Both ends of the form."""

    def __init__(
        self, door: ManagementDoor, codes: CodeStore, log: Logger, brake: Brake | None, trusted: Sequence[Network]
    ) -> None:
        self._door = door
        self._codes = codes
        self._log = log
        self._brake = brake
        self._trusted = trusted
        self._pages = ConsentPages()

    async def show(self, request: Request) -> Response:
        try:
            asked = key_request.read(_once_each(request.scope["query_string"]), clock.wall())
            nonce = request.cookies.get(COOKIE, "")
            if not ticket.is_nonce(nonce):
                nonce = ticket.new_nonce()
            with answered():
                secret = await self._codes.secret()
        except ApiError as refusal:
            return self._refused(refusal)
        page = self._pages.ask(asked, ticket.seal(secret, asked.packed(), nonce, clock.wall()))
        # Without a referrer no browser would say where the form comes from: not even we would be told.
        reply = self._page(page, headers={"referrer-policy": "same-origin"})
        is_secure = "https" in (request.scope["scheme"], self._forwarded(request, "proto"))
        reply.set_cookie(COOKIE, nonce, ticket.LIFE_S, path=PATH, secure=is_secure, httponly=True, samesite="lax")
        return reply

    async def answer(self, request: Request) -> Response:
        try:
            if not _is_from_here(request.headers, self._forwarded(request, "host")):
                text = "This form was sent by another page. Go back to the app and begin again there"
                raise ApiError(403, text, error_type="permission_denied")
            form = _once_each(await _form(request))
            with answered():
                secret = await self._codes.secret()
            nonce = request.cookies.get(COOKIE, "")
            asked = key_request.unpack(ticket.unseal(secret, form.get("ticket", ""), nonce, clock.wall()))
        except ApiError as refusal:
            return self._refused(refusal)
        if form.get("decision") == "approve":
            return await self._approve(request, asked, form)
        return self._denied(asked)

    def _forwarded(self, request: Request, what: str) -> str | None:
        """Return what a trusted proxy says of the browser's side, as X-Forwarded-Host or -Proto."""
        peer = request.client.host if request.client else ""
        return request.headers.get(f"x-forwarded-{what}") if is_trusted(peer, self._trusted) else None

    async def _approve(self, request: Request, asked: KeyRequest, form: Mapping[str, str]) -> Response:
        try:
            by = await self._check(request, form.get("key", ""))
            code = await new_code_for(asked, self._codes, self._log, by)
        except ApiError as refusal:
            page = self._pages.ask(asked, form["ticket"], refusal.message)
            return self._page(page, refusal.status, {**refusal.headers, "referrer-policy": "same-origin"})
        if asked.callback is None:
            return self._page(self._pages.code(code))
        return self._go("Approved", "The app gets its key now.", answer_url(asked.callback, code=code), asked)

    async def _check(self, request: Request, key: str) -> str:
        """Return whose key it is. Raises ApiError: 429 from the brake, and whatever the door says."""
        if not key.strip():
            raise ApiError(401, f"There was no key: {REMEDY}", error_type="authentication")
        if self._brake is not None:
            await self._brake(request.client.host if request.client else "")
        return await self._door.check([(b"authorization", b"Bearer " + key.strip().encode())])

    def _denied(self, asked: KeyRequest) -> Response:
        if asked.callback is None:
            return self._page(self._pages.told("Denied", "No key was made. You can close this page."))
        return self._go("Denied", "No key was made.", answer_url(asked.callback, error="access_denied"), asked)

    def _go(self, title: str, text: str, url: str, asked: KeyRequest) -> Response:
        """Send the browser on. By a redirect it would refuse to go, or to go on from there: see ConsentPages."""
        return self._page(self._pages.going(title, text, url, asked.origin), headers={"refresh": f"0;url={url}"})

    def _refused(self, refusal: ApiError) -> Response:
        page = self._pages.told("This cannot be granted", refusal.message)
        return self._page(page, refusal.status, refusal.headers)

    def _page(self, page: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        safe = {
            "cache-control": "no-store",
            "content-security-policy": self._pages.policy,
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
        }
        return Response(page, status, {**safe, **(headers or {})}, "text/html")


async def _form(request: Request) -> bytes:
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MAX_FORM_BYTES:
                text = f"The form is larger than {MAX_FORM_BYTES} bytes"
                raise ApiError(413, text, error_type="payload_too_large", headers={"connection": "close"})
    except ClientDisconnect:
        raise ApiError(499, "The form ends early") from None  # which nobody is there to read
    return bytes(body)


def _once_each(encoded: bytes) -> dict[str, str]:
    """Return a query's or a form's fields. Raises ApiError 400 if it has one twice: which of them would hold?"""
    try:
        pairs = parse_qsl(encoded.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise ApiError(400, "The fields sent are not URL-encoded UTF-8, or too many") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ApiError(400, f"{twice[:100]} is given twice")
    return fields


def _is_from_here(headers: Mapping[str, str], forwarded_host: str | None) -> bool:
    """Whether the browser says that a form comes from a page of ours, which is known as `forwarded_host` or `Host`.

    `Sec-Fetch-Site` is beyond the reach of any page, and holds behind a proxy that changes `Host`; browsers send it
    over HTTPS and to localhost.
    """
    if (site := headers.get("sec-fetch-site")) is not None:
        return site == "same-origin"
    source = headers.get("origin") or headers.get("referer")
    if not source:
        return False
    try:
        return urlsplit(source).netloc in (forwarded_host or headers.get("host"), headers.get("host"))
    except ValueError:
        return False
