"""The routes for apps, served on a real connection, with a store, and keys of every kind."""

import contextlib
import dataclasses
import json
from types import SimpleNamespace
from urllib.parse import urlencode

from fairlead.access.keys import from_token, generate
from fairlead.admin.consent import consent_routes
from fairlead.admin.door import Door
from fairlead.admin.management import ManagementDoor
from fairlead.admin.oauth import oauth_routes
from fairlead.config.settings import LOOPBACK
from fairlead.edge.asgi import App
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.oauth import CodeStore
from fairlead.store.redis import connect
from harness.listener import get, listening

ADMIN_KEY = "sk-fl-admin-v1-" + "0f" * 32
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
CALLBACK = "https://app.example:8443/back?state=1"


class Heard:
    """A logger: `entries` are what was said."""

    def __init__(self):
        self.entries = []

    def info(self, event, **fields):
        self.entries.append((event, fields))


class Apps:
    def __init__(self, client, listener, brake, trusted):
        self.client = client
        self.listener = listener
        self.keys = KeyStore(client)
        self.codes = CodeStore(client)
        self.log = Heard()
        ring = KeyRing(self.keys, [])
        door = ManagementDoor(Door(ADMIN_KEY, lambda token: ring.find(token) is not None), ring)
        routes = consent_routes(door, self.codes, self.log, brake, trusted)
        routes += oauth_routes("/v1", door, self.keys, self.codes, self.log)
        listener.app.auth = listener.app.v1 = App({}, routes, None)

    async def ask(self, method, path, body=b"", *fields):
        """Send a request on a connection of its own; a body that is no bytes is sent as JSON."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = get(path, *fields, f"content-length: {len(body)}", "connection: close")
        (answer,) = await self.listener.exchange(head.replace(b"GET", method.encode(), 1) + body)
        text = answer.body.decode()
        is_json = answer.headers["content-type"] == "application/json"
        data = json.loads(text) if is_json and text else None
        return SimpleNamespace(status=answer.status, headers=answer.headers, text=text, json=data)

    async def begin(self, *fields, key=ADMIN_KEY, **members):
        body = {"callback_url": CALLBACK, **members}
        return await self.ask("POST", "/v1/auth/keys/code", body, f"authorization: Bearer {key}", *fields)

    async def finish(self, code, **members):
        return await self.ask("POST", "/v1/auth/keys", {"code": code, **members})

    async def show(self, *fields, **query):
        return await self.ask("GET", f"/auth?{urlencode(query)}", b"", *fields)

    async def new_key(self, **attributes):
        token = generate()
        await self.keys.add(dataclasses.replace(from_token(token, "a person's"), **attributes))
        return token

    async def stored(self):
        """All that the store knows, in one text."""
        read = {b"string": self.client.get, b"hash": self.client.hgetall, b"set": self.client.smembers}
        return str([(name, await read[await self.client.type(name)](name)) for name in await self.client.keys("*")])


@contextlib.asynccontextmanager
async def apps(redis_url, brake=None, trusted=LOOPBACK):
    async with contextlib.aclosing(connect(redis_url)) as client:
        if not redis_url.endswith("nonexistent.sock"):
            await client.flushdb()
        async with listening() as listener:
            yield Apps(client, listener, brake, trusted)
