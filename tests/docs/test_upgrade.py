"""deploy/UPGRADE.md, done as it says: what cannot be had again is there after a restore, to the last nano-dollar."""

import contextlib
import http.client
import json
import shutil

import pytest
from redis import Redis
from redis.exceptions import RedisError

from docs.pages import RUN, blocks
from docs.reader import Reader
from harness.process import until
from harness.valkey import free_port

PAGE = "deploy/UPGRADE.md"
BLOCKS = {block.line: block for block in blocks(PAGE) if block.language in RUN and not block.reason}
PRESET = "/api/v1/presets/team/chat/completions"

pytestmark = pytest.mark.e2e


def block_with(*texts):
    [found] = [block for block in BLOCKS.values() if all(text in block.text for text in texts)]
    return found


STOPPED = block_with("tar ", "fairlead-backup.tar.gz", "-czf")
SERVING = block_with("tar ", "fairlead-serving.tar.gz")
RESTORED = block_with("-xzf")
TAKEN_OVER = block_with("cp -R")
SERVER = block_with("valkey-server")
PROVED = block_with("export FAIRLEAD_REDIS_URL")


def test_every_block_of_the_page_is_done_here():
    assert {block.line for block in (STOPPED, SERVING, RESTORED, TAKEN_OVER, SERVER, PROVED)} == set(BLOCKS)


class Installation:
    """What was there when it was backed up: while it served, and then stopped."""

    def __init__(self, reader):
        self.reader = reader
        gateway = reader.serve()
        self.key = some_use(gateway)
        self.before = told(gateway)
        reader.do(SERVING)
        with Redis.from_url(gateway.store_url()) as client:
            assert client.config_get("auto-aof-rewrite-percentage") == {"auto-aof-rewrite-percentage": "100"}
        reader.stop()
        reader.do(STOPPED)
        reader.do(TAKEN_OVER)

    def assert_all_is_there(self):
        """Once it serves again. What is asked then is counted, too, but not kept: the next test begins anew."""
        assert "no difference" in self.reader.said
        gateway = self.reader.serve()
        assert told(gateway) == self.before
        assert send(gateway, "GET", "/api/v1/presets/team", key=gateway.admin_key) == 200
        assert chat(gateway, self.key) == 200
        self.reader.stop()


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    with contextlib.closing(Reader(tmp_path_factory.mktemp("installation"), FAIRLEAD_WORKERS="1")) as reader:
        yield Installation(reader)


def send(gateway, method, path, body=None, *, key):
    """Return the status of the reply."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path, json.dumps(body) if body else None, {"authorization": f"Bearer {key}"})
        reply = connection.getresponse()
        reply.read()
        return reply.status


def chat(gateway, key):
    body = {"model": "demo/chat", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello"}]}
    return send(gateway, "POST", "/v1/chat/completions", body, key=key)


def some_use(gateway):
    """Keys, one of them disabled; credits, a preset, requests that cost something. Return the key that works."""
    key, other = gateway.create_key("web"), gateway.create_key("old")
    gateway.run("keys", "disable", "old")
    gateway.run("credits", "add", "100", "--reason", "November")
    assert send(gateway, "POST", PRESET, {"provider": {"sort": "price"}, "messages": []}, key=gateway.admin_key) == 200
    assert [chat(gateway, key) for _ in range(3)] == [200] * 3
    assert chat(gateway, other) == 401
    return key


def told(gateway):
    """All that a restore has to bring back, as an operator sees it, and held against the ledger."""
    assert "no difference" in gateway.run("reconcile")
    keys, ledger = gateway.run("keys", "list", "--json"), gateway.run("usage", "export")
    # Of keys made within a second either may come first.
    assert {key["name"]: key["disabled"] for key in json.loads(keys)} == {"web": False, "old": True}
    assert len(ledger.splitlines()) == 3
    return keys, ledger


def destroy(reader):
    shutil.rmtree(reader.directory / "data")


@pytest.mark.parametrize("kept", ["fairlead-backup", "fairlead-serving"], ids=["stopped", "serving"])
def test_what_was_backed_up_can_be_restored(installation, kept):
    reader = installation.reader
    destroy(reader)
    reader.says = {"fairlead-backup": kept}
    reader.do(RESTORED)
    installation.assert_all_is_there()


def test_a_server_of_ones_own_takes_it_over(installation):
    reader, port = installation.reader, free_port()
    reader.says = {"6379": str(port)}
    with reader.started(SERVER) as server:
        with Redis(port=port) as client:
            until(lambda: server.poll() is not None or answers(client))
        assert server.poll() is None
        reader.do(PROVED)
        reader.settings["FAIRLEAD_REDIS_URL"] = f"redis://127.0.0.1:{port}"
        installation.assert_all_is_there()


def answers(client):
    with contextlib.suppress(RedisError):
        return client.ping()
    return False
