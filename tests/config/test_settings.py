import dataclasses
import pickle

import pytest

from fairlead.config import Settings

KEY = "sk-0123456789abcdefghijklmnop"
FULL = {
    "FAIRLEAD_ADMIN_KEY": KEY,
    "FAIRLEAD_API_KEYS": f"{KEY},{KEY}2",
    "FAIRLEAD_REDIS_URL": f"redis://:{KEY}@localhost",
    "HTTPS_PROXY": f"http://user:{KEY}@proxy:3128",
    "NO_PROXY": "localhost",
    "OPENAI_API_KEY": KEY,
    "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://user:{KEY}@collector.example",
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{KEY}",
    "FAIRLEAD_PROVIDERS__LAB__BASE_URL": "http://lab.example/v1",
    "FAIRLEAD_PROVIDERS__LAB__API_KEY": KEY,
    "FAIRLEAD_PROVIDERS__LAB__HEADERS__X_TOKEN": KEY,
}


def test_it_survives_the_way_to_a_worker(configure):
    loaded = configure(FULL)
    again = pickle.loads(pickle.dumps(loaded))
    assert again == loaded
    assert again.settings.providers[1].provider.headers == {"x-token": KEY}


def test_a_provider_without_headers_survives_it_too(configure):
    settings = configure({"OPENAI_API_KEY": KEY}).settings
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_it_prints_no_secret(configure):
    loaded = configure(FULL)
    assert KEY not in repr(loaded)
    assert KEY not in str(loaded.settings)


def test_it_is_frozen(tmp_path):
    settings = Settings(data_dir=tmp_path)
    with pytest.raises(AttributeError):
        settings.port = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.timeouts.connect_s = 1.0
