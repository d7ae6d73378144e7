import pytest

from fairlead.catalog.dialects import DIALECTS
from fairlead.catalog.providers import BY_SLUG
from fairlead.wire.parameters import NEEDED


@pytest.mark.parametrize("slug", DIALECTS)
def test_they_are_of_providers_there_are_and_parameters_there_are(slug):
    assert slug in BY_SLUG
    assert DIALECTS[slug].refused <= NEEDED


def test_only_openrouter_speaks_its_language():
    assert [slug for slug, dialect in DIALECTS.items() if dialect.is_openrouter] == ["openrouter"]
