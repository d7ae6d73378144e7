import contextlib
import socket
import threading

import pytest

READY = b'HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{"status":"ready"}'
DRAINING = b'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 21\r\n\r\n{"status":"draining"}'


@contextlib.contextmanager
def answering(reply):
    """A server for one request; yields its port and the list that will hold the request."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], asked
        thread.join()


@pytest.mark.parametrize(("reply", "code"), [(READY, 0), (DRAINING, 1)], ids=["ready", "draining"])
def test_the_exit_code_tells_whether_it_is_ready(fairlead, reply, code):
    with answering(reply) as (port, asked):
        done = fairlead("healthcheck", FAIRLEAD_PORT=str(port))
    assert (done.returncode, done.stdout) == (code, reply.partition(b"\r\n\r\n")[2].decode() + "\n")
    assert asked[0].startswith(b"GET /readyz ")


def test_live_asks_for_less(fairlead):
    with answering(READY) as (port, asked):
        assert fairlead("healthcheck", "--live", FAIRLEAD_PORT=str(port)).returncode == 0
    assert asked[0].startswith(b"GET /livez ")


def test_a_listener_on_all_addresses_is_asked_on_this_machine(fairlead):
    with answering(READY) as (port, _):
        assert fairlead("healthcheck", FAIRLEAD_HOST="0.0.0.0", FAIRLEAD_PORT=str(port)).returncode == 0


def test_nobody_there(fairlead):
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        done = fairlead("healthcheck", FAIRLEAD_PORT=str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"fairlead: no answer from http://127.0.0.1:{port}/readyz: Connection refused\n"


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-OpenSSH_9.6\r\n"], ids=["nothing", "not HTTP"])
def test_somebody_else_there(fairlead, reply):
    with answering(reply) as (port, _):
        done = fairlead("healthcheck", FAIRLEAD_PORT=str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("fairlead: no answer from ")
    assert len(done.stderr.splitlines()) == 1


def test_no_answer_in_time(fairlead):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = fairlead("healthcheck", "--timeout", "0.05", FAIRLEAD_PORT=str(silent.getsockname()[1]))
    assert done.returncode == 1
    assert done.stderr.endswith(": timed out\n")
