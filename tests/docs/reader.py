"""Somebody who does what a page says: each block as it stands, one after the other, in a directory of their own.

Their `fairlead` is the one that the tests import. They have no other settings, and 127.0.0.1:8420 is where their
gateway listens, whatever port that is.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from docs.pages import ROOT
from fairlead.store.embedded import find_server
from harness.process import PROGRAM, SOURCE, GatewayProcess

EXAMPLE = "127.0.0.1:8420"
ADMIN_KEY = "sk-fl-admin-v1-" + "0d" * 32
LIMIT_S = 60.0
FAR = 2**32
"""A time in the year 2106: what make finds newer than anything it would have to be made from."""


class Reader:
    """`do` the blocks of a page in order; `close` at the end. `says` are texts to put in the place of others."""

    def __init__(self, directory, **settings):
        self.directory = directory
        self.settings = settings
        self.says = {}
        self.place = directory / "here"
        """Where they are: the root of the project, as far as its pages name what is in it."""
        self.said = ""
        """What the last block printed."""
        self.gateway = None
        self._bin = directory / "bin"
        self._venv = directory / "venv"
        self._equip()

    def _equip(self):
        for folder in (self.place, self._bin, self._venv / "bin"):
            folder.mkdir(parents=True)
        fairlead = self._program("fairlead", shlex.join(PROGRAM))
        (self._venv / "bin" / "fairlead").symlink_to(fairlead)
        self._program("curl", f"{shutil.which('curl')} --fail-with-body")  # a refusal fails, as a reader would see it
        self._program("valkey-server", find_server().path)
        self._program("valkey-cli", f"{sys.executable} {Path(__file__).with_name('valkey_cli.py')}")
        ready = self._venv / ".ready"
        ready.touch()
        os.utime(ready, (FAR, FAR))  # so that make installs nothing
        (self.place / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")  # whoever owns the project
        for name in ("src", "tests", "bench", "deploy", ".env.example"):
            (self.place / name).symlink_to(ROOT / name)

    def _program(self, name, command):
        path = self._bin / name
        path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        path.chmod(0o755)
        return path

    def do(self, block):
        if block.file:
            (self.place / block.file).write_text(block.text)
        elif block.note == "goes on":
            self.serve(["sh", "-euc", block.text.replace("<this repository>", str(ROOT))])
        elif block.language == "python":
            self._run([sys.executable, "-c"], block)
        else:
            self._run(["sh", "-euc"], block)

    def serve(self, command=(*PROGRAM, "serve")):
        """Start their gateway."""
        self.gateway = _Started(self.place, self._variables, command=command).start()
        return self.gateway

    def stop(self):
        """End it as an operator does, and return when it has ended."""
        gateway, self.gateway = self.gateway, None
        gateway.signal(signal.SIGTERM)
        gateway.wait()
        gateway.close()

    @property
    def _variables(self):
        return {
            "PATH": f"{self._bin}:{os.environ.get('PATH', os.defpath)}",  # noqa: TID251 - curl, git, make
            "FAIRLEAD_DATA_DIR": str(self.directory / "data"),
            "FAIRLEAD_ADMIN_KEY": ADMIN_KEY,
            "MAKEFLAGS": f"VENV={self._venv}",
            **self.settings,
        }

    @contextlib.contextmanager
    def started(self, block):
        """Start what a block says and does not end, that is no gateway; end it at the end."""
        command = ["sh", "-euc", f"exec {self._text(block)}"]
        log = self.directory / "started.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=self.place, env=self._environment, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(LIMIT_S)

    @property
    def _environment(self):
        port = 0 if self.gateway is None else self.gateway.port  # never somebody else's
        return {"HOME": str(self.directory), "PYTHONPATH": SOURCE, **self._variables, "FAIRLEAD_PORT": str(port)}

    def _text(self, block):
        here = {} if self.gateway is None else {EXAMPLE: f"127.0.0.1:{self.gateway.port}"}
        text = block.text
        for old, new in {**here, **self.says}.items():
            text = text.replace(old, new)
        return text

    def _run(self, shell, block):
        command = [*shell, self._text(block)]
        done = subprocess.run(
            command, cwd=self.place, env=self._environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        self.said = done.stdout
        assert done.returncode == 0, f"{block}:\n{block.text}\n{done.stdout}{done.stderr}"

    def close(self):
        if self.gateway is not None:
            self.gateway.close()


class _Started(GatewayProcess):
    """One that make or a shell has started: they are told together, as by Ctrl-C."""

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
