from fairlead.catalog.dialects import DIALECTS, Dialect
from fairlead.catalog.model import Endpoint, Model, Provider
from fairlead.wire.parameters import dropped
from fairlead.wire.request import ROUTING_MEMBERS


def names(*supported, dialect):
    model = Model("a/m", "M", supported_parameters=frozenset(supported))
    return dropped(Endpoint(Provider("p", "P", "http://x", speaks=dialect), model, "m", None))


def test_what_a_model_does_not_support():
    found = names("seed", "stop", dialect=Dialect())
    assert {"temperature", "top_k", "models", "provider"} <= found
    assert not found & {"seed", "stop", "tools", "max_tokens", "max_completion_tokens", "messages", "user", "n"}


def test_of_an_unknown_model_nothing_is_supposed():
    assert names(dialect=Dialect()) == ROUTING_MEMBERS


def test_what_a_provider_refuses_whatever_the_model():
    assert {"logprobs", "include_reasoning"} <= names("logprobs", dialect=DIALECTS["groq"])
    assert "logprobs" in names(dialect=DIALECTS["groq"])


def test_openrouter_understands_its_own_language():
    found = names("seed", dialect=DIALECTS["openrouter"])
    assert "models" in found
    assert not found & {"plugins", "transforms", "temperature", "reasoning"}


def test_what_only_openrouter_knows_is_for_engines_of_ones_own():
    only = {"structured_outputs", "image_config", "cache_control", "top_a"}
    assert only <= names(dialect=DIALECTS["openai"])
    assert not only & names(dialect=Dialect())
