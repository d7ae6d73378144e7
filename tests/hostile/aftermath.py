"""What must hold after whatever a hostile caller has done."""

import contextlib
import json
import re

from harness.process import until

from .raw import Raw, get, sized

GOOD_MODEL = "good/m"
GOOD_TEXT = "all is well"
GOOD_BODY = json.dumps({"model": GOOD_MODEL, "messages": [{"role": "user", "content": "hello"}]}).encode()

_REQUEST_LINE = re.compile(r"[0-9]{1,3} .* · gen-[0-9]+-[0-9a-f]+")
_EVENT_LINE = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2} \[(?:info|warning) *\] .*")


class Aftermath:
    """Made before a test of `gateway`; `check` is for after it."""

    def __init__(self, gateway):
        self._gateway = gateway
        self._workers = gateway.workers()
        self._lines = max(len(gateway.lines), gateway.summary_ends + 1)  # an empty line ends the summary

    def check(self):
        """Fail unless each worker is the one that it was, serves, and has nothing under way, and the log is in order.

        Each is asked on a fresh connection; which one that is, the id of its reply tells.
        """
        assert len(self._workers) == 2
        assert self._gateway.workers() == self._workers, "a worker has died"
        served = {}
        with contextlib.ExitStack() as opened:
            while len(served) < 2:
                raw = opened.enter_context(Raw(self._gateway))
                raw.send(sized(GOOD_BODY))
                reply = raw.reply()
                assert reply.status == 200, reply.body
                assert json.loads(reply.body)["choices"][0]["message"]["content"] == GOOD_TEXT
                worker = reply.headers["x-generation-id"].split("-")[2][:10]
                served[worker] = raw
            for raw in served.values():
                until(lambda raw=raw: _in_flight(raw) == 0)
        self.check_log()

    def check_log(self):
        for line in self._gateway.lines[self._lines :]:
            check_line(line, is_json=self._gateway.env["FAIRLEAD_LOG_FORMAT"] == "json")
            for secret in self._gateway.secrets:
                assert secret not in line, f"a secret was printed: {line.replace(secret, '…')}"


def check_line(line, *, is_json):
    """Fail unless it is a line of ours, and tells of no fault of ours."""
    assert "Traceback" not in line, line.replace("\\n", "\n")
    if is_json:
        told = json.loads(line)
        assert told.get("level", "info") != "error", line
        assert told["event"] == "request" or "level" in told, line
    else:
        assert _REQUEST_LINE.fullmatch(line) or _EVENT_LINE.fullmatch(line), line


def _in_flight(raw):
    asked = len(raw.replies(0)) + 1
    raw.send(get("/readyz?verbose"))
    return json.loads(raw.replies(asked)[-1].body)["in_flight"]
