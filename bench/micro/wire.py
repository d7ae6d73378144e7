"""A connection without a network, for the cases that need one."""

import asyncio
from collections.abc import Callable
from typing import Any


class Wire(asyncio.Transport):
    """A transport that hands what is written to `take`."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        super().__init__()
        self.write = take  # type: ignore[assignment,method-assign]  # one call less to be timed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def close(self) -> None:
        pass
