"""A supervisor over a tiny application: `python tiny_gateway.py SETTINGS.json [NOTIFY_SOCKET [WATCHDOG_S]]`.

Prints one line of JSON for each thing that happens. The settings are read again on SIGHUP.
"""

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from fairlead.edge.limits import Limits
from fairlead.edge.protocol import guarded_protocol
from fairlead.edge.server import WorkerServer
from fairlead.errors import ConfigError
from fairlead.supervisor.run import Supervisor
from fairlead.supervisor.worker import WorkerStart


@dataclass(frozen=True)
class Url:
    text: str

    def reveal(self):
        return self.text

    def masked(self):
        return "masked"


@dataclass(frozen=True)
class Settings:
    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    workers: int = 1
    redis_url: Url | None = Url("redis://:secret@127.0.0.1:1/0")
    drain_delay_s: float = 0.0
    drain_timeout_s: float = 30.0
    demo: tuple[str, ...] = ()
    mark: str = ""
    """What the workers show, to tell settings apart."""
    fault: str = ""
    """How the worker of `faulty_slot` fails to start."""
    faulty_slot: int = 0


def read_settings():
    written = json.loads(Path(sys.argv[1]).read_text())
    if "bad" in written:
        raise ConfigError(f"FAIRLEAD_BAD={written['bad']}: is bad")
    written["data_dir"] = Path(written["data_dir"])
    if "redis_url" in written:
        written["redis_url"] = written["redis_url"] and Url(written["redis_url"])
    return Settings(**written)


class App:
    """`/show` tells about the worker, `/echo` sends each part of the body back as it comes, `/readyz` is readiness."""

    def __init__(self, start):
        self.start = start
        self.is_ready = True
        self.endings = set()

    @property
    def in_flight(self):
        return len(self.endings)

    def begin(self):
        self.is_ready = False

    def end_endless(self):
        """Nothing here is."""

    def expire(self):
        for end in list(self.endings):
            end()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        elif scope["path"] == "/echo":
            await self.echo(scope, receive, send)
        elif scope["path"] == "/readyz":
            await reply(send, 200 if self.is_ready else 503, {"pid": os.getpid()})
        else:
            start = self.start
            shown = {
                "pid": os.getpid(),
                "mark": start.settings.mark,
                "redis": start.redis_url,
                "demo": dict(start.demo),
            }
            await reply(send, 200, shown)

    async def live(self, receive, send):
        await receive()
        if self.start.settings.fault and self.start.slot == self.start.settings.faulty_slot:
            await fail(self.start.settings.fault, send)
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def echo(self, scope, receive, send):
        caller = scope["extensions"]["fairlead.connection"]
        has_expired = False

        def end():
            nonlocal has_expired
            has_expired = True
            message_event.set()

        message_event = receive.__self__.message_event  # of uvicorn's cycle: what its `receive` waits for
        self.endings.add(end)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            more = True
            while more and not caller.is_gone:
                message = await receive()
                more = message.get("more_body", False) and not has_expired
                part = b"expired" if has_expired else message.get("body", b"")
                await send({"type": "http.response.body", "body": part, "more_body": more})
        finally:
            self.endings.discard(end)


async def fail(fault, send):
    match fault:
        case "config":
            raise ConfigError("FAIRLEAD_X=1: is wrong,\n set it to 2")
        case "bug":
            raise KeyError("missing")
        case "told":
            await send({"type": "lifespan.startup.failed", "message": "no cheese"})
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)


async def reply(send, status, value):
    body = json.dumps(value).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def worker_main(start: WorkerStart):
    app = App(start)
    settings = start.settings
    WorkerServer(
        app,
        guarded_protocol(Limits()),
        app,
        start.control,
        keep_alive_s=60.0,
        drain_delay_s=settings.drain_delay_s,
        drain_timeout_s=settings.drain_timeout_s,
    ).run(sockets=list(start.sockets))


def tell(**members):
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


class Log:
    def info(self, event):
        tell(log="info", text=event)

    def warning(self, event):
        tell(log="warning", text=event)

    def error(self, event):
        tell(log="error", text=event)


def announce(running):
    tell(
        log="running",
        text="",
        pid=running.pid,
        url=running.url,
        workers=running.workers,
        store=running.store,
        demo=dict(running.demo),
    )


def main():
    settings = read_settings()
    notify_socket = sys.argv[2] if len(sys.argv) > 2 else None
    watchdog_s = float(sys.argv[3]) if len(sys.argv) > 3 else None
    supervisor = Supervisor(
        settings,
        worker_main,
        announce,
        reload=read_settings,
        log=Log(),
        demo=settings.demo,
        notify_socket=notify_socket,
        watchdog_s=watchdog_s,
    )
    try:
        code = supervisor.run()
    except ConfigError as error:
        tell(log="refused", text=str(error))
        code = 3
    tell(log="ended", text=str(code))
    sys.exit(code)


if __name__ == "__main__":
    main()
