"""A simulated provider as a process: `python -m bench.faults.provider --name a --port 9001 --first-token-s 0.06`.

SIGUSR1 makes its first tokens six times as slow, SIGUSR2 as they were.
"""

import argparse
import asyncio
import signal
from dataclasses import replace

import uvloop

from fairlead.demo import Personality, Simulator

BROWN_OUT = 6.0
SPREAD = 0.5
"""Sigma of the lognormal first-token times: a coefficient of variation of 0.53."""
TOKENS_PER_S = 200.0


async def serve(name: str, port: int, first_token_s: float) -> None:
    """Answer on 127.0.0.1:`port` until SIGTERM."""
    usual = Personality(name, first_token_s=first_token_s, spread=SPREAD, tokens_per_s=TOKENS_PER_S)
    slow = replace(usual, first_token_s=BROWN_OUT * first_token_s)
    ended = asyncio.Event()
    simulator = Simulator(usual, seed=port, keep_requests=1)
    await simulator.start(port=port)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, setattr, simulator, "personality", slow)
    loop.add_signal_handler(signal.SIGUSR2, setattr, simulator, "personality", usual)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await simulator.close()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults.provider")
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--first-token-s", type=float, required=True, help="median")
    args = parser.parse_args()
    uvloop.run(serve(args.name, args.port, args.first_token_s))


if __name__ == "__main__":
    main()
