"""SIGHUP: the workers are exchanged for ones with the configuration read anew, and no request fails."""

import signal

import pytest

from harness.process import until

from .caller import Caller, Load


@pytest.fixture
def configure(rough):
    """Writes what the environment does not say into `.env`; afterwards everything is as it was."""
    file = rough.directory / ".env"

    def configure(**settings):
        file.write_text("".join(f"FAIRLEAD_{name.upper()}={value}\n" for name, value in settings.items()))

    yield configure
    file.unlink(missing_ok=True)
    exchange(rough)


def reload(gateway, word):
    """Send SIGHUP and return the line with `word` that follows."""
    heard = len(gateway.lines)
    gateway.signal(signal.SIGHUP)
    return gateway.expect(word, after=heard)


def exchange(gateway):
    """Reload, and return when the workers from before have ended."""
    reload(gateway, "reloaded, 2 workers exchanged")
    until(lambda: len(gateway.workers()) == 2)


def test_a_changed_configuration_takes_effect_without_a_failed_request(rough, upstream, configure):
    before = rough.workers()
    configure(providers__second__base_url=upstream.base_url, providers__second__models="acme/added")
    with Caller(rough, rough.new_key) as caller, Load(rough, rough.new_key, "acme/large") as load:
        assert caller.chat("acme/added").status == 400
        exchange(rough)
        load.go_on()
    assert load.is_flawless, (load.failures, set(load.answers), [line for line in rough.lines if "502" in line][-3:])
    assert not set(before) & set(rough.workers())
    with Caller(rough, rough.new_key) as caller:
        assert caller.chat("acme/added").status == 200


def test_streams_that_are_open_go_on(rough, upstream):
    upstream.does(text="word " * 50, token_delay_s=0.02)
    with Caller(rough, rough.new_key) as caller:
        stream = caller.send_chat("acme/large", stream=True)
        reload(rough, "reloaded")
        assert stream.read().endswith(b"data: [DONE]\n\n")
    until(lambda: len(rough.workers()) == 2)


def test_a_broken_configuration_leaves_the_old_one_serving(rough, configure):
    before = rough.workers()
    configure(max_attempts="many")
    with Load(rough, rough.new_key, "acme/large") as load:
        assert 'FAIRLEAD_MAX_ATTEMPTS=\\"many\\"' in reload(rough, "reload refused, the old configuration stays")
        load.go_on()
    assert load.is_flawless
    assert rough.workers() == before
