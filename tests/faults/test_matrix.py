"""Every fault of the matrix, by stream and not, with another provider behind it and without."""

import contextlib
import http.client
import json
from pathlib import Path

import pytest

from harness import shown
from harness.process import PATIENCE_S

from . import table
from .conftest import KEY, WAYS
from .matrix import BAD_TEXT, FAULTS, GOOD_TEXT, Fate

ROWS = [pytest.param(number, fault, id=fault.name) for number, fault in enumerate(FAULTS)]


class Seen:
    """What a caller gets, and what the gateway has written down about it."""

    def __init__(self, gateway, slug, *, is_stream, is_alone):
        wish = {"only": [slug]} if is_alone else {"order": [slug, "good"]}
        body = {"model": f"fault/{slug}", "stream": is_stream, "provider": wish}
        body["messages"] = [{"role": "user", "content": "hello"}]
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE_S)
        try:
            headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            reply = connection.getresponse()
            self.is_torn = False
            try:
                self.body = reply.read()
            except http.client.IncompleteRead as error:
                self.body, self.is_torn = error.partial, True
        finally:
            connection.close()
        self.status = reply.status
        shown.look_through_answer(slug, self.status, self.body)
        self.is_stream = is_stream
        self.log = gateway.request(reply.headers["x-generation-id"])
        self.verdicts = [attempt["verdict"] for attempt in self.log["attempts"]]

    @property
    def events(self):
        """Those that can be read; of one that is torn nothing can."""
        found = []
        for line in self.body.split(b"\n\n"):
            with contextlib.suppress(ValueError):
                found.append(json.loads(line.removeprefix(b"data: ")))
        return found

    @property
    def is_done(self):
        return b"[DONE]" in self.body

    @property
    def choices(self):
        return [choice for event in self.events for choice in event.get("choices", [])]

    @property
    def text(self):
        if not self.is_stream:
            return json.loads(self.body)["choices"][0]["message"]["content"]
        return "".join(choice["delta"].get("content") or "" for choice in self.choices)

    @property
    def finish_reasons(self):
        return {choice.get("finish_reason") for choice in self.choices} - {None}


@pytest.fixture
def see(gateway):
    def see(number, way):
        return Seen(gateway, f"f{number}w{WAYS.index(way)}", is_stream="stream" in way, is_alone="alone" in way)

    return see


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("number", "fault"), ROWS)
def test_what_becomes_of_it(see, bad, good, number, fault, way):
    is_alone = "alone" in way
    fate = fault.stream if "stream" in way else fault.plain
    before = len(good.requests)
    seen = see(number, way)
    assert len(bad[f"f{number}w{WAYS.index(way)}"].asked("/chat/completions")) == fault.requests
    if fate is Fate.FAILOVER and not is_alone:
        assert (seen.status, seen.text, seen.verdicts) == (200, GOOD_TEXT, [fault.verdict, "ok"])
        assert seen.log["provider"] == "good"
    elif fate is Fate.FAILOVER or fate is Fate.REFUSED:
        error = json.loads(seen.body)["error"]
        assert (seen.status, seen.verdicts, seen.log.get("cost_usd", 0)) == (fault.status, [fault.verdict], 0)
        assert (error["code"], error["metadata"]["error_type"]) == (fault.status, fault.error_type)
    elif fate in (Fate.BROKEN, Fate.TOLD, Fate.TORN):
        assert (seen.status, seen.verdicts, seen.log["end"]) == (200, ["cut"], "cut")
        assert seen.text
        assert BAD_TEXT.startswith(seen.text)
        assert (seen.is_torn, seen.is_done) == (fate is Fate.TORN, False)
        assert seen.is_torn or "error" in seen.events[-1]
        assert seen.finish_reasons == ({"error"} if fate is Fate.BROKEN else set())
        assert seen.log["cost_usd"] > 0
    else:
        assert (seen.status, seen.verdicts, seen.log["end"]) == (200, ["ok"], "ok")
        assert seen.text == (fault.text if "stream" in way else BAD_TEXT)
        assert seen.log["cost_usd"] > 0
    assert len(good.requests) - before == (fate is Fate.FAILOVER and not is_alone)


def test_the_page_tells_what_is_tested():
    assert Path(__file__).with_name("README.md").read_text() == table.page()
