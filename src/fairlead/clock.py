"""The one door to time.

Pure code takes `now` as an argument; the caller reads it here, once per event.
"""

import time

monotonic = time.monotonic  # noqa: TID251 - this is the door
"""Seconds on a clock that never goes back: durations, deadlines, estimators."""

wall = time.time  # noqa: TID251 - this is the door
"""Unix seconds: only for what people and other machines read (`created`, ids, logs)."""

thread_cpu = time.thread_time
"""CPU seconds that this thread has taken: for one that must not take too much beside the loop."""
