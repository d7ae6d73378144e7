"""Signs of life: what clients make of comments in a stream before its first word, and of an error after them."""

import pytest

from e2e.conftest import CLIENT_KEY, provider
from harness.process import GatewayProcess

from .conftest import MODELS

TEXT = "Sorry for the wait."
WAIT_S = 0.3


@pytest.fixture(scope="module")
def waiting(simulators):
    return simulators.start()


@pytest.fixture(scope="module")
def shared(waiting, tmp_path_factory):
    """A gateway that does not stay silent for long."""
    env = {"FAIRLEAD_API_KEYS": CLIENT_KEY, "FAIRLEAD_STREAM_KEEPALIVE_S": "0.1"}
    env |= provider("solo", waiting, models=",".join(f"solo/m{n}" for n in range(MODELS)))
    with GatewayProcess(tmp_path_factory.mktemp("comments"), env) as gateway:
        yield gateway


def test_comments_are_not_heard(asked, waiting, new_model):
    waiting.does(text=TEXT, first_byte_delay_s=WAIT_S)
    stream = asked.ask("stream", new_model())
    stream.value()
    assert stream.text == TEXT


def test_an_error_after_comments_is_no_success(asked, waiting, new_model):
    waiting.does(status=503, first_byte_delay_s=WAIT_S)
    failed = asked.ask("stream", new_model())
    assert not failed.text
    if "broken" in asked.raises:
        assert failed.raised, failed
    else:
        assert failed.raised or failed.result["finish"] == "error"
