import pickle
from pathlib import Path

import pytest

from fairlead.demo.script import Script
from fairlead.drill.faults import FAULTS, WAYS, Fault, Tls
from fairlead.drill.stand_in import NOWHERE, UNKNOWN_MODEL, isolated, rows_of, url_of
from fairlead.errors import ConfigError

from .conftest import REAL


def urls_of(rows):
    return {slug: "http://127.0.0.1:9/v1" for row in rows for slug in (row.slug, *row.others)}


def test_every_fault_is_asked_in_every_way_of_providers_in_turn(operator):
    rows, notes = rows_of(*operator(), FAULTS)
    assert [(row.fault.name, row.way) for row in rows] == [(fault.name, way) for fault in FAULTS for way in WAYS]
    assert {row.provider.slug for row in rows} == {"alpha", "beta"}
    assert len({row.slug for row in rows}) == len(rows)
    assert notes == []


def test_the_model_is_one_that_somebody_else_serves_too(operator):
    rows, _ = rows_of(*operator(), FAULTS[:2])
    assert all(row.model.startswith("lab/two-") for row in rows)
    assert {row.others for row in rows} == {("alpha",), ("beta",)}


def test_nothing_secret_and_no_address_of_the_operators_is_left(operator, tmp_path):
    settings, catalog = operator()
    rows, _ = rows_of(settings, catalog, FAULTS)
    fake = isolated(settings, rows, urls_of(rows), tmp_path, "sk-drill", "sk-drill-admin")
    packed = pickle.dumps(fake)
    assert b"sk-real" not in packed
    assert b".example" not in packed
    assert (fake.redis_url, fake.data_dir, fake.port, fake.workers) == (None, tmp_path, 0, 1)


def test_what_the_operator_has_set_is_kept(operator):
    settings, catalog = operator()
    rows, _ = rows_of(settings, catalog, FAULTS)
    fake = isolated(settings, rows, urls_of(rows), Path("/tmp"), "sk-drill", "sk-drill-admin")
    assert (fake.max_attempts, fake.probe_max_s, fake.timeouts) == (3, 9.0, settings.timeouts)
    of_alpha = [item.provider for item in fake.providers if item.provider.slug.startswith("alpha")]
    assert {(one.weight, one.timeouts) for one in of_alpha} == {(3.0, settings.timeouts)}


def test_only_in_haste_are_limits_shorter_and_only_where_somebody_is_silent(operator):
    rows, _ = rows_of(*operator(), FAULTS, is_fast=True)
    for row in rows:
        assert row.timeouts.first_byte_s == row.fault.limits.get("first_byte_s", 12.0)


def test_a_second_one_with_the_same_fault_stands_behind_where_all_have_it(operator):
    fault = next(fault for fault in FAULTS if fault.is_everywhere)
    settings, catalog = operator()
    rows, _ = rows_of(settings, catalog, [fault])
    assert [row.others for row in rows] == [(f"{row.slug}o",) for row in rows]
    fake = isolated(settings, rows, urls_of(rows), Path("/tmp"), "sk-drill", "sk-drill-admin")
    assert {item.provider.slug for item in fake.providers} == {slug for row in rows for slug in (row.slug, *row.others)}


def test_models_that_only_the_provider_could_tell(operator):
    rows, notes = rows_of(*operator({name: text for name, text in REAL.items() if "MODELS" not in name}), FAULTS[:1])
    assert rows[0].model.startswith(UNKNOWN_MODEL)
    assert [note.partition(":")[0] for note in notes] == ["alpha", "beta"]


def test_with_nobody_to_go_on_with_it_is_asked_alone(operator):
    rows, notes = rows_of(*operator({name: text for name, text in REAL.items() if "BETA" not in name}), FAULTS[:1])
    assert [row.way for row in rows] == ["stream-alone", "plain-alone"]
    assert notes == ["alpha: no other provider serves its models"]


@pytest.mark.parametrize(
    "environ", [{}, {**REAL, "FAIRLEAD_PROVIDERS__ALPHA__WEIGHT": "0", "FAIRLEAD_PROVIDERS__BETA__WEIGHT": "0"}]
)
def test_without_a_provider_there_is_nothing_to_try(operator, environ):
    with pytest.raises(ConfigError, match="set the key"):
        rows_of(*operator(environ), FAULTS)


def test_where_a_provider_with_a_fault_is():
    url = "http://127.0.0.1:9/v1"
    assert url_of(Fault("a", Script(), "ok"), url) == url
    assert url_of(Fault("a", Script(), "ok", is_nowhere=True), url) == NOWHERE
    assert url_of(Fault("a", Script(), "ok", tls=Tls.SILENT), url) == "https://127.0.0.1:9/v1"
