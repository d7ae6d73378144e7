"""What the kernel knows of a TCP connection, and asyncio does not say. Linux only; elsewhere nothing is known."""

import socket
import struct

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)
_STATE_AND_ACKED = struct.Struct("=B119xQ")
"""`tcpi_state` and, since Linux 4.2, `tcpi_bytes_acked` of `struct tcp_info`."""
_ESTABLISHED = 1


def look(sock: socket.socket) -> tuple[bool, int]:
    """Tell whether neither side of `sock` has closed, and how many of our bytes the peer's kernel has acknowledged.

    Answers for this moment, ahead of the event loop: a close may not have been read yet. The count is 0 where it is
    not kept (gVisor fills the field with zeros), and the answer (True, 0) where nothing can be known.
    """
    if _TCP_INFO is None:
        return True, 0
    try:
        state, acked = _STATE_AND_ACKED.unpack(sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _STATE_AND_ACKED.size))
    except (OSError, struct.error):
        return True, 0
    return state == _ESTABLISHED, acked
