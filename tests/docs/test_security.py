"""SECURITY.md: what it says each key can do is what it can do."""

import contextlib
import http.client
import re

import pytest

from docs.pages import ROOT
from harness.process import GatewayProcess

TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
WHO = ("nobody", "inference", "management", "admin")
ADMIN_KEY = "sk-fl-admin-v1-" + "0e" * 32
ROWS = [
    (request, dict(zip(WHO, (mark == "●" for mark in marks.split(" | ")), strict=True)))
    for requests, marks in re.findall(r"^\| [^|]+ \| (`[^|]+`) \| ((?:[●–] \| ){3}[●–]) \|$", TEXT, re.MULTILINE)
    for request in re.findall(r"`(\w+ [^`]+)`", requests)
]


def test_the_table_is_found():
    assert len(ROWS) > 15
    assert re.search(rf"^\| \| \| {' | '.join(WHO)} \|$", TEXT, re.MULTILINE)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    env = {"FAIRLEAD_ADMIN_KEY": ADMIN_KEY, "FAIRLEAD_WORKERS": "1"}
    with GatewayProcess(tmp_path_factory.mktemp("security"), env) as gateway:
        gateway.keys = {"nobody": None, "inference": gateway.create_key("a"), "admin": ADMIN_KEY}
        gateway.keys["management"] = gateway.run("keys", "create", "--management", "--name", "m").strip()
        gateway.secrets.add(gateway.keys["management"])
        yield gateway


@pytest.mark.e2e
@pytest.mark.parametrize(("request_line", "allowed"), ROWS, ids=[request for request, _ in ROWS])
def test_each_key_may_do_what_the_table_says(gateway, request_line, allowed):
    assert {who: status(gateway, request_line, gateway.keys[who]) not in (401, 403) for who in WHO} == allowed


def status(gateway, request_line, key):
    """Of an empty request; what is wrong with it is told only to who may ask."""
    method, path = request_line.split(" ")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)) as connection:
        connection.request(method, path, "{}" if method == "POST" else None, headers)
        return connection.getresponse().status
