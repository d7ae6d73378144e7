"""How far a long command is: a bar on standard error, where that is a terminal, so that no output is spoilt by it."""

import contextlib
import sys
from collections.abc import Callable, Iterator

import click

Tell = Callable[[int, int], None]
"""Told how much is done, of how much. Both may grow."""


@contextlib.contextmanager
def progress(label: str, *, is_wanted: bool = True) -> Iterator[Tell]:
    """Show a bar while the block runs."""
    if not is_wanted or not sys.stderr.isatty():
        yield lambda _, __: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def tell(done: int, total: int) -> None:
            step = min(done, total) - bar.pos
            if done >= total or 100 * step >= total:  # drawing it for each entry would take longer than reading
                bar.length = max(total, 1)
                bar.update(step)

        yield tell
