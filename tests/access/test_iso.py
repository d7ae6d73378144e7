import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.iso import iso_utc, unix_of

YEAR_9999 = 253_402_300_799


@given(st.integers(0, YEAR_9999))
def test_there_and_back(unix):
    assert unix_of(iso_utc(unix)) == unix


@pytest.mark.parametrize(
    ("text", "unix"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-21T15:04:05Z", 1_795_273_445),
        ("2026-11-21T15:04:05+00:00", 1_795_273_445),
        ("2026-11-21T15:04:05.999Z", 1_795_273_445),
        ("2028-02-29T00:00:00Z", 1_835_395_200),
        ("9999-12-31T23:59:59Z", YEAR_9999),
    ],
)
def test_read(text, unix):
    assert unix_of(text) == unix
    assert unix_of(iso_utc(unix)) == unix


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2027-01-31",
        "2027-01-31T00:00Z",
        "2027-01-31T00:00:00",
        "2027-01-31T00:00:00+01:00",
        "2027-01-31 00:00:00Z",
        "2027-02-29T00:00:00Z",
        "2027-13-01T00:00:00Z",
        "2027-01-31T24:00:01Z",
        "2027-01-31T00:00:60Z",
        "0000-01-01T00:00:00Z",
        "２０２７-01-31T00:00:00Z",
        "2027-01-31T00:00:00Z\n",
        "1800000000",
    ],
)
def test_whatever_leaves_something_open_is_refused(text):
    with pytest.raises(ValueError):
        unix_of(text)
