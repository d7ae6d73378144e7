"""The load balancers whose configuration we ship, as the real programs, in front of gateways on loopback.

What runs is the file in deploy/, with other ports and without the names of hosts; nothing else is changed.
"""

import contextlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from harness.process import PATIENCE_S, until
from harness.valkey import free_port
from harness.yamlfile import TOOLS

DEPLOY = Path(__file__).parents[2] / "deploy"
_PATH = os.pathsep.join([str(TOOLS), os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])  # noqa: TID251


@dataclass(frozen=True)
class Kind:
    """One program. `check` and `run` are its arguments, with the file it is to read at %s."""

    name: str
    file: str
    check: tuple
    run: tuple
    has_health_checks: bool = True

    @property
    def shipped(self):
        return DEPLOY / self.file

    @property
    def program(self):
        """Its path; the test is skipped where it is not installed."""
        if (found := shutil.which(self.name, path=_PATH)) is None:
            pytest.skip(f"no {self.name} on this machine")
        return found


KINDS = (
    Kind("nginx", "nginx/fairlead.conf", ("-t", "-q", "-c", "%s"), ("-c", "%s"), has_health_checks=False),
    Kind("haproxy", "haproxy/haproxy.cfg", ("-c", "-q", "-f", "%s"), ("-W", "-db", "-f", "%s")),
    Kind("caddy", "caddy/Caddyfile", ("validate", "--config", "%s"), ("run", "--config", "%s")),
    Kind(
        "envoy",
        "envoy/envoy.yaml",
        ("--mode", "validate", "-l", "error", "-c", "%s"),
        ("-l", "error", "--disable-hot-restart", "--concurrency", "2", "-c", "%s"),
    ),
)

_LISTENERS = {
    "nginx": ("listen 80;", "listen 127.0.0.1:{port};"),
    "haproxy": ("bind :80\n", "bind 127.0.0.1:{port}\n"),
    "caddy": ("\n:80 {{", "\nhttp://127.0.0.1:{port} {{\n\tbind 127.0.0.1"),
    "envoy": ("address: 0.0.0.0, port_value: 80 ", "address: 127.0.0.1, port_value: {port} "),
}
_GATEWAY = re.compile(r"gateway-([12])(:8420|, port_value: 8420)")

_AROUND_NGINX = """\
{user}daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
worker_processes 2;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/fairlead.conf;
}}
"""
"""What a distribution's nginx.conf has around conf.d/, with nothing outside of `folder`."""


def rendered(kind, port, gateways):
    """The shipped file, listening on `port` of loopback, in front of two ports of loopback."""
    theirs, ours = (text.format(port=port) for text in _LISTENERS[kind.name])
    text = kind.shipped.read_text()
    assert text.count(theirs) == 1, f"{kind.file} listens otherwise than {theirs!r}"

    def to_loopback(match):
        number = gateways[int(match[1]) - 1]
        return f"127.0.0.1{match[2].replace('8420', str(number))}"

    text, count = _GATEWAY.subn(to_loopback, text.replace(theirs, ours))
    assert count == 2, f"{kind.file} names {count} gateways"
    return text


class Balancer:
    """Use `with`: it runs as long as the block. `gateways` are their ports."""

    def __init__(self, kind, folder, gateways):
        self.kind = kind
        self.host = "127.0.0.1"
        self.port = free_port()
        self._folder = folder
        folder.mkdir(parents=True)
        self._file = folder / kind.shipped.name
        self._file.write_text(rendered(kind, self.port, gateways))
        if kind.name == "nginx":
            user = "user root;\n" if os.geteuid() == 0 else ""  # else its workers are somebody who may not look in here
            self._file = folder / "nginx.conf"
            self._file.write_text(_AROUND_NGINX.format(folder=folder, user=user))
        self._process = None

    def _command(self, arguments):
        more = ("--adapter", "caddyfile") if self.kind.name == "caddy" else ()
        return [self.kind.program, *(word.replace("%s", str(self._file)) for word in arguments), *more]

    @property
    def _env(self):
        return {"PATH": _PATH, "HOME": str(self._folder)}

    def check(self):
        """Return what the program says of its file when asked to check it, and whether it takes it."""
        done = subprocess.run(
            self._command(self.kind.check), env=self._env, cwd=self._folder, capture_output=True, text=True,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        return done.stdout + done.stderr, done.returncode == 0

    def __enter__(self):
        with open(self._folder / "log", "wb") as log:
            self._process = subprocess.Popen(
                self._command(self.kind.run), env=self._env, cwd=self._folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            until(self._serves)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            self._process.wait()

    @property
    def log(self):
        return (self._folder / "log").read_text(errors="replace")

    def _serves(self):
        assert self._process.poll() is None, self.log
        with contextlib.suppress(OSError), contextlib.closing(HTTPConnection("127.0.0.1", self.port, PATIENCE_S)) as it:
            it.request("GET", "/readyz")
            return it.getresponse().status == 200
        return False
