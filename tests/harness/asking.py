"""Routes, served on a real connection, and a client that asks them."""

import contextlib
import json
from dataclasses import dataclass

from fairlead.edge.asgi import App
from harness import shown
from harness.listener import get, listening


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]


@contextlib.asynccontextmanager
async def asking(routes):
    """Serve `routes`; return a function that asks on a connection of its own.

    What it is given as `body` is sent as JSON, unless it is bytes.
    """
    async with listening() as listener:
        app = App({}, routes, None)
        for first in {"v1", "admin", "metrics", *(route.path.split("/")[1] for route in routes)}:
            setattr(listener.app, first, app)

        async def ask(method, path, body=None, *, key=None, fields=()):
            text = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            fields = [*fields, f"content-length: {len(text)}", "connection: close"]
            if key is not None:
                fields.append(f"authorization: Bearer {key}")
            client = await listener.connect()
            await client.send(get(path, *fields).replace(b"GET", method.encode(), 1) + text)
            (answer,) = await client.responses()
            shown.look_through_answer(f"{method} {path}", answer.status, answer.body)
            return Answer(answer.status, answer.headers, answer.body)

        yield ask
