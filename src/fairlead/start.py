"""What a worker process runs first: it loads the worker, and no more than that.

The supervisor names it, and stays as small as it is, since nothing of a worker is loaded here before it is called.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fairlead.config import Settings
from fairlead.supervisor.worker import WorkerStart

UNUSED = ("opentelemetry.metrics", "opentelemetry.sdk.metrics", "rich", "greenlet")
"""Libraries of ours load these where they are installed, for what we do not ask of them: redis-py to count commands
(4 MB, and the image has them), structlog to draw tracebacks (5 MB) and for variables of greenlets (2 MB)."""


def run_worker(start: WorkerStart[Settings]) -> None:
    """Serve until told to end."""
    with absent(*UNUSED):
        from fairlead.app import serve
    serve(start)


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """Let modules not be found that are not loaded yet, as if they were not installed."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: see "The module cache" in Python's reference
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
