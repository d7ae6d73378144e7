import pytest

from fairlead.drill.faults import FAULTS
from fairlead.drill.run import run_rows
from fairlead.drill.stand_in import isolated, rows_of
from fairlead.errors import FairleadError

pytestmark = pytest.mark.anyio
NAMES = ("connection refused", "closed after four events", "401", "kept connection closed after a reply")


async def test_a_gateway_of_its_own_goes_through_the_rows(operator, tmp_path):
    settings, catalog = operator()
    rows, _ = rows_of(settings, catalog, [fault for fault in FAULTS if fault.name in NAMES], is_fast=True)
    told = []
    results = await run_rows(settings, rows, tmp_path, told.append)
    assert [(result.row, result.wrongs) for result in results] == [(row, []) for row in rows]
    assert len(told) == len(rows) == 4 * len(NAMES)
    assert {result.seen.status for result in results} == {200, 502}


async def test_a_gateway_that_cannot_start_is_told_of(operator, tmp_path):
    settings, catalog = operator()
    rows, _ = rows_of(settings, catalog, FAULTS[:1], is_fast=True)
    (tmp_path / "store").write_text("in the way")
    with pytest.raises(FairleadError, match=r"did not start: .*FAIRLEAD_DATA_DIR"):
        await run_rows(settings, rows, tmp_path)


async def test_what_the_process_is_given_has_no_secret(operator, tmp_path):
    settings, catalog = operator()
    rows, _ = rows_of(settings, catalog, FAULTS[:1])
    urls = {slug: "http://127.0.0.1:9/v1" for row in rows for slug in (row.slug, *row.others)}
    fake = isolated(settings, rows, urls, tmp_path, "sk-drill", "sk-drill-admin")
    assert {item.provider.api_key for item in fake.providers} == {"drill-no-secret"}
