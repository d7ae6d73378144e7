"""The wall clock is for dates. What lasts, or ends after so long, goes by the other one, which nobody can set."""

import ast
from pathlib import Path

from fairlead import clock

SOURCE = Path(clock.__file__).parent

DATES = {
    "admin/consent.py": "when an app asked for a key, and until when its ticket is good: sealed here, opened anywhere",
    "admin/events.py": "when an event was, for whoever reads it",
    "admin/explain.py": "on which days a generation is looked for",
    "admin/fleet.py": "when the view was taken",
    "admin/keys.py": "when a key was created, changed, expires",
    "admin/management.py": "whether a key has expired",
    "admin/oauth.py": "when a key was created, expires",
    "admin/usage.py": "which day it is",
    "app.py": "which day it is; when an alert's window ends",
    "cli/credits.py": "which day it is",
    "cli/keys.py": "when a key was created, changed, expires",
    "cli/serve.py": "when a key was created",
    "cli/usage.py": "which day it is",
    "edge/generations.py": "whether a key has expired, on which days a generation is looked for",
    "edge/inference.py": "when a request began: its date in ids, logs and books, and whether its key has expired",
    "edge/key.py": "whether a key has expired",
    "edge/models.py": "which model is new",
    "edge/responses.py": "when a Response was complete, which it says itself",
    "edge/presets.py": "when a preset was made, changed; whether a key has expired",
    "relay/beginning.py": "what is left until the date that a provider's Retry-After names",
    "store/draws.py": "whether a request began today",
    "store/till.py": "which day it is, when a rate has recovered, how old the ledger's entries may be",
    "upstream/webhook.py": "the date that is signed",
}
"""All modules that read the wall clock, and what for."""


def test_who_reads_the_wall_clock():
    reading = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if reads_wall(path)}
    assert reading == DATES.keys()


def reads_wall(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr == "wall":
            return True
        if isinstance(node, ast.ImportFrom) and any(name.name == "wall" for name in node.names):
            return True
    return False


def test_the_other_clock_never_goes_back():
    times = [clock.monotonic() for _ in range(1000)]
    assert times == sorted(times)
