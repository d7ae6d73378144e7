import pytest

from fairlead.edge.asgi import BASES
from fairlead.relay.manner import GATEROUTER, OPENAI, OPENROUTER, manner_of


@pytest.mark.parametrize("base", BASES)
def test_each_base_has_its_own(base):
    expected = {"/v1": OPENAI, "/api/v1": OPENROUTER, "/openai/v1": GATEROUTER}[base]
    assert manner_of(f"{base}/chat/completions") is expected


def test_only_openrouters_changes_what_the_provider_has_sent():
    assert [one.is_adapted for one in (OPENAI, OPENROUTER, GATEROUTER)] == [False, True, False]
