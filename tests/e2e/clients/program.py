"""A program of a client's: started once, then told what to do, a line of JSON in and a line of JSON out each time."""

import json
import os
import queue
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ANSWER_WITHIN_S = 30.0
"""Nothing is asserted about any time below it: what takes longer hangs. Importing a large client takes seconds."""


@dataclass
class Told:
    """What became of a command."""

    heard: list = field(default_factory=list)
    """The pieces of text of a stream, in order, up to where it ended or broke."""
    result: dict | None = None
    """What the command returned; None if it raised an exception."""
    raised: list = field(default_factory=list)
    """The class of the exception and those above it, by name."""
    status: int | None = None
    """The HTTP status that the exception names, if it does."""
    said: str = ""
    """The text of the exception."""

    @property
    def text(self):
        return "".join(self.heard)

    def value(self):
        """The result; fails with the exception if there was one."""
        assert not self.raised, f"{self.raised[0]}: {self.said}"
        return self.result


class Program:
    """Starts with the first command, and anew with the next if it has hung or ended. `close` ends it."""

    def __init__(self, command, directory):
        self._command = command
        self._directory = Path(directory)
        self._complaints = self._directory / "stderr"
        self._process = None

    def ask(self, do, **members):
        """Do one thing, and return what became of it. Raises AssertionError if the program gives no answer."""
        if self._process is None:
            self._start()
        self._process.stdin.write(json.dumps({"do": do, **members}) + "\n")
        self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=ANSWER_WITHIN_S)
        except queue.Empty:
            line = None
        if line is None:
            self.close()
            raise AssertionError(f"no answer to {do!r}; it said:\n{self._complaints.read_text()[-4_000:]}")
        return Told(**json.loads(line))

    def _start(self):
        self._directory.mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": os.defpath,
            "HOME": str(self._directory),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # its own, instead of one that it would fetch
            "LANGSMITH_TRACING": "false",
        }
        with self._complaints.open("w") as complaints:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                encoding="utf-8",
            )
        self._lines = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout, self._lines), daemon=True)
        self._reader.start()

    @staticmethod
    def _read(stdout, lines):
        with stdout:
            for line in stdout:
                lines.put(line)
        lines.put(None)

    def close(self):
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._reader.join(ANSWER_WITHIN_S)
            self._process.stdin.close()
            self._process = None
