"""A client that holds on to one connection, which is one worker's; and many of them as a load."""

import contextlib
import http.client
import json
import threading
from dataclasses import dataclass

from harness import shown
from harness.process import PATIENCE_S

HELLO = [{"role": "user", "content": "hello"}]


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def worker(self):
        """Which worker answered: ids of one process begin alike, whatever they count."""
        return self.headers["x-generation-id"].split("-")[2][:10]


class Caller:
    """Use `with`, or `close` it."""

    def __init__(self, gateway, key):
        self._connection = http.client.HTTPConnection(gateway.host, gateway.port, timeout=PATIENCE_S)
        self._key = key

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._connection.close()

    def ask_chat(self, model, *, key=None, request_id=None, **members):
        """Send a request and do not wait for the reply."""
        body = json.dumps({"model": model, "messages": HELLO, **members})
        headers = {"authorization": f"Bearer {key or self._key}", "content-type": "application/json"}
        if request_id is not None:
            headers["x-request-id"] = request_id
        self._connection.request("POST", "/v1/chat/completions", body, headers)

    def reply(self):
        """Return the reply as soon as its head is there, to be read on."""
        return self._connection.getresponse()

    def send_chat(self, model, **options):
        self.ask_chat(model, **options)
        return self.reply()

    def chat(self, model, **options):
        return _whole(self.send_chat(model, **options))

    def get(self, path, *, key=None):
        return _whole(self.send_get(path, key=key))

    def post(self, path, members, *, key):
        return self.send("POST", path, members, key=key)

    def send(self, method, path, members, *, key=None):
        headers = {"authorization": f"Bearer {key or self._key}", "content-type": "application/json"}
        self._connection.request(method, path, json.dumps(members), headers)
        return _whole(self.reply())

    def send_get(self, path, *, key=None):
        """As `send_chat`: the reply is there to be read on."""
        self._connection.request("GET", path, headers={"authorization": f"Bearer {key}"} if key else {})
        return self.reply()


def _whole(reply):
    body = reply.read()
    shown.look_through_answer("an answer", reply.status, body)
    return Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, body)


@contextlib.contextmanager
def callers_of_each_worker(gateway, key, model, count=2):
    """Yield a connection to each of `count` workers, by the worker's mark."""
    with contextlib.ExitStack() as opened:
        found = {}
        for _ in range(100):  # that all go to one of two workers has a chance of 2^-99
            caller = opened.enter_context(Caller(gateway, key))
            found.setdefault(caller.chat(model).worker, caller)
            if len(found) == count:
                break
        assert len(found) == count, f"all connections went to {len(found)} of {count} workers"
        yield found


class Load:
    """Light load while the block lasts: one client that keeps its connection, one that opens a new one each time.

    `answers` are the statuses, `failures` what became of requests that got none.
    """

    def __init__(self, gateway, key, model):
        self._gateway, self._key, self._model = gateway, key, model
        self.answers = []
        self.failures = []
        self._more = threading.Condition()
        self._enough = threading.Event()
        self._clients = [threading.Thread(target=self._ask, args=(is_kept,)) for is_kept in (True, False)]

    def __enter__(self):
        for client in self._clients:
            client.start()
        self.go_on()
        return self

    def __exit__(self, *_):
        self._enough.set()
        for client in self._clients:
            client.join(PATIENCE_S)

    def _ask(self, is_kept):
        while not self._enough.is_set():
            with Caller(self._gateway, self._key) as caller:
                try:
                    is_open = True
                    while is_open and not self._enough.is_set():
                        answer = caller.chat(self._model)
                        is_open = is_kept and answer.headers.get("connection") != "close"
                        with self._more:
                            self.answers.append(answer.status)
                            self._more.notify_all()
                except (OSError, http.client.HTTPException) as error:
                    self.failures.append(error)

    def go_on(self, count=50):
        """Return when `count` more answers have come."""
        with self._more:
            wanted = len(self.answers) + count
            assert self._more.wait_for(lambda: len(self.answers) >= wanted, PATIENCE_S), "no answers any more"

    @property
    def is_flawless(self):
        return not self.failures and set(self.answers) == {200}
