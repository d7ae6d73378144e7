"""One caller: its connection, its keys, and what it reads."""

import asyncio
import contextlib
import json
import random
import secrets
from collections.abc import Mapping, Sequence

from bench.framing import Reader
from bench.soak.gateway import ADMIN_KEY, API_KEY

_PIECE_BYTES = 65_536
_CACHE = {"x-openrouter-cache": "true", "x-openrouter-cache-ttl": "1"}
MODELS = ("soak/both", "soak/both", "soak/well", "soak/bad", "soak/worse")


class Lost(Exception):
    """The gateway closed a connection on which it owed an answer, or went on after the end of one."""


class Caller:
    """Makes requests and sends them, on a connection that is kept from one to the next unless it is told otherwise."""

    def __init__(self, port: int, limited: Sequence[str], rng: random.Random) -> None:
        self.rng = rng
        self.last_id = "gen-0-0"
        self._port = port
        self._keys = (API_KEY, API_KEY, *limited)
        self._pipe: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    # What is sent

    def chat(self, **members: object) -> bytes:
        """A chat request, as chance will have it, but for `members`."""
        rng = self.rng
        body: dict[str, object] = {"model": rng.choice(MODELS), "stream": rng.random() < 0.6}
        if rng.random() < 0.3:
            body["session_id"] = f"session-{rng.randrange(50)}"
        text = f"question {rng.randrange(20)} " + "word " * rng.choice((1, 10, 1000))
        headers = dict(_CACHE) if rng.random() < 0.3 else {}
        body |= members
        if rng.random() < 0.3:
            return self.post("/v1/responses", body | {"input": text}, headers)
        return self.post("/v1/chat/completions", body | {"messages": [{"role": "user", "content": text}]}, headers)

    def post(
        self, path: str, body: object, headers: Mapping[str, str] | None = None, *, key: str | None = None
    ) -> bytes:
        """A whole request; `body` is JSON unless it is bytes."""
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"content-type": "application/json", "content-length": str(len(text)), **(headers or {})}
        return self.head("POST", path, lines, key=key) + text

    def get(self, path: str, *, key: str | None = None) -> bytes:
        return self.head("GET", path, {}, key=key)

    def head(self, method: str, path: str, headers: Mapping[str, str], *, key: str | None = None) -> bytes:
        """A head with one of the caller's keys, if `key` is not given."""
        fields = {"host": "soak", "authorization": f"Bearer {key or self.rng.choice(self._keys)}", **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    def admin(self, path: str) -> bytes:
        return self.get(path, key=ADMIN_KEY)

    def stranger(self) -> bytes:
        """A request with a key that nobody has, from somewhere else each time."""
        address = ".".join(str(self.rng.randrange(1, 255)) for _ in range(4))
        key = f"sk-fl-v1-{secrets.token_hex(32)}" if self.rng.random() < 0.5 else "sk-soak-wrong-key"
        return self.post("/v1/chat/completions", {"model": "soak/well"}, {"x-forwarded-for": address}, key=key)

    # How

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection of its own for what follows, closing the kept one. Whoever asks for it closes it."""
        self.leave()
        self._pipe = await asyncio.open_connection("127.0.0.1", self._port)
        return self._pipe

    async def ask(self, payload: bytes) -> int:
        """Send a request and read the answer to its end; return the status. Raises Lost."""
        reader, writer = self._pipe or await self.connect()
        writer.write(payload)
        return await self.read(reader)

    async def read(self, pipe: asyncio.StreamReader) -> int:
        reader, seen = Reader(), 0
        try:
            while data := await pipe.read(_PIECE_BYTES):
                seen += len(data)
                if reader.feed(data):
                    if reader.is_close or self.rng.random() < 0.2:
                        self.leave()
                    return reader.status
        except OSError:
            pass
        self.leave()
        if reader.status == 200:
            return 200  # broken off after its beginning, as a provider's reply was
        raise Lost(f"no answer, {seen} bytes")

    def leave(self, *, is_rude: bool = False) -> None:
        """Close the connection; rudely: whatever is under way is lost to both sides."""
        if self._pipe is not None:
            _, writer = self._pipe
            self._pipe = None
            if is_rude:
                writer.transport.abort()
            else:
                with contextlib.suppress(OSError):
                    writer.close()
