"""Every fault of the matrix, by stream and not, with another provider behind it and without."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fairlead import clock
from fairlead.drill.expect import Seen, wrongs
from fairlead.drill.faults import FAULTS, WAYS
from harness import shown
from harness.process import PATIENCE_S, until

from . import table
from .conftest import KEY, ROWS, other_of, slug_of

PARAMETERS = [pytest.param(number, fault, id=fault.name) for number, fault in enumerate(FAULTS)]
AT_ONCE = 8
"""So many may want to try again at the same moment; the budget for that holds twenty."""
COUNTED_S = 1.0
"""After the last entry in the ledger the store has heard of all attempts: it does ten times a second."""
RETRIES_PAID_BY = 14
"""Requests that succeed, and so let the retry budget grow by the two tokens that a time-out takes."""


class Asking:
    """A caller, who can also look into the ledger and the console."""

    def __init__(self, gateway):
        self._gateway = gateway

    def exchange(self, method, path, body=None, *, key=KEY):
        """Return the reply, its body, and whether it broke off."""
        connection = http.client.HTTPConnection("127.0.0.1", self._gateway.port, timeout=PATIENCE_S)
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            reply = connection.getresponse()
            try:
                content, is_torn = reply.read(), False
            except http.client.IncompleteRead as error:
                content, is_torn = error.partial, True
            shown.look_through_answer(path, reply.status, content)
            return reply, content, is_torn
        finally:
            connection.close()

    def chat(self, slug, provider, *, base="/v1", **members):
        body = {"model": f"fault/{slug}", "messages": [{"role": "user", "content": "hello"}], "provider": provider}
        return self.exchange("POST", f"{base}/chat/completions", {**body, **members})

    def answers(self, method, path, *, key=KEY):
        """Return what is answered, once that is a 200."""

        def found():
            reply, body, _ = self.exchange(method, path, key=key)
            return json.loads(body) if reply.status == 200 else None

        return until(found)

    def see(self, upstreams, slug, fault, way):
        """Ask for one row."""
        is_alone, other = "alone" in way, other_of(slug)
        if not is_alone:
            for _ in range(RETRIES_PAID_BY):
                self.chat("none", {"only": ["good"]})
        if fault.is_warm:
            reply, body, _ = self.chat(slug, {"only": [slug]})
            assert reply.status == 200, body
        wish = {"only": [slug]} if is_alone else {"order": [slug, other], "only": [slug, other]}
        reply, body, is_torn = self.chat(slug, wish, base=fault.base, stream="stream" in way, **fault.asks)
        seen = Seen(slug, reply.status, body, is_torn, reply.headers["x-generation-id"])
        seen.encoding = reply.headers.get("content-encoding", "")
        seen.bad = len(upstreams[slug].asked("/chat/completions"))
        model = b'"good-%b"' % slug.encode() if other == "good" else b'"%b"' % other.encode()
        seen.good = sum(model in request.body for request in upstreams[other].asked("/chat/completions"))
        return seen


@pytest.fixture(scope="session")
def seen(gateways, upstreams):
    """All rows, by slug of the faulty provider."""
    evading = {slug: row for slug, row in ROWS.items() if row[0].fallback_on_content_filter}
    others = {slug: row for slug, row in ROWS.items() if slug not in evading}
    return seen_of(gateways[False], upstreams, others) | seen_of(gateways[True], upstreams, evading)


def seen_of(gateway, upstreams, rows):
    asking = Asking(gateway)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = {slug: pool.submit(asking.see, upstreams, slug, *row) for slug, row in rows.items()}
        found = {slug: future.result() for slug, future in asked.items()}
    for one in found.values():
        one.log = gateway.request(one.id)
        one.ledger = asking.answers("GET", f"/api/v1/generation?id={one.id}")["data"]

    ended_at = clock.wall()

    def endpoints():
        view = asking.answers("GET", "/admin/v1/endpoints?active=1", key=gateway.admin_key)
        listed = {row["provider"]: row for row in view["endpoints"]}
        return listed if view["at"] > ended_at + COUNTED_S and found.keys() <= listed.keys() else None

    active = until(endpoints)
    for slug, one in found.items():
        one.endpoint = active[slug]
    for line in [json.loads(line) for line in list(gateway.lines) if '"endpoint cooling"' in line]:
        slug = line["endpoint"].lstrip("@").partition(":")[0]
        if slug in found:
            found[slug].cooling.append(line)
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("number", "fault"), PARAMETERS)
def test_what_becomes_of_it(seen, number, fault, way):
    assert wrongs(fault, way, seen[slug_of(number, way)]) == []


def test_the_page_tells_what_is_tested():
    assert Path(__file__).with_name("README.md").read_text() == table.page()
