import dataclasses
import math

import pytest

from fairlead.catalog.dialects import Dialect
from fairlead.catalog.model import Endpoint, Price
from fairlead.edge.endpoint_view import endpoint_object
from fairlead.edge.figures import UNKNOWN, Figures
from fairlead.edge.price_view import price_view
from fairlead.health.histogram import FIRST_TOKEN, SPEED, Histogram
from fairlead.health.minutes import Uptime
from fairlead.plan.wish import tag

from .catalogues import ACME, CATALOG, CHEAP, LARGE, SMALL

PLAIN, QUANTIZED = CATALOG.endpoints[LARGE.id]
BUSY = Figures(
    -1,
    Uptime(99.5, 98.0, 70.25),
    Histogram(FIRST_TOKEN, {FIRST_TOKEN.bucket(math.log(0.2)): 50.0, FIRST_TOKEN.bucket(math.log(1.5)): 40.0}),
    Histogram(SPEED, {SPEED.bucket(math.log(20.0)): 60.0, SPEED.bucket(math.log(90.0)): 40.0}),
)


def shown(endpoint=PLAIN, figures=UNKNOWN, *, is_anonymous=False):
    return endpoint_object(endpoint, figures, is_anonymous=is_anonymous)


def uptimes(found):
    return tuple(found[f"uptime_last_{window}"] for window in ("5m", "30m", "1d"))


def test_an_endpoint():
    assert shown(QUANTIZED) == {
        "name": "Other AI | acme/large",
        "tag": "other/fp8",
        "provider_name": "Other AI",
        "model_id": "acme/large",
        "model_name": "Acme: Large",
        "context_length": 8192,
        "max_completion_tokens": 1024,
        "max_prompt_tokens": None,
        "pricing": price_view(CHEAP),
        "quantization": "fp8",
        "status": 0,
        "supported_parameters": ["include_reasoning", "reasoning", "seed", "tool_choice", "tools"],
        "supports_tool_choice": {"auto": True, "none": True, "required": True, "function": True},
        "supports_implicit_caching": False,
        "native_tools": {},
        "service_tier": None,
        "latency_last_30m": None,
        "throughput_last_30m": None,
        "uptime_last_5m": None,
        "uptime_last_30m": None,
        "uptime_last_1d": None,
        "supports_voice_cloning": False,
        "supports_image_reference": False,
        "supports_multiple_audio_references": False,
        "supports_diarization": False,
    }


def test_its_tag_is_what_preferences_take():
    assert [shown(one)["tag"] for one in (PLAIN, QUANTIZED)] == [tag(PLAIN), tag(QUANTIZED)] == ["acme", "other/fp8"]


def test_one_of_which_nothing_is_known():
    found = shown(CATALOG.endpoints[SMALL.id][0])
    assert (found["context_length"], found["quantization"]) == (0, "unknown")
    assert found["pricing"] == {"prompt": "-1", "completion": "-1"}
    assert set(found["supports_tool_choice"].values()) == {False}


def test_neither_addresses_nor_keys_are_shown():
    text = str(shown())
    assert "secret" not in text
    assert "example" not in text
    assert "large-1" not in text, "what the provider calls it may be the name of an operator's own"


def test_what_its_provider_refuses_it_does_not_support():
    provider = dataclasses.replace(ACME, speaks=Dialect(refused=frozenset({"tool_choice"})))
    found = shown(Endpoint(provider, LARGE, "m", None))
    assert "tool_choice" not in found["supported_parameters"]
    assert found["supports_tool_choice"]["required"] is False


@pytest.mark.parametrize(
    ("price", "is_implicit"),
    [
        (Price(1, 1, cache_read=1), True),
        (Price(1, 1, cache_read=1, cache_write=1), False),
        (Price(1, 1), False),
        (None, False),
    ],
)
def test_caching_is_implicit_where_writing_costs_nothing_extra(price, is_implicit):
    assert shown(Endpoint(ACME, LARGE, "m", price))["supports_implicit_caching"] is is_implicit


def test_speed_in_milliseconds_and_tokens_per_second():
    found = shown(figures=BUSY)
    assert found["latency_last_30m"] == {
        "p50": pytest.approx(200, rel=0.06),
        "p75": pytest.approx(1500, rel=0.06),
        "p90": pytest.approx(1500, rel=0.06),
        "p99": pytest.approx(1500, rel=0.06),
    }
    assert found["throughput_last_30m"]["p50"] == pytest.approx(20, rel=0.06)
    assert found["throughput_last_30m"]["p90"] == pytest.approx(90, rel=0.06)
    assert (found["status"], uptimes(found)) == (-1, (99.5, 98.0, 70.25))
    assert found["perf_last_30m_by_workload"] == {
        "text_generation": {
            "latency": found["latency_last_30m"],
            "throughput": found["throughput_last_30m"],
            "request_count": None,
        }
    }


def test_the_speed_is_not_for_everybody():
    found = shown(figures=BUSY, is_anonymous=True)
    assert found["latency_last_30m"] is found["throughput_last_30m"] is None
    assert "perf_last_30m_by_workload" not in found
    assert (found["status"], uptimes(found)) == (-1, (99.5, 98.0, 70.25))


def test_one_observation_long_ago_is_no_percentile():
    faint = Figures(first_token=Histogram(FIRST_TOKEN, {3: 0.1}), speed=Histogram(SPEED, {}))
    assert shown(figures=faint)["latency_last_30m"] is shown(figures=faint)["throughput_last_30m"] is None


def test_no_traffic_in_a_while_is_no_uptime_of_that_while():
    assert uptimes(shown(figures=Figures(uptime=Uptime(None, None, 100.0)))) == (None, None, 100.0)
