"""What callers and providers write, wherever that is written on: no field, no line and no request more comes of it."""

import json
from urllib.parse import quote

import pytest

from harness.process import until

from .aftermath import check_line
from .framing import BODY, HELLO
from .poison import FIELDS, FORGED, MEMBERS, PATHS, POISONS, TRACES
from .raw import ADMIN_KEY, KEY, Raw, get, sized
from .upstream import MODEL, UPSTREAM_MODEL, upstream_body, upstream_head

KEPT_CHARS = 256
REPLY_FIELDS = {
    "date", "content-type", "content-length", "content-language", "cache-control", "connection", "x-generation-id",
    "x-request-id", "x-should-retry", "x-fairlead-provider", "x-fairlead-model", "server-timing", "allow", "set-cookie",
    "www-authenticate", "referrer-policy", "content-security-policy", "x-content-type-options", "x-frame-options",
    "retry-after", "retry-after-ms",
}  # fmt: skip


both_logs = pytest.mark.parametrize("gateway", ["calm", "hasty"], indirect=True)


@pytest.fixture
def gateway(request):
    return request.getfixturevalue(getattr(request, "param", "calm"))


def one(gateway, data):
    """The reply on a connection of its own; nothing that was written in the request is in its head."""
    with Raw(gateway) as raw:
        raw.send(data)
        raw.until(b"\r\n\r\n")
        reply = raw.replies(0)[0] if data.startswith(b"HEAD") else raw.reply()
        head = raw.received[: raw.received.index(b"\r\n\r\n")].decode("latin-1")
    assert FORGED not in head
    assert head.count("\n") == head.count("\r") == len(reply.headers)
    assert reply.headers.keys() <= REPLY_FIELDS
    return reply


def check_lines(gateway, start, ids):
    """Each request has its line, and all there are were written by us, however their end is told."""
    for generation_id in ids:
        gateway.expect(generation_id, after=start)
    for line in gateway.lines[start:]:
        assert line.isprintable()
        assert not line.startswith(FORGED)
        assert not line.endswith("gen-0-0")
        is_json = gateway.env["FAIRLEAD_LOG_FORMAT"] == "json"
        assert not is_json or '"id":"gen-0-0"' not in line
        check_line(line, is_json=is_json)


def can_stand_in_a_field(value):
    return all(byte == 9 or (byte >= 32 and byte != 127) for byte in value)


@both_logs
@pytest.mark.parametrize("field", FIELDS)
def test_fields(gateway, lab, field):
    """What no field can hold is refused; of the others the provider gets trace context, as it is, and nothing else."""
    start, asked = len(gateway.lines), {}
    for text in POISONS.values():
        if text == POISONS["both"]:
            continue  # it ends the head: whatever follows is the caller's own
        value = text.encode()
        reply = one(gateway, sized(BODY, field.encode() + b": " + value))
        assert reply.status == (200 if can_stand_in_a_field(value) else 400)
        if reply.status == 200:
            is_passed_on = field in TRACES and text.isascii() and len(text) <= 512
            traces = [f"{field.lower()}: {text}"] if is_passed_on else []
            asked[reply.headers["x-generation-id"]] = traces
            assert reply.headers["x-request-id"] == reply.headers["x-generation-id"]
    body = upstream_body(BODY)
    assert [request.head for request in lab.requests] == [
        upstream_head(lab, body, generation_id, *traces) for generation_id, traces in asked.items()
    ]
    assert asked
    check_lines(gateway, start, asked)


@both_logs
@pytest.mark.parametrize("member", MEMBERS)
def test_members(gateway, lab, member):
    members_of, is_answered = MEMBERS[member]
    start, ids = len(gateway.lines), []
    for text in POISONS.values():
        body = json.dumps({"model": MODEL, "messages": HELLO, **members_of(text)}).encode()
        reply = one(gateway, sized(body))
        ids.append(reply.headers["x-generation-id"])
        assert reply.status == 200 if is_answered else reply.status in (400, 404), reply.body
        json.loads(reply.body)
    assert len(lab.requests) == is_answered * len(POISONS)
    for request, generation_id in zip(lab.requests, ids, strict=False):
        assert request.head == upstream_head(lab, request.body, generation_id)
        assert json.loads(request.body)["model"] == UPSTREAM_MODEL
    check_lines(gateway, start, ids)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_paths(gateway, lab, method, path):
    start, key = len(gateway.lines), KEY if "generation" in path else ADMIN_KEY
    for text in POISONS.values():
        reply = one(gateway, get(path.format(quote(text)), key=key).replace(b"GET", method.encode(), 1))
        assert reply.status in (200, 400, 403, 404, 405)
        if "rss" in path and reply.status == 200:
            assert FORGED.encode() not in reply.body
        elif reply.body and reply.headers["content-type"] == "application/json":
            json.loads(reply.body)
        assert b"<script>X" not in reply.body or reply.headers["content-type"] == "application/json"
    assert lab.requests == []
    check_lines(gateway, start, [])


@both_logs
@pytest.mark.parametrize("status", [200, 400, 404, 422, 429, 500, 503])
def test_words_of_a_provider(gateway, lab, status):
    """They reach the caller of a refusal, as JSON; the log has none of them."""
    start, ids = len(gateway.lines), []
    for text in POISONS.values():
        error = {"message": text, "type": text, "code": text, "param": text}
        lab.does(status=None if status == 200 else status, body=json.dumps({"error": error}).encode())
        reply = one(gateway, sized(BODY))
        ids.append(reply.headers["x-generation-id"])
        assert reply.status >= 400
        json.loads(reply.body)
    check_lines(gateway, start, ids)
    assert not [line for line in gateway.lines[start:] if FORGED in line]


def test_what_a_provider_calls_things(gateway, lab):
    """Its words for the reply and its end are kept in the ledger, and told as JSON."""
    start, ids = len(gateway.lines), {}
    for text in POISONS.values():
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": text}
        usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
        told = {"id": text, "object": "chat.completion", "model": text, "choices": [choice], "usage": usage}
        lab.does(body=json.dumps(told).encode())
        reply = one(gateway, sized(BODY))
        assert reply.status == 200
        ids[reply.headers["x-generation-id"]] = text
    check_lines(gateway, start, ids)
    for generation_id, text in ids.items():
        told = until(lambda generation_id=generation_id: generation(gateway, generation_id))
        assert told["upstream_id"] == text[:KEPT_CHARS]
        assert text.startswith(told["finish_reason"] or "")


def generation(gateway, generation_id):
    """What the ledger tells its caller of a request; None as long as it is not there."""
    reply = one(gateway, get(f"/v1/generation?id={generation_id}", key=KEY))
    return json.loads(reply.body)["data"] if reply.status == 200 else None


def test_what_a_caller_calls_things(gateway, lab):
    ids = {}
    for text in POISONS.values():
        body = json.dumps({"model": MODEL, "messages": HELLO, "user": text, "session_id": text}).encode()
        ids[one(gateway, sized(body)).headers["x-generation-id"]] = text[:KEPT_CHARS]
    for generation_id, text in ids.items():
        told = until(lambda generation_id=generation_id: generation(gateway, generation_id))
        assert (told["external_user"], told["session_id"]) == (text, text)
