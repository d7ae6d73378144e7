"""A raw HTTP/1.1 client: what is sent and received is bytes, so that nothing is hidden or repaired."""

import asyncio
import json
from dataclasses import dataclass

from harness import shown
from harness.gateway import KEY, MODEL


@dataclass
class Answer:
    """A reply as it came: `parts` are the chunks of a chunked body (each as framed), `is_whole` whether it ended."""

    status: int
    headers: dict
    parts: list
    is_whole: bool

    @property
    def body(self):
        return b"".join(self.parts)

    @property
    def json(self):
        return json.loads(self.body)


def request_bytes(body, *, path="/v1/chat/completions", key=KEY, method="POST", headers=()):
    lines = [f"{method} {path} HTTP/1.1", "host: gateway", f"content-length: {len(body)}"]
    if key is not None:
        lines.append(f"authorization: Bearer {key}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chat_body(content="hi", *, model=MODEL, **members):
    return json.dumps({"model": model, "messages": [{"role": "user", "content": content}], **members}).encode()


async def read_answer(reader):
    """Read one reply; an end of the connection inside it makes it not whole."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    answer = Answer(int(first.split(" ")[1]), headers, [], False)
    try:
        if "content-length" in headers:
            answer.parts.append(await reader.readexactly(int(headers["content-length"])))
            answer.is_whole = True
        else:
            while not answer.is_whole:
                size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
                data = await reader.readexactly(size + 2)
                answer.is_whole = size == 0
                if size:
                    answer.parts.append(data[:-2])
    except (asyncio.IncompleteReadError, ConnectionResetError) as error:
        answer.parts.append(getattr(error, "partial", b""))
    return answer


async def ask(gateway, body, **options):
    """Send one request over a connection of its own and return its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        writer.write(request_bytes(body, **options))
        async with asyncio.timeout(10):
            answer = await read_answer(reader)
            shown.look_through_answer("an answer", answer.status, answer.body)
            return answer
    finally:
        writer.close()
        await writer.wait_closed()


def events(body):
    """The data of a stream's events."""
    return [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
