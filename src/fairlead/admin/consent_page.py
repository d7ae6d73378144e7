"""The consent pages: HTML that needs no script, with every value escaped."""

import base64
import hashlib
import html
import re
from pathlib import Path
from string import Template

from fairlead.access.iso import iso_utc
from fairlead.access.key_request import KeyRequest
from fairlead.access.keys import Reset
from fairlead.access.usd import usd_text

_PER: dict[Reset | None, str] = {
    None: "in all",
    "daily": "a day (UTC)",
    "weekly": "a week (from Monday, UTC)",
    "monthly": "a month (UTC)",
}
_ANSWER = Template("<h1>$title</h1>\n<p>$text</p>\n$more")


class _Markup(str):
    """HTML already."""

    __slots__ = ()


class ConsentPages:
    """Makes the pages. `policy` is the Content-Security-Policy to send them with: one style sheet, nothing else.

    They are sent to the gateway's own `/auth` and cannot be framed. `form-action` also holds for wherever the answer
    to a form redirects to, and on to (Chromium 156), so that no answer to it is a redirect.
    """

    def __init__(self) -> None:
        page, form = (_read(name) for name in ("consent.html", "consent_form.html"))
        self._page, self._form = Template(page), Template(form)
        (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self.policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'"
        )

    def ask(self, request: KeyRequest, ticket: str, problem: str = "") -> bytes:
        """The question; `problem` is what was wrong with the last answer to it."""
        main = _fill(
            self._form,
            who=request.origin or "An app",
            warning=_warning(request),
            name=request.name or request.origin or "(none)",
            limit=_limit(request),
            expiry=iso_utc(request.expires) if request.expires else "it is deleted",
            callback=request.callback or "you: a code is shown, which you copy into the app",
            problem=_fill(Template('<p role="alert">$problem</p>'), problem=problem) if problem else "",
            ticket=ticket,
        )
        return self._whole("An app asks for an API key", main)

    def going(self, title: str, text: str, url: str, origin: str) -> bytes:
        """The answer for an app with a callback; the link is for browsers that do not go there by themselves."""
        link = _fill(Template('<p><a href="$url">On to $origin</a></p>'), url=url, origin=origin)
        return self._answer(title, text, link)

    def code(self, code: str) -> bytes:
        text = "Copy this code into the app. It works once, within 10 minutes."
        return self._answer("Approved", text, _fill(Template("<p><code>$code</code></p>"), code=code))

    def told(self, title: str, text: str) -> bytes:
        """An end without anything more to do."""
        return self._answer(title, text, _Markup())

    def _answer(self, title: str, text: str, more: _Markup) -> bytes:
        return self._whole(title, _fill(_ANSWER, title=title, text=text, more=more))

    def _whole(self, title: str, main: _Markup) -> bytes:
        return _fill(self._page, title=f"{title} · fairlead", main=main).encode()


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _fill(template: Template, **values: str) -> _Markup:
    """Put values into a template: text is escaped, for elements and quoted attributes alike."""
    escaped = {name: value if isinstance(value, _Markup) else html.escape(value) for name, value in values.items()}
    return _Markup(template.substitute(escaped))


def _warning(request: KeyRequest) -> str:
    if request.callback is None:
        return "Nobody knows which app it is. Approve only what you have begun yourself, a moment ago."
    if request.callback[:5].lower() == "http:":
        return "It is a program on the computer in front of you. Approve only what you have begun yourself."
    return "Approve only if you know this address and have come from there."


def _limit(request: KeyRequest) -> str:
    if request.limit_usd_nanos is None:
        return "as much as this gateway allows: the app asks for no limit"
    return f"{usd_text(request.limit_usd_nanos)} USD {_PER[request.limit_reset]}"
