import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.rollup import METRICS, Amounts, Row, added_up, field_of, rows_of, split_field

names = st.text(max_size=12)
amounts = st.builds(Amounts, *[st.integers(-(10**15), 10**15)] * len(METRICS))
rows = st.builds(Row, st.just("20261121"), st.text("0f", max_size=2), names, st.text("ab-", max_size=3), amounts)


def counters_of(row):
    return {
        field_of(row.key, row.model, row.provider, metric): value
        for metric, value in zip(METRICS, row.amounts, strict=True)
    }


@given(st.lists(rows, unique_by=lambda row: (row.key, row.model.replace("|", "_"), row.provider)))
def test_rows_come_back_from_their_counters(written):
    counters = {field: value for row in written for field, value in counters_of(row).items()}
    expected = {
        Row(row.day, row.key, row.model.replace("|", "_"), row.provider, row.amounts)
        for row in written
        if any(row.amounts)
    }
    assert set(rows_of("20261121", counters)) == expected


@pytest.mark.parametrize("field", ["", "total", "k|m|usd_nanos", "k|m|p|nanos", "|||"])
def test_what_is_no_counter_of_ours(field):
    assert split_field(field) is None
    assert rows_of("20261121", {field: 5}) == []


@given(st.lists(rows))
def test_sums_keep_everything(written):
    by_key = added_up(written, lambda row: row.key)
    assert set(by_key) == {row.key for row in written}
    for n, metric in enumerate(METRICS):
        assert sum(getattr(one, metric) for one in by_key.values()) == sum(row.amounts[n] for row in written)


def test_sums_stand_in_the_order_of_their_first_rows():
    first, second = (Row("20261121", key, "m", "p", Amounts(1, 2, 3, 4, 5, 6)) for key in ("b", "a"))
    assert list(added_up([first, second, first], lambda row: row.key).items()) == [
        ("b", Amounts(2, 4, 6, 8, 10, 12)),
        ("a", Amounts(1, 2, 3, 4, 5, 6)),
    ]
