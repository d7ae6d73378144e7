import asyncio
import io
import json
import sys

import pytest

from fairlead.access.keys import from_token, generate
from fairlead.config import load
from fairlead.derived import check_keys, is_discoverable, loggers, read_overrides, sources_of
from fairlead.errors import ConfigError
from fairlead.store.keys import KeyStore
from fairlead.store.redis import connect

NOBODY = "unix:///nonexistent.sock"
OPEN = {"FAIRLEAD_HOST": "0.0.0.0"}


@pytest.fixture
def settings(tmp_path):
    """A function that reads settings from variables."""

    def read(**variables):
        environment = {"FAIRLEAD_DATA_DIR": str(tmp_path), **variables}
        return load(environment, cwd=tmp_path, is_terminal=False, cpu_count=1).settings

    return read


@pytest.fixture
def store(redis_url):
    """A function that empties the store and puts keys there; it returns its URL."""

    async def fill(*keys):
        client = connect(redis_url)
        await client.flushdb()
        for key in keys:
            await KeyStore(client).add(key)
        await client.aclose()

    def hold(*keys):
        asyncio.run(fill(*keys))
        return redis_url

    return hold


class TestCheckKeys:
    def test_a_listener_in_the_open_without_a_key(self, settings, store):
        with pytest.raises(ConfigError, match=r"FAIRLEAD_HOST.*set FAIRLEAD_API_KEYS"):
            check_keys(settings(**OPEN), store())

    def test_a_stored_key_is_one(self, settings, store):
        check_keys(settings(**OPEN), store(from_token(generate(), "first", 1_700_000_000)))

    @pytest.mark.parametrize(
        "variables",
        [
            OPEN,
            {**OPEN, "FAIRLEAD_API_KEYS": "sk-client-0123456789abcdef"},
            {"FAIRLEAD_HOST": "127.0.0.1"},
            {"FAIRLEAD_HOST": "localhost"},
        ],
    )
    def test_a_store_that_is_away_keeps_nobody_from_starting(self, settings, variables):
        check_keys(settings(**variables), NOBODY)


class TestSources:
    def test_the_configured_ones_come_before_the_simulated_ones(self, settings):
        found = sources_of(
            settings(FAIRLEAD_PROVIDERS__ALPHA__BASE_URL="https://alpha.example/v1", OPENAI_API_KEY="sk-0123456789"),
            {"demo-swift": "http://127.0.0.1:1/v1"},
        )
        assert {source.provider.slug for source in found[:-1]} == {"alpha", "openai"}
        assert (found[-1].provider.slug, found[-1].provider.is_demo) == ("demo-swift", True)
        assert all(source.is_discoverable == is_discoverable(source.provider) for source in found)

    def test_what_the_operator_declares(self, settings):
        [source] = sources_of(
            settings(
                FAIRLEAD_PROVIDERS__ALPHA__BASE_URL="https://alpha.example/v1",
                FAIRLEAD_PROVIDERS__ALPHA__MODELS="lab/one=first",
            ),
            {},
        )
        assert source.declared == (("lab/one", "first"),)


class TestOverrides:
    def test_without_a_file_there_are_none(self, settings):
        assert read_overrides(settings()) == read_overrides(settings())
        assert not read_overrides(settings()).models

    @pytest.mark.parametrize(("content", "why"), [(b"\xff", "cannot be read as UTF-8"), (b"models = 7", "correct ")])
    def test_a_file_that_is_none(self, settings, tmp_path, content, why):
        path = tmp_path / "catalog.toml"
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=why) as refused:
            read_overrides(settings(FAIRLEAD_CATALOG=str(path)))
        assert str(path) in str(refused.value)


class TestLoggers:
    @pytest.mark.parametrize(("level", "is_wanted"), [("debug", True), ("info", True), ("warning", False)])
    def test_requests_are_news(self, settings, level, is_wanted):
        _, requests = loggers(settings(FAIRLEAD_LOG_LEVEL=level))
        assert (requests._stream is not None) == is_wanted

    def test_where_a_machine_reads_it_is_json(self, settings, monkeypatch):
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        log, _ = loggers(settings(), to_stderr=True)
        log.warning("said", n=5)
        assert json.loads(stream.getvalue())["n"] == 5
