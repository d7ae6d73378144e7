import pytest

from fairlead.config.kinds import SECRET, whole
from fairlead.config.reading import Origin, Reader
from fairlead.config.sources import Layer, Sources


@pytest.fixture
def reader(tmp_path):
    layer = Layer("environment", {"GOOD": "7", "BAD": "x", "ALIAS": "8", "KEY": "sk-0123456789abcdefghij"})
    return Reader(Sources((layer,), [], tmp_path, None))


def test_a_good_value_leaves_its_origin(reader):
    assert reader.read("GOOD", whole(0, 9), example="1") == 7
    assert reader.origins == {"GOOD": Origin("7", "environment")}
    assert reader.is_set("GOOD")
    assert reader.told("GOOD") == 'GOOD="7" (environment)'


def test_a_wrong_value_leaves_a_problem(reader):
    assert reader.read("BAD", whole(0, 9), example="1") is None
    assert reader.sources.problems == ['BAD="x" (environment): not a whole number from 0 to 9; for example BAD=1']
    assert reader.wrong == {"BAD"}
    assert not reader.is_set("BAD")


def test_what_is_not_set_leaves_nothing(reader):
    assert reader.read("NONE", whole(0, 9), example="1") is None
    assert (reader.origins, reader.sources.problems, reader.wrong) == ({}, [], set())
    assert reader.told("NONE") == "NONE"


def test_an_alias_gives_the_value_to_the_variable(reader):
    assert reader.read("NONE", whole(0, 9), example="1", aliases=("ALIAS",)) == 8
    assert reader.origins == {"NONE": Origin("8", "environment (ALIAS)")}


def test_a_secret_is_masked(reader):
    assert reader.read("KEY", SECRET, example="sk-…").reveal() == "sk-0123456789abcdefghij"
    assert reader.origins["KEY"].value == "sk-…ghij"
