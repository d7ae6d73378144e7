"""A load balancer as the documentation wants it: it sends to those that are ready, and looks often."""

import contextlib
import http.client
import threading

from harness.process import PATIENCE_S

LOOK_S = 0.02


class Balancer:
    """It looks while the `with` block lasts, at those that have been added."""

    def __init__(self):
        self._is_ready = {}
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._look_again_and_again, name="balancer")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._enough.set()
        self._thread.join(PATIENCE_S)

    def add(self, gateway):
        self._is_ready[gateway.url] = _is_ready(gateway.url)

    def remove(self, gateway):
        del self._is_ready[gateway.url]

    def ready(self):
        """The URLs of those that were ready when it last looked."""
        return [url for url, is_ready in list(self._is_ready.items()) if is_ready]

    def _look_again_and_again(self):
        while not self._enough.wait(LOOK_S):
            for url in list(self._is_ready):
                found = _is_ready(url)
                if url in self._is_ready:
                    self._is_ready[url] = found


def _is_ready(url):
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE_S)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False
