"""Who tries out keys has to wait, and nobody else has to.

A gateway of its own, since each worker remembers guesses. Callers come from different addresses, as a proxy in front
would tell it: loopback is trusted to.
"""

import itertools
import re
from urllib.parse import urlencode

import pytest

from fairlead.access.keys import generate

from .conftest import CALM
from .framing import BODY
from .raw import ADMIN_KEY, KEY, ask, get, head, sized
from .upstream import upstream_body

ENOUGH = 40
"""Refusals of a guess; that one of two workers has had fewer than eleven guesses by then has a chance of 10^-7."""
MOST_GUESSES = 150
WRONG_ADMIN_KEYS = (f"guess-{number:06}" for number in itertools.count())

NO_KEY = {
    # what is sent in place of a key, and the status
    "nothing": ([], 401),
    "an empty one": (["Authorization:"], 401),
    "Bearer alone": (["Authorization: Bearer"], 401),
    "Bearer and space": (["Authorization: Bearer   "], 401),
    "another scheme": ([f"Authorization: Basic {KEY}"], 401),
    "no scheme": ([f"Authorization: {KEY}"], 401),
    "two schemes": ([f"Authorization: Bearer Bearer {KEY}"], 401),
    "in capitals": ([f"Authorization: Bearer {KEY.upper()}"], 401),
    "something before it": ([f"Authorization: Bearer x{KEY}"], 401),
    "something behind it": ([f"Authorization: Bearer {KEY}x"], 401),
    "one character less": ([f"Authorization: Bearer {KEY[:-1]}"], 401),
    "in quotes": ([f'Authorization: Bearer "{KEY}"'], 401),
    "a list": ([f"Authorization: Bearer {KEY}, Bearer {KEY}"], 401),
    "a pattern": (["Authorization: Bearer sk-*"], 401),
    "beyond ASCII": (["Authorization: Bearer \xe9\xff\x85"], 401),
    "NUL in it": ([f"Authorization: Bearer {KEY}\x00"], 400),
    "very long": (["Authorization: Bearer " + "x" * 60_000], 401),
    "in the query": ([], 401),
    "in a cookie": ([f"Cookie: Authorization=Bearer {KEY}; api_key={KEY}"], 401),
    "for the proxy": ([f"Proxy-Authorization: Bearer {KEY}"], 401),
    "wrong in one place, right in another": (["Authorization: Bearer wrong", f"X-Api-Key: {KEY}"], 401),
    "wrong first, right second": (["Authorization: Bearer wrong", f"Authorization: Bearer {KEY}"], 401),
    "one of ours that was never made": ([f"Authorization: Bearer {generate()}"], 401),
    "one of ours, mistyped": ([f"Authorization: Bearer {generate()[:-1]}x"], 401),
    "the admin's": ([f"Authorization: Bearer {ADMIN_KEY}"], 401),
}


@pytest.fixture(scope="module")
def guarded(new_gateway):
    with new_gateway("guarded", **CALM) as gateway:
        yield gateway


@pytest.fixture
def gateway(guarded):
    return guarded


def forwarded(address):
    return f"X-Forwarded-For: {address}"


def guess(gateway, address, request_of):
    """Try wrong keys on fresh connections, until each worker will hear no more of it."""
    held = 0
    for _ in range(MOST_GUESSES):
        reply = ask(gateway, request_of(forwarded(address() if callable(address) else address)))
        assert reply.status in (401, 429)
        if reply.status == 429:
            assert int(reply.headers["retry-after"]) >= 1
            held += 1
        if held == ENOUGH:
            return
    raise AssertionError("one may go on and on")


def chat(address, key=KEY):
    return sized(BODY, address, key=key)


@pytest.mark.parametrize("name", NO_KEY)
def test_what_is_no_key_opens_nothing(gateway, lab, name):
    fields, status = NO_KEY[name]
    where = forwarded(f"192.0.2.{list(NO_KEY).index(name) + 1}")
    query = f"?api_key={KEY}&key={KEY}&access_token={KEY}" if name == "in the query" else ""
    begun = head(f"Content-Length: {len(BODY)}", where, *fields, key=None, path=f"/v1/chat/completions{query}")
    reply = ask(gateway, begun + BODY)
    assert reply.status == status
    assert KEY.encode() not in reply.body
    assert lab.requests == []
    if status == 401:
        assert reply.headers["www-authenticate"] == 'Bearer realm="fairlead"'
        assert ask(gateway, get("/v1/key", where, *fields)).status == 401
        opened = ask(gateway, get("/admin/v1/endpoints", where, *fields)).status
        assert opened == 200 if name == "the admin's" else opened in (401, 403)


def test_who_tries_keys_of_callers_has_to_wait_and_nobody_else(gateway, lab):
    guess(gateway, "203.0.113.1", lambda where: chat(where, generate()))
    for _ in range(6):
        assert ask(gateway, chat(forwarded("203.0.113.2"), generate())).status == 401
        assert ask(gateway, chat(forwarded("203.0.113.2"))).status == 200
        assert ask(gateway, chat(forwarded("203.0.113.1"))).status == 200, "a good key works from there as well"
        assert ask(gateway, get("/v1/models", forwarded("203.0.113.1"), key=KEY)).status == 200
        assert ask(gateway, get("/v1/key", forwarded("203.0.113.1"), key=KEY)).status == 200
        assert ask(gateway, get("/v1/models", forwarded("203.0.113.1"))).status == 200
    assert [request.body for request in lab.requests] == [upstream_body(BODY)] * 12


@pytest.mark.parametrize(
    "request_of",
    [
        lambda where: get("/admin/v1/endpoints", where, key=next(WRONG_ADMIN_KEYS)),
        lambda where: get("/%61dmin/v1/endpoints?x", where, key=next(WRONG_ADMIN_KEYS)),
        lambda where: get("/v1/keys", where, key=next(WRONG_ADMIN_KEYS)),
        lambda where: get("/v1/models/lab/m/endpoints", where, key=next(WRONG_ADMIN_KEYS)),
        lambda where: get("/v1/key", where, f"X-Api-Key: {next(WRONG_ADMIN_KEYS)}"),
        lambda where: get("/v1/credits", where, key=next(WRONG_ADMIN_KEYS)),
    ],
    ids=["administration", "another spelling", "keys", "a list", "another field", "credits"],
)
def test_who_tries_keys_that_people_have_chosen_has_to_wait(gateway, lab, request, request_of):
    address = f"198.51.100.{len(request.node.name)}"
    guess(gateway, address, request_of)
    for _ in range(3):
        assert ask(gateway, get("/admin/v1/endpoints", forwarded(address), key=ADMIN_KEY)).status == 429
        assert ask(gateway, get("/admin/v1/endpoints", forwarded("198.51.100.9"), key=ADMIN_KEY)).status == 200


@pytest.mark.parametrize(
    "addresses",
    [
        lambda numbers: lambda: f"10.9.8.{next(numbers) % 250}, 203.0.113.3",
        lambda numbers: lambda: f"junk {next(numbers)}, 203.0.113.4",
        lambda numbers: lambda: f"2001:db8:1:2::{next(numbers):x}",
        lambda numbers: lambda: f"[2001:db8:1:3::{next(numbers):x}]:{1000 + next(numbers)}",
        lambda numbers: lambda: f"::ffff:203.0.113.5%{next(numbers)}",
        lambda numbers: lambda: ("::ffff:203.0.113.6", "203.0.113.6")[next(numbers) % 2],
    ],
    ids=["other words before it", "nonsense before it", "one network", "with ports", "with zones", "two spellings"],
)
def test_nobody_has_many_addresses(gateway, lab, addresses):
    address = addresses(itertools.count(1))
    guess(gateway, address, lambda where: chat(where, generate()))
    assert ask(gateway, chat(forwarded("203.0.113.200"), generate())).status == 401


def test_who_tries_keys_in_the_form_of_consent_has_to_wait(gateway, lab):
    page = ask(gateway, get("/auth?callback_url=https://app.example/", forwarded("203.0.113.7")))
    ticket = re.search(rb'name="ticket" value="([^"]+)"', page.body)[1].decode()
    cookie = page.headers["set-cookie"].partition(";")[0]
    own = ("Sec-Fetch-Site: same-origin", f"Cookie: {cookie}", "Content-Type: application/x-www-form-urlencoded")

    def form(where, key, path="/auth"):
        fields = {"ticket": ticket, "decision": "approve", "key": key}
        return sized(urlencode(fields).encode(), where, *own, path=path, key=None)

    guess(gateway, "203.0.113.7", lambda where: form(where, next(WRONG_ADMIN_KEYS)))
    assert ask(gateway, form(forwarded("203.0.113.7"), ADMIN_KEY)).status == 429
    assert ask(gateway, form(forwarded("203.0.113.7"), ADMIN_KEY, "/auth%0a")).status == 404
    assert ask(gateway, form(forwarded("203.0.113.8"), ADMIN_KEY)).status == 200
