"""The gateway on this machine, as the other commands ask it: over HTTP, where FAIRLEAD_HOST and FAIRLEAD_PORT say."""

import contextlib
import http.client
import json
from collections.abc import Iterable, Iterator
from typing import Any

from fairlead.errors import FairleadError

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Nobody connects to the address that stands for all of them."""


class NoAnswer(FairleadError):
    """Nobody is there, or it is not a gateway."""


class Refused(FairleadError):
    """The gateway answered with an error; the text is its own."""


class LocalGateway:
    """`key` is sent with every request, if there is one. `timeout_s` bounds the wait for each piece of an answer."""

    def __init__(self, host: str, port: int, *, key: str | None = None, timeout_s: float = 3.0) -> None:
        self._host = _ANY.get(host, host)
        self._port = port
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._timeout_s = timeout_s

    @property
    def url(self) -> str:
        shown = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{shown}:{self._port}"

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body. Raises NoAnswer."""
        with self._reply(path, self._timeout_s) as reply:
            return reply.status, reply.read()

    def get_json(self, path: str) -> dict[str, Any]:
        """Return what a successful answer holds. Raises NoAnswer, and Refused for any other."""
        return self._value(path, *self.get(path))

    def post_json(self, path: str, body: bytes) -> dict[str, Any]:
        """Send JSON and return what a successful answer holds. Raises NoAnswer, and Refused for any other."""
        with self._reply(path, self._timeout_s, body) as reply:
            return self._value(path, reply.status, reply.read())

    def _value(self, path: str, status: int, body: bytes) -> dict[str, Any]:
        try:
            value = json.loads(body)
            if status == 200:
                return dict(value)
            raise Refused(f"{self.url}{path} answered {status}: {value['error']['message']}")
        except (ValueError, TypeError, KeyError):
            raise NoAnswer(f"no answer from {self.url}{path}: {status}, and no fairlead's") from None

    def events(self, path: str, quiet_s: float = 60.0) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield kind and data of server-sent events until the stream ends.

        Raises NoAnswer for one that is cut within an event, and after `quiet_s` of silence.
        """
        with self._reply(path, quiet_s) as reply:
            if reply.status == 200:
                yield from read_events(reply)

    @contextlib.contextmanager
    def _reply(self, path: str, timeout_s: float, body: bytes | None = None) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        try:
            connection.request("GET" if body is None else "POST", path, body, self._headers)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
            raise NoAnswer(f"no answer from {self.url}{path}: {why}") from error
        finally:
            connection.close()


def read_events(lines: Iterable[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events of a stream of JSON, as far as the stream is one. Comments and retry times are left out."""
    kind, data = "", ""
    for line in lines:
        name, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data += value
        elif not name and not value:
            with contextlib.suppress(ValueError):
                if data and isinstance(told := json.loads(data), dict):
                    yield kind, told
            kind, data = "", ""
