"""All that processes of the suite have shown is looked through for credentials; one that is found fails the session.

Looked through are what they print, the errors that they answer with, /metrics and what else needs no key, the arguments
of their processes, and the files of the embedded store. Every key that begins with `sk-` is found, whosesoever it is.
Credentials of another form are found in what the process shows that was given them.
"""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from fairlead.access.keys import DEMO_KEY

places = []
"""Where something was found, as text."""

_KEY = re.compile(r"(?<![\w-])sk-[\w-]{8,}+(?!…|\\u2026|\\xe2\\x80\\xa6)", re.ASCII)
"""What is cut short by a … is a label. Fewer characters than that are an example, or no secret."""
_CREDENTIAL = re.compile(r"(API_KEYS?|ADMIN_KEY|TOKEN|SECRET)$|__HEADERS__")
_LEAST_CHARS = 12
"""Of a credential that does not begin with `sk-`: shorter ones stand in words and paths."""
_ANNOUNCED = re.compile(r"key +(\S+) +\((?:new; )?shown only this once\)")
_SUMMARY_ENDS = "    -d "


def credentials(environment):
    """The values that must not be shown, of variables whose names say so and of the user parts of URLs."""
    found = set()
    for name, value in environment.items():
        if _CREDENTIAL.search(name):
            found.update(value.split(","))
        elif "://" in value and "@" in value:
            found.update(unquote(part) for part in (urlsplit(value).username, urlsplit(value).password) if part)
    return {secret for secret in found if len(secret) >= _LEAST_CHARS and not _KEY.fullmatch(secret)}


def look_through(place, text, secrets=()):
    """Note the `place` if `text` shows a key of any form that is ours, or one of `secrets`."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    found = {match[0] for match in _KEY.finditer(text)} - {DEMO_KEY}
    found |= {secret for secret in secrets if secret in text}
    places.extend(f"{place}: {_around(text, secret)}" for secret in sorted(found))


def look_through_output(place, text, secrets=()):
    """As `look_through`; but a start-up summary may tell the keys that this start has made."""
    summary, end, rest = text.partition(_SUMMARY_ENDS)
    if end:
        for key in _ANNOUNCED.findall(summary):
            summary = summary.replace(key, "")
    look_through(place, summary + end + rest, secrets)


def look_through_files(directory, secrets=()):
    """The embedded store's files. Beside them there is the admin key, which has its place there."""
    for path in Path(directory, "store").rglob("*"):
        if path.is_file():
            look_through(path, path.read_bytes(), secrets)


def look_through_answer(place, status, body):
    """An answer of a gateway, if it is an error: others may make a key, and tell it."""
    if status >= 400:
        look_through(f"{place}, status {status}", body)


def _around(text, secret):
    """Enough of the text to find the place, without the secret."""
    at = text.index(secret)
    return repr(text[max(0, at - 60) : at] + f"<{secret[:6]}…>" + text[at + len(secret) :][:30])


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # of one of several processes that share the tests: the first of them tells for all
        output["shown"] = list(places)
    elif places:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    places.extend(getattr(node, "workeroutput", {}).get("shown", []))


def pytest_terminal_summary(terminalreporter):
    if places:
        terminalreporter.section("credentials were shown", red=True)
        for place in places:
            terminalreporter.line(place)
