import gzip
import json
from dataclasses import replace

import pytest

from fairlead.demo.script import Script
from fairlead.drill.expect import Seen, wrongs
from fairlead.drill.faults import GOOD_TEXT, Fate, Fault, refusal

NEXT = Fault("closed", Script(cut_after=0), "transient")


def reply(text):
    return json.dumps({"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}).encode()


def event(**members):
    return b"data: %b\n\n" % json.dumps(members).encode()


def word(text, finish=None):
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}])


def seen(body, *verdicts, status=200, end="ok", cost=0.5, **members):
    """What is written down is consistent, unless `members` say otherwise."""
    log = {"attempts": [{"verdict": verdict} for verdict in verdicts], "end": end, "status": status, "cost_usd": cost}
    ledger = {"provider_responses": log["attempts"], "end": end, "status": status, "total_cost": cost}
    return Seen("a", status, body, log=log, ledger=ledger, **{"endpoint": {"state": "healthy"}, "bad": 1, **members})


def whats(*given):
    return [wrong.what for wrong in wrongs(*given)]


FAILED = {"endpoint": {"state": "healthy", "error_share": 1.0}}


def test_the_next_providers_answer_is_what_is_wanted():
    good = seen(reply(GOOD_TEXT), "transient", "ok", good=1, **FAILED)
    assert wrongs(NEXT, "plain", good) == []
    assert whats(NEXT, "plain", replace(good, body=reply("other"))) == ["answer"]
    assert whats(NEXT, "plain", replace(good, good=2)) == ["requests that reached others"]
    assert whats(NEXT, "plain", replace(good, bad=2)) == ["requests that reached the provider"]
    assert whats(NEXT, "plain", replace(good, endpoint={"state": "healthy"})) == ["counted by the breaker"]
    assert whats(NEXT, "plain", replace(good, endpoint={**good.endpoint, "state": "ejected"})) == [
        "state of the endpoint"
    ]


@pytest.mark.parametrize(
    ("member", "what"),
    [("end", "end in the ledger"), ("status", "status in the ledger"), ("total_cost", "cost in the ledger")],
)
def test_the_ledger_says_what_the_log_says(member, what):
    good = seen(reply(GOOD_TEXT), "transient", "ok", good=1, **FAILED)
    good.ledger = {**good.ledger, member: 7}
    assert whats(NEXT, "plain", good) == [what]


def error(code, kind):
    return {"error": {"code": code, "message": "no", "metadata": {"error_type": kind}}}


def test_alone_it_is_an_error_without_a_cost():
    body = json.dumps(error(502, "provider_unavailable")).encode()
    alone = seen(body, "transient", status=502, end="error", cost=0, **FAILED)
    assert wrongs(NEXT, "plain-alone", alone) == []
    assert "cost" in whats(NEXT, "plain-alone", seen(body, "transient", status=502, end="error", **FAILED))
    assert whats(NEXT, "plain-alone", replace(alone, body=b"<html>")) == ["error"]


def test_behind_signs_of_life_the_error_is_in_the_stream():
    told = event(choices=[], **error(502, "provider_unavailable"))
    early = seen(b": wait\n\n" + told, "transient", end="error", cost=0, **FAILED)
    assert wrongs(NEXT, "stream-alone", early) == []
    assert whats(NEXT, "stream-alone", replace(early, body=word("one ") + told)) == ["error"]


CUT = {"endpoint": {"state": "healthy", "cut_share": 1.0}}


def test_a_beginning_has_to_be_told_as_such():
    fault = Fault("cut", Script(cut_after=4), "transient", stream=Fate.BROKEN)
    end = event(choices=[{"index": 0, "delta": {}, "finish_reason": "error"}], **error(502, "provider_unavailable"))
    cut = seen(word("one ") + end, "cut", end="cut", **CUT)
    assert wrongs(fault, "stream", cut) == []
    assert whats(fault, "stream", replace(cut, body=cut.body + b"data: [DONE]\n\n")) == ["[DONE]"]
    assert whats(fault, "stream", replace(cut, body=word("two ") + end)) == ["the beginning of the answer"]
    assert whats(fault, "stream", replace(cut, body=word("one "))) == ["error at the end", "finish reasons"]
    torn = Fault("torn", Script(cut_after=4), "transient", stream=Fate.TORN)
    assert wrongs(torn, "stream", replace(cut, body=word("one "), is_torn=True)) == []


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_an_answer_in_an_encoding_that_nobody_asked_for_is_none(encoding):
    fault = Fault("gzip", Script(), "ok", stream=Fate.WHOLE, plain=Fate.WHOLE, text="one")
    whole = seen(gzip.compress(word("one", "stop")), "ok", encoding=encoding)
    with pytest.raises(ValueError, match=encoding):
        wrongs(fault, "stream", whole)
    blind = replace(fault, plain=Fate.BLIND)
    assert whats(blind, "plain", whole) == ([] if encoding == "br" else ["content-encoding"])


def test_what_cools_down_and_for_how_long():
    fault = refusal(401, "auth", 502, "provider_unavailable")
    body = json.dumps(error(502, "provider_unavailable")).encode()
    line = {"endpoint": "@a", "seconds": 60.0, "why": "auth"}
    cooling = {"endpoint": {"state": "cooling"}, "cooling": [line]}
    good = seen(body, "auth", status=502, end="error", cost=0, **cooling)
    assert wrongs(fault, "plain-alone", good) == []
    assert whats(fault, "plain-alone", replace(good, cooling=[])) == ["what cools down"]
    assert whats(fault, "plain-alone", replace(good, cooling=[{**line, "endpoint": "a:m"}])) == ["what cools down"]
    assert whats(fault, "plain-alone", replace(good, cooling=[{**line, "seconds": 6.0}])) == ["seconds it cools down"]
    assert whats(fault, "plain-alone", replace(good, endpoint={"state": "healthy"})) == ["state of the endpoint"]
