"""How many files a process may have open: each request under way takes two, one to its caller and one to a provider."""

import contextlib
import resource

FILES_PER_REQUEST = 2
SPARE_FILES = 256
"""For listeners, the store, logs, and connections that are kept."""


def raise_open_files() -> None:
    """Raise the limit of this process, and of those it will start, to what the system allows without being asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # macOS has a lower one that it does not tell of
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def room_for(most_requests: int) -> int:
    """Return how many of so many requests can be under way at once in this process, one at least."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return most_requests
    return max(1, min(most_requests, (soft - SPARE_FILES) // FILES_PER_REQUEST))
