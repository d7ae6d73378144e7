"""`make fuzz`: the property tests of all parsers, with new examples, for about as long as one likes.

    PYTHONPATH=tests python -m fuzz [--seconds 600] [MODULE …]

Rounds grow: the first has few examples of each property, the next as many as fit into what is left of the time. A
round that fails ends it: what pytest prints is the smallest example that was found.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from fairlead import clock
from fuzz.parsers import PARSERS, TESTS

FIRST = 100
LEAST, MOST = 20, 50_000
SHARE = 0.8
"""Of the time that is left a round is made for: not all examples take as long as those before."""
GRACE = 1.2
LEAST_S = 60.0
"""A first round is let end, however little time it is given."""


def main():
    asked = argparse.ArgumentParser(prog="python -m fuzz")
    asked.add_argument("--seconds", type=float, default=600.0)
    asked.add_argument("modules", nargs="*", metavar="MODULE", help=f"such as {next(iter(PARSERS))}; all, if none")
    options = asked.parse_args()
    if unknown := set(options.modules) - PARSERS.keys():
        asked.error(f"no parser on the list: {', '.join(sorted(unknown))}; see tests/fuzz/parsers.py")
    files = dict.fromkeys(str(path) for module in options.modules or PARSERS for path in PARSERS[module])
    sys.exit(fuzz(list(files), options.seconds))


def fuzz(files, seconds):
    """Return the exit code: 0 unless something was found."""
    end, examples = clock.monotonic() + seconds, FIRST
    while True:
        begun = clock.monotonic()
        say(f"{examples} examples of each property, {end - begun:.0f} s left")
        code = round_of(files, examples, end - begun)
        now = clock.monotonic()
        examples = int(min(examples * SHARE * (end - now) / (now - begun), MOST))
        if code or examples < LEAST:
            return code


def round_of(files, examples, left_s):
    """Run all properties once, to the first that fails; what takes much longer than there is time for is ended."""
    options = ["-p", "fuzz.plugin", "-p", "no:cacheprovider", "-q", "-x", "-m", "hypothesis", "-o", "timeout=0"]
    with tempfile.TemporaryDirectory() as place:
        found = Path(place) / "found"
        command = [sys.executable, "-m", "pytest", *options, "--examples", str(examples), "--found", str(found), *files]
        with subprocess.Popen(command, cwd=TESTS.parent) as running:
            try:
                return running.wait(max(GRACE * left_s, LEAST_S))
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGINT)
                running.wait()
        # Its exit code does not tell: what is interrupted while it reports has been interrupted.
        say(f"the time is over, and {'something' if found.exists() else 'nothing'} was found")
        return int(found.exists())


def say(text):
    print(text, flush=True)  # noqa: T201 - to whoever waits for it


if __name__ == "__main__":
    main()
