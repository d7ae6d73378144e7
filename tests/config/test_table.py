"""The table against what follows from it: the typed tree, its defaults, and `.env.example`."""

import io
import re
from pathlib import Path

import msgspec
import pytest
from dotenv import dotenv_values

from fairlead.catalog.providers import BUILTIN
from fairlead.config import GROUPS, MEMBERS, SETTINGS, Settings

EXAMPLE = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")
UNCOMMENTED = re.sub(r"^#(?=[A-Z0-9_]+=)", "", EXAMPLE, flags=re.MULTILINE)
ASSIGNED = dotenv_values(stream=io.StringIO(UNCOMMENTED), interpolate=False)
COMPUTED = {"workers", "data_dir"}


def default_of(settings, setting):
    name = setting.field.removeprefix("timeout_")
    return getattr(settings.timeouts if setting.field.startswith("timeout_") else settings, name)


def test_each_variable_stands_once():
    names = [name for setting in SETTINGS for name in (setting.variable, *setting.aliases)]
    assert len(names) == len(set(names))


def test_groups_hold_all_settings():
    assert tuple(setting for _, group in GROUPS for setting in group) == SETTINGS


@pytest.mark.parametrize("setting", [setting for setting in SETTINGS if setting.is_literal], ids=lambda s: s.variable)
def test_the_default_told_is_the_default_used(setting, tmp_path):
    assert setting.kind.convert(setting.default) == default_of(Settings(data_dir=tmp_path), setting)


def test_every_field_of_the_tree_can_be_set():
    from_elsewhere = {"timeouts", "proxy", "color", "providers", "providers_off"}
    fields = {field.name for field in msgspec.structs.fields(Settings)}
    table = {setting.field for setting in SETTINGS}
    assert fields - from_elsewhere == {
        field for field in table if not field.startswith("timeout_") and not field.endswith(("_proxy", "_color"))
    }


def test_what_is_set_by_nothing_is_none_or_empty(tmp_path):
    settings = Settings(data_dir=tmp_path)
    for setting in SETTINGS:
        if setting.variable.startswith("FAIRLEAD_") and not setting.is_literal and setting.field not in COMPUTED:
            assert not default_of(settings, setting), setting.variable


@pytest.mark.parametrize("setting", [*SETTINGS, *MEMBERS], ids=lambda s: s.variable)
def test_meanings_are_one_line_for_a_table(setting):
    assert setting.meaning
    assert "\n" not in setting.meaning
    assert "|" not in setting.meaning


def test_env_example_names_every_setting_in_order():
    named = [name for name in ASSIGNED if name in {setting.variable for setting in SETTINGS}]
    assert named == [setting.variable for setting in SETTINGS]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.variable)
def test_env_example_shows_default_and_meaning(setting):
    assert ASSIGNED[setting.variable] == (setting.default if setting.is_literal else "")
    comment, _ = EXAMPLE.split(f"\n#{setting.variable}=")
    last_line = comment.rpartition("\n")[2]
    assert setting.meaning in last_line
    assert all(alias in last_line for alias in setting.aliases if alias.upper() != setting.variable)


def test_env_example_names_every_provider_and_every_member():
    for builtin in BUILTIN:
        assert {*builtin.key_variables, builtin.base_url_variable} <= ASSIGNED.keys(), builtin.slug
        assert builtin.base_url is None or f"# {builtin.name}: {builtin.base_url}\n" in EXAMPLE
    for member in MEMBERS:
        assert f"FAIRLEAD_PROVIDERS__MY_LAB__{member.variable}" in ASSIGNED


def test_env_example_is_all_comments():
    assert dotenv_values(stream=io.StringIO(EXAMPLE)) == {}


def test_env_example_uncommented_gives_the_defaults(configure):
    loaded = configure(dotenv=UNCOMMENTED)
    plain = configure(dotenv="")
    (provider,) = loaded.settings.providers
    assert provider.provider.slug == "my-lab"
    assert provider.declared_models is not None
    assert msgspec.structs.replace(loaded.settings, providers=()) == plain.settings
