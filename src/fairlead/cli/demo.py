"""`fairlead demo`: the simulated providers alone."""

import asyncio
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
def demo(port: int) -> None:
    """Run the simulated providers alone.

    For pointing something else at them, until SIGTERM or Ctrl-C. Every reply says DEMO. `fairlead serve` starts them
    by itself while no provider is configured.
    """
    import uvloop

    try:
        uvloop.run(_run(port))
    except (OSError, OverflowError) as error:
        click.echo(f"fairlead: cannot listen on 127.0.0.1 from port {port} on: {error}", err=True)
        sys.exit(1)


async def _run(port: int) -> None:
    from fairlead.demo.run import run_demo

    def announce(simulators: "Sequence[Simulator]") -> None:
        for simulator in simulators:
            models = ", ".join(model.id for model in simulator.personality.models)
            click.echo(f"  {simulator.personality.name:<12}  {simulator.base_url}  {models}")

    until = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, until.set)
    await run_demo(port=port, on_ready=announce, until=until)
