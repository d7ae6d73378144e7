from fairlead.edge.model_filters import CATEGORIES, INPUTS, OUTPUTS
from fairlead.edge.model_sorts import SORTS
from fairlead.edge.model_view import TOKENIZERS
from fairlead.edge.models import MOST_ON_PAGE
from fairlead.openapi.models import PATHS


def test_words_and_limits_are_those_of_the_code():
    schemas = {one.name: one.schema for one in PATHS["/models"]["get"].parameters}
    assert schemas["sort"]["enum"] == list(SORTS)
    assert schemas["category"]["enum"] == list(CATEGORIES)
    assert schemas["input_modalities"]["items"]["enum"] == list(INPUTS)
    assert schemas["output_modalities"]["items"]["enum"] == [*OUTPUTS, "all"]
    assert schemas["arch"]["items"]["enum"] == list(TOKENIZERS)
    assert schemas["limit"]["maximum"] == MOST_ON_PAGE
