"""A simulated provider on a socket."""

import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from ssl import SSLContext
from typing import Self

from fairlead.demo.answer import Provider, is_chat
from fairlead.demo.connection import Connection
from fairlead.demo.control import control, is_for_provider
from fairlead.demo.door import Address, Door
from fairlead.demo.intake import BadRequest, ReceivedRequest
from fairlead.demo.performance import Performance, stage
from fairlead.demo.personality import INSTANT, PLAIN_PROVIDER, Pace, Personality
from fairlead.demo.record import Record
from fairlead.demo.reply import Reply, error
from fairlead.demo.script import PLAIN, Script, parse_script


class Simulator:
    """A provider that does what it is told.

    A request follows the script in its own `x-demo-script` header, else the first of `queue`, which is used up by it,
    else `script`. The three paths of `control` follow none.
    """

    def __init__(
        self,
        personality: Personality = PLAIN_PROVIDER,
        *,
        script: Script = PLAIN,
        seed: int = 0,
        keep_requests: int = 1000,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - this package imports nothing of ours, clock included
    ) -> None:
        self.personality = personality
        self.record = Record(keep=keep_requests)
        self.queue: deque[Script] = deque()
        self._script = PLAIN if script == PLAIN else script  # so that a look at the identity is enough
        self._provider = Provider(personality, seed)
        self._rng = random.Random(seed)
        self._clock = clock
        self._connections: set[Connection] = set()
        self._door: Door | None = None
        self._is_tls = False

    # What it saw.

    @property
    def requests(self) -> deque[ReceivedRequest]:
        """The requests that arrived, oldest first; see `Record.keep`."""
        return self.record.requests

    @property
    def connections(self) -> int:
        """How many connections were ever opened."""
        return self.record.connections

    @property
    def aborted(self) -> int:
        """How many connections the peer left before the reply was complete."""
        return self.record.aborted

    async def wait_for(self, condition: "Callable[[Simulator], bool]", timeout_s: float = 5.0) -> None:
        """Return once `condition(self)` holds; it is asked again after each change, never by polling."""
        await self.record.wait_for(lambda: condition(self), timeout_s)

    # What it does.

    @property
    def script(self) -> Script:
        """What happens to requests that bring no script while the queue is empty."""
        return self._script

    @script.setter
    def script(self, script: Script) -> None:
        self._script = PLAIN if script == PLAIN else script
        self._follow_refusal()

    # Where it is.

    @property
    def address(self) -> Address:
        """Where it listens, or would while it refuses."""
        assert self._door is not None, "not started"
        return self._door.address

    @property
    def port(self) -> int:
        """The bound port; 0 on a Unix socket."""
        return 0 if isinstance(self.address, str) else self.address[1]

    @property
    def base_url(self) -> str:
        """What an OpenAI client is given; without a trailing slash."""
        scheme = "https" if self._is_tls else "http"
        if isinstance(self.address, str):
            return f"{scheme}://localhost/v1"
        host, port = self.address
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/v1"

    async def start(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl: SSLContext | None = None,
        uds: str | None = None,
    ) -> None:
        """Listen at an IP address, or at the path `uds`."""
        assert self._door is None, "already started"
        self._is_tls = ssl is not None
        self._door = Door((host, port) if uds is None else uds, self._connection, ssl)
        self._door.open()
        await self._door.opened()
        self._follow_refusal()

    async def close(self) -> None:
        """Stop listening and abort what is open; returns when every connection is gone."""
        if self._door is None:
            return
        self._door.remove()
        self._door = None
        for connection in list(self._connections):
            connection.abort()
        await self.wait_for(lambda sim: not sim.record.open_connections)

    async def __aenter__(self) -> Self:
        if self._door is None:
            await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def _follow_refusal(self) -> None:
        if self._door is None:
            return
        if self._script.refuse and self._door.is_open:
            self._door.shut()
        elif not self._script.refuse and not self._door.is_open:
            self._door.open()

    # What connections ask.

    def _connection(self) -> Connection:
        return Connection(
            self.record,
            self._connections,
            perform=self._perform,
            is_counted=is_for_provider,
            is_unwelcome=self._is_unwelcome,
        )

    def _is_unwelcome(self) -> bool:
        if self.queue and self.queue[0].reset_on_accept:
            self.queue.popleft()
            return True
        return self._script.reset_on_accept

    def _perform(self, item: ReceivedRequest | BadRequest) -> Performance:
        name = self.personality.name
        script, pace, is_kept = PLAIN, INSTANT, False
        if isinstance(item, BadRequest):
            reply = error(item.status, str(item))
        else:
            is_kept = item.is_kept_alive
            if is_for_provider(item):
                script, pace, reply = self._answer(item)
            else:
                reply = control(item, self.record, self._direct, name=name)
        return stage(reply, script, pace, provider=name, keep_alive=is_kept)

    def _answer(self, request: ReceivedRequest) -> tuple[Script, Pace, Reply]:
        try:
            script = self._script_for(request)
        except ValueError as wrong:
            return PLAIN, INSTANT, error(400, f"x-demo-script: {wrong}", code="invalid_script")
        pace = self.personality.draw(self._rng) if is_chat(request) else INSTANT
        return script, pace, self._provider.answer(request, script, pace, self._clock())

    def _script_for(self, request: ReceivedRequest) -> Script:
        written = request.header("x-demo-script")
        if written is None:
            return self.queue.popleft() if self.queue else self._script
        script = parse_script(written)
        if script.refuse:
            raise ValueError("refuse is for a server's default script")
        return script

    def _direct(self, default: Script | None, queue: Sequence[Script] | None) -> None:
        if queue is not None:
            self.queue.clear()
            self.queue.extend(queue)
        if default is not None:
            self.script = default
