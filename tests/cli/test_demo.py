import http.client
import json
import signal
import socket
from urllib.parse import urlsplit

import pytest

from fairlead.demo import DEMO_PROVIDERS

LAST = DEMO_PROVIDERS[-1].name


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_says_where_each_provider_is_and_ends_when_told(started, number):
    with started("demo") as demo:
        rows = [line.split() for line in demo.read_until(LAST).splitlines()]
        assert [row[0] for row in rows] == [personality.name for personality in DEMO_PROVIDERS]
        for row, personality in zip(rows, DEMO_PROVIDERS, strict=True):
            assert " ".join(row[2:]).split(", ") == [model.id for model in personality.models]
            url = urlsplit(row[1])
            connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
            connection.request("GET", f"{url.path}/models")
            assert connection.getresponse().status == 200
            connection.close()
        code, said = demo.end(number)
    assert code == 0
    assert "Traceback" not in said


def test_json_says_the_same_on_one_line(started):
    with started("demo", "--json") as demo:
        told = json.loads(demo.read_until("\n"))
        assert [one["name"] for one in told] == [personality.name for personality in DEMO_PROVIDERS]
        assert told[0]["models"] == [model.id for model in DEMO_PROVIDERS[0].models]
        assert told[0]["base_url"].startswith("http://127.0.0.1:")
        demo.end(signal.SIGTERM)


def test_a_port_in_use(fairlead):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = fairlead("demo", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"fairlead: cannot listen on 127.0.0.1 from port {port} on: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_no_such_port(fairlead, port):
    assert fairlead("demo", "--port", port).returncode == 2


def test_no_room_for_all_of_them(fairlead):
    done = fairlead("demo", "--port", "65535")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
