"""A provider that says the next word of a stream when it is told to, and not before: order proves what time cannot."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness.process import PATIENCE_S

WORDS = ("one ", "two ", "three ", "four ")


class Paced:
    """Each stream says `WORDS`; the n-th of them once `allow` has been called with n or more. The first comes at once.

    Use `with`. All streams are allowed the same.
    """

    def __init__(self):
        self._allowed = 1
        self._more = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.allow(len(WORDS))
        self._server.shutdown()
        self._thread.join(PATIENCE_S)
        self._server.server_close()

    def allow(self, count):
        with self._more:
            self._allowed = count
            self._more.notify_all()

    def events(self):
        """The events of one stream, each when it may be said."""
        for n, word in enumerate(WORDS, 1):
            with self._more:
                assert self._more.wait_for(lambda n=n: self._allowed >= n, PATIENCE_S), f"nobody wanted {word!r}"
            yield _event({"delta": {"role": "assistant", "content": word}, "finish_reason": None})
        yield _event({"delta": {}, "finish_reason": "stop"}, usage={"prompt_tokens": 1, "completion_tokens": 4})
        yield b"data: [DONE]\n\n"


def _event(choice, **members):
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", **members}
    return b"data: " + json.dumps({**chunk, "choices": [{"index": 0, **choice}]}).encode() + b"\n\n"


def _handler(paced):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                for event in paced.events():
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_):
            pass

    return Handler
