"""A client that writes bytes as it pleases and reads what comes as it came."""

import contextlib
import select
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

import httptools

from harness.listener import ResponseReader
from harness.process import PATIENCE_S

KEY = "sk-hostile-client-1b7e90d3c5"
ADMIN_KEY = "hostile-admin-4c2f8a6e1d"
CHAT = "/v1/chat/completions"
PIECE_BYTES = 262_144
_INODE = 9


def head(*fields, method="POST", path=CHAT, key=KEY, host="gateway", version="HTTP/1.1"):
    """Request line and fields up to the empty line; text is sent as Latin-1, so that it can be any bytes."""
    lines = [f"{method} {path} {version}", *([f"Host: {host}"] if host else [])]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    encoded = [line if isinstance(line, bytes) else line.encode("latin-1") for line in (*lines, *fields)]
    return b"\r\n".join([*encoded, b"", b""])


def sized(body, *fields, **options):
    return head(f"Content-Length: {len(body)}", *fields, **options) + body


def chunked(rest, *fields, **options):
    """`rest` is the body with its framing."""
    return head("Transfer-Encoding: chunked", *fields, **options) + rest


def chunks(*parts):
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


def get(path, *fields, key=None, **options):
    return head(*fields, method="GET", path=path, key=key, **options)


@dataclass
class Seen:
    """All that a connection sent before it ended."""

    replies: list
    was_reset: bool

    @property
    def statuses(self):
        return [reply.status for reply in self.replies]


class Raw:
    """One connection; use `with`. Each wait is bounded by PATIENCE_S and fails beyond it."""

    def __init__(self, gateway, *, receive_bytes=None):
        self._socket = socket.socket()
        if receive_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._socket.settimeout(PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.connect(("127.0.0.1", gateway.port))
        self._ends = [f":{end[1]:04X}" for end in (self._socket.getsockname(), self._socket.getpeername())]
        self._reader = ResponseReader()
        self.received = b""
        self.was_reset = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    # What it does

    def send(self, data):
        """Write all of it; returns False if the gateway has closed before."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def send_without_end(self, data, most_bytes):
        """Write `data` again and again, until the gateway has closed or so many bytes have been taken.

        Returns how many. A gateway that takes no more is waited for until it closes or takes on.
        """
        piece = data * max(1, PIECE_BYTES // len(data))
        sent = 0
        while sent < most_bytes and self.send(piece):
            sent += len(piece)
        return sent

    def half_close(self):
        """Nothing more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Leave by RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def leave(self):
        self._socket.close()

    # What comes back

    def _read(self):
        try:
            data = self._socket.recv(65_536)
        except ConnectionResetError:
            self.was_reset = True
            return False
        self.received += data
        if data:
            with contextlib.suppress(httptools.HttpParserUpgrade):
                self._reader.parser.feed_data(data)
        return bool(data)

    def replies(self, count):
        """Return the first `count` replies, once they are whole."""
        while sum(reply.is_complete for reply in self._reader.responses) < count:
            assert self._read(), f"it ended before {count} replies: {self.received[-500:]!r}"
        return self._reader.responses

    def reply(self):
        return self.replies(1)[0]

    def until(self, text):
        """Read on until `text` has come."""
        while text not in self.received:
            assert self._read(), f"it ended before {text!r}: {self.received[-500:]!r}"

    def up_to(self, most_bytes):
        """Read on until a reply is whole, or so many bytes have come, or the connection ends."""
        while len(self.received) < most_bytes and not any(reply.is_complete for reply in self._reader.responses):
            if not self._read():
                break

    def rest(self):
        """Read to the end of the connection, whoever ends it how."""
        while self._read():
            pass
        return Seen(self._reader.responses, self.was_reset)

    def is_held(self):
        """Whether the gateway still has its end. (What it has let go of the kernel may keep, while we take nothing.)"""
        ours, theirs = self._ends
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(theirs) and fields[2].endswith(ours):
                return fields[_INODE] != "0"
        return False


def wait_for_any(raws, limit_s):
    """Return those that have something to be read, or have ended, as soon as there are any, or after so long."""
    sockets = {raw._socket: raw for raw in raws}
    return [sockets[one] for one in select.select(list(sockets), [], [], limit_s)[0]]


def exchange(gateway, *parts):
    """Send the parts on a connection of their own, and return what came until the gateway closed it."""
    with Raw(gateway) as raw:
        for part in parts:
            raw.send(part)
        return raw.rest()


def ask(gateway, data):
    """Send one request on a connection of its own and return its reply."""
    with Raw(gateway) as raw:
        raw.send(data)
        return raw.reply()
