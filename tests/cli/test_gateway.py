import contextlib
import json
import re
import socket
import threading

import pytest

from fairlead.cli.gateway import LocalGateway, NoAnswer, Refused, read_events

EVENT = b'event: ejected\ndata: {"endpoint": "a"}\n\n'


@contextlib.contextmanager
def answering(*parts):
    """A server for one request, which answers in these parts; yields its port and what it was asked."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                request = b""
                while not is_whole(request) and (part := connection.recv(65_536)):
                    request += part
                asked.append(request)
                for part in parts:
                    connection.sendall(part)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], asked
        thread.join()


def is_whole(request):
    head, border, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    return bool(border) and len(body) >= int(length[1] if length else 0)


def reply(status, body, *fields):
    head = "\r\n".join([f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}", *fields, "", ""])
    return head.encode() + body


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_it_is_asked_on_this_machine_with_the_key(host):
    with answering(reply(200, b'{"a": 1}')) as (port, asked):
        assert LocalGateway(host, port, key="sk-x").get_json("/b") == {"a": 1}
    assert asked[0].startswith(b"GET /b HTTP/1.1\r\n")
    assert b"\r\nauthorization: Bearer sk-x\r\n" in asked[0]


def test_its_url():
    assert LocalGateway("0.0.0.0", 8420).url == "http://127.0.0.1:8420"
    assert LocalGateway("::", 8420).url == "http://[::1]:8420"


def test_a_refusal_is_told_in_its_own_words():
    body = json.dumps({"error": {"message": "send the admin key"}}).encode()
    said = r"http://127.0.0.1:\d+/b answered 403: send the admin key"
    with answering(reply(403, body)) as (port, _), pytest.raises(Refused, match=said):
        LocalGateway("127.0.0.1", port).get_json("/b")


@pytest.mark.parametrize(
    "sent", [reply(200, b"<html>"), reply(200, b"[1]"), reply(404, b'"no"'), reply(500, b'{"error": "no"}')], ids=str
)
def test_somebody_else_there(sent):
    with answering(sent) as (port, _), pytest.raises(NoAnswer, match="and no fairlead's"):
        LocalGateway("127.0.0.1", port).get_json("/b")


@pytest.mark.parametrize("sent", [b"", b"SSH-2.0\r\n", reply(200, b"cut")[:-1]], ids=["nothing", "not HTTP", "cut"])
def test_no_whole_answer(sent):
    with answering(sent) as (port, _), pytest.raises(NoAnswer, match="no answer from"):
        LocalGateway("127.0.0.1", port).get("/b")


def test_events_are_read_as_they_come_until_the_stream_ends():
    parts = [STREAM, chunk(b"retry: 1000\n\n: ping\n\n"), chunk(EVENT[:20]), chunk(EVENT[20:] + EVENT), b"0\r\n\r\n"]
    with answering(*parts) as (port, _):
        events = list(LocalGateway("127.0.0.1", port).events("/e"))
    assert events == [("ejected", {"endpoint": "a"})] * 2


def test_a_stream_that_is_cut_between_events_ends_and_within_one_it_is_told():
    with answering(STREAM, chunk(EVENT)) as (port, _):
        assert list(LocalGateway("127.0.0.1", port).events("/e")) == [("ejected", {"endpoint": "a"})]
    with answering(STREAM, chunk(EVENT), chunk(EVENT)[:-9]) as (port, _):
        events = LocalGateway("127.0.0.1", port).events("/e")
        assert next(events) == ("ejected", {"endpoint": "a"})
        with pytest.raises(NoAnswer):
            next(events)


def test_silence_is_told():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        gateway = LocalGateway("127.0.0.1", silent.getsockname()[1])
        with pytest.raises(NoAnswer, match="timed out"):
            next(gateway.events("/e", quiet_s=0.05))


def test_a_refused_stream_has_no_events():
    with answering(reply(503, b"{}")) as (port, _):
        assert list(LocalGateway("127.0.0.1", port).events("/e")) == []


def test_what_is_no_event_is_left_out():
    lines = b'data: [1]\n\ndata: {"no json"\n\nevent: a\n\n: comment\nevent: b\r\ndata:{"n":\r\ndata: 1}\r\n\r\n'
    assert list(read_events(lines.splitlines(keepends=True))) == [("b", {"n": 1})]
