"""`python -m fairlead.demo`: the simulated providers as a process."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence

import orjson
import uvloop

from fairlead.demo.personality import DEMO_PROVIDERS, PERSONALITIES
from fairlead.demo.run import run_demo, watch_parent
from fairlead.demo.script import PLAIN, Script, parse_script
from fairlead.demo.server import Simulator


def _script(written: str) -> Script:
    try:
        return parse_script(written)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fairlead.demo", description="Simulated model providers on HTTP.")
    names = ", ".join(PERSONALITIES)
    add = parser.add_argument
    add("--personality", action="append", choices=PERSONALITIES, metavar="NAME", help=f"may be repeated: {names}")
    add("--host", default="127.0.0.1", help="an IP address")
    add("--port", type=int, default=0, help="of the first; the others take the ports after it (0: any free ones)")
    add("--uds", metavar="PATH", help="listen on a Unix socket instead; for one personality")
    add("--latency", choices=("on", "off"), default="on", help="off: answer at once")
    add("--script", type=_script, default=PLAIN, help='what to do with each request, as {"status": 503} or status=503')
    add("--seed", type=int, default=0, help="of latency, failures and texts")
    add("--announce", action="store_true", help="print one line of JSON for each provider once all of them listen")
    add("--with-parent", action="store_true", help="end when the parent does, or closes our standard input")
    return parser


def _announce(simulators: Sequence[Simulator]) -> None:
    for simulator in simulators:
        members = {"name": simulator.personality.name, "base_url": simulator.base_url}
        if isinstance(simulator.address, str):
            members["uds"] = simulator.address
        sys.stdout.write(orjson.dumps(members).decode() + "\n")
    sys.stdout.flush()


async def _serve(arguments: argparse.Namespace, parent_pid: int) -> None:
    personalities = [PERSONALITIES[name] for name in arguments.personality or (p.name for p in DEMO_PROVIDERS)]
    if arguments.latency == "off":
        personalities = [personality.without_latency() for personality in personalities]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if arguments.with_parent:
        watch_parent(parent_pid, stop.set)
    await run_demo(
        personalities,
        host=arguments.host,
        port=arguments.port,
        uds=arguments.uds,
        script=arguments.script,
        seed=arguments.seed,
        on_ready=_announce if arguments.announce else lambda simulators: None,
        until=stop,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal or the parent's end. The exit code is 0 unless the address cannot be had."""
    parent_pid = os.getppid()  # first of all: it must be the parent that started us
    parser = _arguments()
    arguments = parser.parse_args(argv)
    if arguments.uds is not None and len(arguments.personality or DEMO_PROVIDERS) != 1:
        parser.error("--uds needs exactly one --personality")
    try:
        uvloop.run(_serve(arguments, parent_pid))
    except OSError as error:
        sys.stderr.write(f"python -m fairlead.demo: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
