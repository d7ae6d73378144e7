"""`fairlead demo`: the simulated providers alone."""

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fairlead.demo.server import Simulator


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    default=0,
    show_default=True,
    help="Port of the first; the others take the next ones; 0: any free ones",
)
@click.option("--json", "is_json", is_flag=True, help="Print JSON, on one line, as soon as they answer")
def demo(port: int, is_json: bool) -> None:
    """Run the simulated providers alone.

    For pointing something else at them, until SIGTERM or Ctrl-C. Every reply says DEMO. `fairlead serve` starts them
    by itself while no provider is configured.
    """
    import uvloop

    try:
        uvloop.run(_run(port, is_json=is_json))
    except (OSError, OverflowError) as error:
        click.echo(f"fairlead: cannot listen on 127.0.0.1 from port {port} on: {error}", err=True)
        sys.exit(1)


async def _run(port: int, *, is_json: bool) -> None:
    from fairlead.demo.run import run_demo

    def announce(simulators: "Sequence[Simulator]") -> None:
        if is_json:
            click.echo(json.dumps([_members(simulator) for simulator in simulators]))
            return
        for simulator in simulators:
            models = ", ".join(model.id for model in simulator.personality.models)
            click.echo(f"  {simulator.personality.name:<12}  {simulator.base_url}  {models}")

    until = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, until.set)
    await run_demo(port=port, on_ready=announce, until=until)


def _members(simulator: "Simulator") -> dict[str, object]:
    known = simulator.personality
    return {"name": known.name, "base_url": simulator.base_url, "models": [model.id for model in known.models]}
