"""Callers for locust: streaming chats that begin at random times, written down one by one.

Each user asks after exponential times counted from when the last request was due, not from its end; with many users and
few requests each that is a Poisson process, as nearly as locust can. All of it comes from the environment: see `fleet`.
"""

import json
import os
import random
import time
from pathlib import Path

import gevent
from gevent.event import AsyncResult
from locust import FastHttpUser, events, task

_HOSTS = os.environ["LOCUST_HOSTS"].split(",")  # noqa: TID251 - another program
_BEGIN = Path(os.environ["LOCUST_BEGIN"])  # noqa: TID251
"""Somebody writes there when the first may ask: `time.monotonic`, which is the same for all of a machine."""
_ANSWERS = Path(os.environ["LOCUST_ANSWERS"])  # noqa: TID251
_KEY = os.environ["LOCUST_KEY"]  # noqa: TID251
_MODEL = os.environ["LOCUST_MODEL"]  # noqa: TID251
_SECONDS = float(os.environ["LOCUST_SECONDS"])  # noqa: TID251
_EVERY_S = float(os.environ["LOCUST_EVERY_S"])  # noqa: TID251
_SEED = os.environ["LOCUST_SEED"]  # noqa: TID251

_PATIENCE_S = 15.0
"""How long callers wait."""

_BODY = {"model": _MODEL, "stream": True, "messages": [{"role": "user", "content": "What is a reverse proxy?"}]}
_HEADERS = {"Authorization": f"Bearer {_KEY}"}

_begun: "AsyncResult[float]" = AsyncResult()
_answers: list[tuple[float, float | None, str]] = []
"""Of each request: when it began, after how long its first token came, and how it ended. Seconds."""
_open: "dict[Caller, float]" = {}
"""When those began that are under way."""
_users = iter(range(1_000_000))


class Caller(FastHttpUser):  # type: ignore[misc]  # locust is not installed where types are checked
    """One caller, who asks either gateway by chance."""

    host = _HOSTS[0]
    network_timeout = connection_timeout = _PATIENCE_S

    def on_start(self) -> None:
        self._rng = random.Random(f"{_SEED}/{next(_users)}")
        self._begun: float = _begun.get()
        self._due = self._begun
        gevent.sleep(self.wait_time())

    def wait_time(self) -> float:
        self._due += self._rng.expovariate(1 / _EVERY_S)
        wait_s: float = self._due - time.monotonic()  # noqa: TID251
        return max(0.0, wait_s)

    @task  # type: ignore[untyped-decorator]
    def chat(self) -> None:
        began_at = time.monotonic()  # noqa: TID251
        if began_at < self._begun + _SECONDS:
            _open[self] = began_at - self._begun
            first_at, how = self._ask()
            _answers.append((_open.pop(self), first_at and first_at - began_at, how))

    def _ask(self) -> tuple[float | None, str]:
        url = f"{self._rng.choice(_HOSTS)}/v1/chat/completions"
        first_at = None
        with self.client.post(
            url, name="chat", json=_BODY, headers=_HEADERS, stream=True, catch_response=True
        ) as reply:
            reply.success()
            if reply.status_code != 200:
                return None, f"status {reply.status_code}"
            try:
                # Not iter_lines: it waits until 1 KB have come.
                while line := reply._response.readline(b"\n"):
                    if first_at is None and b'"content":"' in line and b'"content":""' not in line:
                        first_at = time.monotonic()  # noqa: TID251
                    if b'"finish_reason":"error"' in line:  # in band; `[DONE]` follows all the same
                        reply._response.read()
                        return first_at, "cut"
                    if line.startswith(b"data: [DONE]"):
                        reply._response.read()
                        return first_at, "ok" if first_at else "no content"
            except OSError as error:
                return first_at, type(error).__name__
        return first_at, "cut"


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
    _answers.extend((began_at, None, "no answer") for began_at in _open.values())
    new = _ANSWERS.with_suffix(".new")
    new.write_text(json.dumps(_answers))
    new.replace(_ANSWERS)


events.spawning_complete.add_listener(_begin)
