from typing import get_args

from fairlead.edge.presets import PATCHED, STATUSES, read_changes
from fairlead.openapi.presets import PATHS, SCHEMAS
from fairlead.wire.preset_config import FIELDS, Kind


def test_what_can_be_changed_is_what_the_code_changes():
    body = PATHS["/presets/{slug}"]["patch"].body
    assert set(body["properties"]) == set(PATCHED)
    assert body["properties"]["status"]["enum"] == list(STATUSES)
    read_changes(PATHS["/presets/{slug}"]["patch"].example)


def test_there_is_one_for_each_kind_of_request():
    assert {path.removeprefix("/presets/{slug}/") for path in PATHS if "post" in PATHS[path]} == set(get_args(Kind))


def test_a_version_tells_all_that_configures():
    assert set(SCHEMAS["PresetVersion"]["properties"]["config"]["properties"]) == set(FIELDS)
