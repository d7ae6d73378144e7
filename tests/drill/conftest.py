"""Settings of an operator with two providers, and what is known of their models."""

from pathlib import Path

import pytest

from fairlead.catalog.load import ProviderModels, build, builtin
from fairlead.catalog.overrides import Overrides
from fairlead.config import load
from fairlead.derived import sources_of

REAL = {
    "FAIRLEAD_PROVIDERS__ALPHA__BASE_URL": "https://alpha.example/v1",
    "FAIRLEAD_PROVIDERS__ALPHA__API_KEY": "sk-real-alpha-0123456789",
    "FAIRLEAD_PROVIDERS__ALPHA__HEADERS__X_TEAM": "sk-real-header-0123456789",
    "FAIRLEAD_PROVIDERS__ALPHA__MODELS": "lab/one,lab/two",
    "FAIRLEAD_PROVIDERS__ALPHA__WEIGHT": "3",
    "FAIRLEAD_PROVIDERS__BETA__BASE_URL": "https://beta.example/v1",
    "FAIRLEAD_PROVIDERS__BETA__API_KEY": "sk-real-beta-0123456789",
    "FAIRLEAD_PROVIDERS__BETA__MODELS": "lab/two",
    "FAIRLEAD_REDIS_URL": "redis://me:sk-real-password@redis.example/0",
    "FAIRLEAD_ADMIN_KEY": "sk-real-admin-0123456789abcdef",
    "FAIRLEAD_API_KEYS": "sk-real-client-0123456789abcdef",
    "FAIRLEAD_ALERT_WEBHOOK_URL": "https://hooks.example/sk-real-webhook",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "https://me:sk-real-collector@collector.example",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector.example/v1/traces?token=sk-real-collector",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20sk-real-collector",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-key=sk-real-collector",
    "FAIRLEAD_MAX_ATTEMPTS": "3",
    "FAIRLEAD_PROBE_MAX_S": "9",
}


@pytest.fixture
def operator(tmp_path):
    """Make settings, and the catalogue that goes with them."""

    def made(environ=REAL):
        settings = load(environ, cwd=Path(tmp_path), is_terminal=False, cpu_count=2).settings
        known = [ProviderModels(source.provider, source.declared) for source in sources_of(settings, {})]
        return settings, build(builtin(), Overrides(), known)

    return made
