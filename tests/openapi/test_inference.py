"""What is said of requests is what the gateway reads of them."""

from fairlead.access.preferences import Preferences
from fairlead.openapi.inference import CHAT_REQUEST, RESPONSES_REQUEST, preference_schemas
from fairlead.wire.preset_config import FIELDS
from fairlead.wire.request import MOST_MODELS, MOST_NAME_CHARS, ROUTING_MEMBERS, RoutingFields
from fairlead.wire.responses_request import chat_request


def test_every_member_that_the_gateway_reads_is_described():
    described = set(CHAT_REQUEST["properties"])
    assert set(RoutingFields.__struct_fields__) <= described
    assert described >= ROUTING_MEMBERS
    assert set(FIELDS) - {"cache_enabled", "cache_ttl_seconds"} <= described  # said in headers, in a request


def test_limits_are_those_of_the_code():
    assert CHAT_REQUEST["properties"]["models"]["maxItems"] == MOST_MODELS
    assert CHAT_REQUEST["properties"]["models"]["items"]["maxLength"] == MOST_NAME_CHARS


def test_a_key_s_preferences_are_strict_and_a_request_s_are_not():
    found = preference_schemas()
    assert set(found["KeyPreferences"]["properties"]) == set(Preferences.__struct_fields__)
    assert found["KeyPreferences"]["additionalProperties"] is False
    assert found["ProviderPreferences"]["properties"] == found["KeyPreferences"]["properties"]
    assert "additionalProperties" not in found["ProviderPreferences"]


def test_the_least_request_for_responses_is_one():
    assert RESPONSES_REQUEST["required"] == ["input"]
    chat_request(b'{"model":"a/b","input":"Say hello"}')
