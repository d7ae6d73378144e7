import msgspec
import pytest

from fairlead.catalog.model import Provider
from fairlead.config import ProviderSettings, Secret, Settings, is_demo_on, is_loopback, refuse_open_listener
from fairlead.config.checks import is_ourselves
from fairlead.errors import ConfigError

REAL = ProviderSettings(provider=Provider(slug="x", name="x", base_url="https://x.example/v1"))


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST."])
def test_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "gateway.internal", "localhost.example", ""])
def test_not_loopback(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("demo", "providers", "host", "is_on"),
    [
        ("auto", (), "127.0.0.1", True),
        ("auto", (REAL,), "127.0.0.1", False),
        ("auto", (), "0.0.0.0", False),
        ("on", (REAL,), "127.0.0.1", True),
        ("on", (), "0.0.0.0", True),
        ("off", (), "127.0.0.1", False),
    ],
)
def test_when_the_demo_runs(settings, demo, providers, host, is_on):
    assert is_demo_on(msgspec.structs.replace(settings, demo=demo, providers=providers, host=host)) is is_on


class TestOpenListener:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "gateway.internal"])
    def test_without_any_key_it_is_refused_with_the_remedy(self, settings, host):
        with pytest.raises(ConfigError, match=r"FAIRLEAD_HOST=.*FAIRLEAD_API_KEYS.*127\.0\.0\.1"):
            refuse_open_listener(msgspec.structs.replace(settings, host=host), has_stored_keys=False)

    def test_the_admin_key_protects_no_inference(self, settings):
        with pytest.raises(ConfigError):
            refuse_open_listener(msgspec.structs.replace(settings, host="::", admin_key=Secret("k")), False)

    def test_a_static_or_stored_key_is_enough(self, settings):
        is_open = msgspec.structs.replace(settings, host="0.0.0.0")
        refuse_open_listener(is_open, has_stored_keys=True)
        refuse_open_listener(msgspec.structs.replace(is_open, api_keys=(Secret("k"),)), has_stored_keys=False)

    def test_loopback_needs_none(self, settings):
        refuse_open_listener(settings, has_stored_keys=False)


@pytest.mark.parametrize(
    ("host", "base_url", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:8420/v1", True),
        ("0.0.0.0", "http://[::1]:8420", True),
        ("10.0.0.1", "http://10.0.0.1:8420/v1", True),
        ("10.0.0.1", "http://127.0.0.1:8420/v1", False),
        ("127.0.0.1", "http://127.0.0.1:8000/v1", False),
        ("127.0.0.1", "https://api.openai.com/v1", False),
    ],
)
def test_a_provider_that_is_ourselves(settings, host, base_url, expected):
    provider = ProviderSettings(provider=Provider(slug="x", name="x", base_url=base_url))
    assert is_ourselves(msgspec.structs.replace(settings, host=host), provider) is expected
