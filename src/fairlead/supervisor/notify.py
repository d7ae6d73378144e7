"""What systemd is told when the unit is `Type=notify` or `notify-reload` (sd_notify(3))."""

import contextlib
import socket

from fairlead.clock import monotonic

READY = "READY=1"
STOPPING = "STOPPING=1"
WATCHDOG = "WATCHDOG=1"


def reloading() -> str:
    """The state that a `READY=1` ends. systemd wants its time too, to tell a new reload from an old one."""
    return f"RELOADING=1\nMONOTONIC_USEC={int(monotonic() * 1e6)}"


def notify(address: str | None, state: str) -> None:
    """Send `state` to `address`, the value of NOTIFY_SOCKET; None: nobody listens.

    Errors are dropped: a service manager that does not listen is no reason not to serve.
    """
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        sender.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
