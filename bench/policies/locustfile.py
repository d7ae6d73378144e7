"""Callers for locust: streaming chats that begin at random times, written down one by one.

When requests are due, and at which gateway, has been drawn before; each user takes the next that is left, waits until
then, and asks, however those before have fared. All of it comes from the environment: see `fleet`.
"""

import json
import os
import re
import time
from collections import deque
from pathlib import Path

import gevent
from gevent.event import AsyncResult
from locust import FastHttpUser, events, task
from locust.exception import StopUser

_HOSTS = os.environ["LOCUST_HOSTS"].split(",")  # noqa: TID251 - another program
_BEGIN = Path(os.environ["LOCUST_BEGIN"])  # noqa: TID251
"""Somebody writes there when the first may ask: `time.monotonic`, which is the same for all of a machine."""
_ASKS: "deque[tuple[float, int]]" = deque(json.loads(Path(os.environ["LOCUST_ASKS"]).read_text()))  # noqa: TID251
_ANSWERS = Path(os.environ["LOCUST_ANSWERS"])  # noqa: TID251
_KEY = os.environ["LOCUST_KEY"]  # noqa: TID251
_BODY = json.loads(os.environ["LOCUST_BODY"])  # noqa: TID251
_SECONDS = float(os.environ["LOCUST_SECONDS"])  # noqa: TID251

_PATIENCE_S = 15.0
"""How long callers wait."""

_HEADERS = {"Authorization": f"Bearer {_KEY}"}
_COST = re.compile(rb'"cost":([0-9.eE+-]+)')

_begun: "AsyncResult[float]" = AsyncResult()
_answers: list[tuple[float, float | None, str, int, float]] = []
"""Of each request: when it was asked, after how long its first token came, how it ended, what it cost, and by how much
it was late. Seconds; billionths of a dollar."""
_open: "dict[Caller, float]" = {}
"""When those were asked that are under way."""


class Caller(FastHttpUser):  # type: ignore[misc]  # locust is not installed where types are checked
    """One caller, who asks one thing after the other."""

    host = _HOSTS[0]
    network_timeout = connection_timeout = _PATIENCE_S

    @task  # type: ignore[untyped-decorator]
    def chat(self) -> None:
        begun_at = _begun.get()
        if not _ASKS:
            raise StopUser
        due, place = _ASKS.popleft()
        gevent.sleep(max(0.0, begun_at + due - time.monotonic()))  # noqa: TID251
        asked_at = time.monotonic()  # noqa: TID251
        _open[self] = asked_at - begun_at
        first_at, how, paid_nanos = self._ask(_HOSTS[place])
        _answers.append((_open.pop(self), first_at and first_at - asked_at, how, paid_nanos, asked_at - begun_at - due))

    def _ask(self, host: str) -> tuple[float | None, str, int]:
        first_at, paid_nanos = None, 0
        url = f"{host}/v1/chat/completions"
        with self.client.post(
            url, name="chat", json=_BODY, headers=_HEADERS, stream=True, catch_response=True
        ) as reply:
            reply.success()
            if reply.status_code != 200:
                return None, f"status {reply.status_code}", 0
            try:
                # Not iter_lines: it waits until 1 KB have come.
                while line := reply._response.readline(b"\n"):
                    if first_at is None and b'"content":"' in line and b'"content":""' not in line:
                        first_at = time.monotonic()  # noqa: TID251
                    if b'"finish_reason":"error"' in line:  # in band; `[DONE]` follows all the same
                        reply._response.read()
                        return first_at, "cut", paid_nanos
                    if found := _COST.search(line):
                        paid_nanos = round(float(found[1]) * 1e9)
                    if line.startswith(b"data: [DONE]"):
                        reply._response.read()
                        return first_at, "ok" if first_at else "no content", paid_nanos
            except OSError as error:
                return first_at, type(error).__name__, paid_nanos
        return first_at, "cut", paid_nanos


def _begin(**_: object) -> None:
    """All users are there: say so, let them begin in time, and write down what they have seen."""

    def follow() -> None:
        while not _BEGIN.exists():
            gevent.sleep(0.02)
        at = float(_BEGIN.read_text())
        _begun.set(at)
        gevent.sleep(at + _SECONDS - time.monotonic())  # noqa: TID251
        with gevent.Timeout(_PATIENCE_S, exception=False):
            while _open:
                gevent.sleep(0.02)
        _write()

    print("ready", flush=True)
    gevent.spawn(follow)


def _write() -> None:
    _answers.extend((asked_at, None, "no answer", 0, 0.0) for asked_at in _open.values())
    new = _ANSWERS.with_suffix(".new")
    new.write_text(json.dumps(_answers))
    new.replace(_ANSWERS)


events.spawning_complete.add_listener(_begin)
