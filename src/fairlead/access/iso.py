"""Times as people and JSON write them: ISO 8601, in UTC, with seconds."""

import datetime
import re

_FORM = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?(?:Z|\+00:00)")


def iso_utc(unix: int) -> str:
    """Return Unix seconds as `2026-11-21T15:04:05Z`."""
    return f"{datetime.datetime.fromtimestamp(unix, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def unix_of(text: str) -> int:
    """Return whole Unix seconds; fractions, which JavaScript always writes, are dropped.

    Raises ValueError unless `text` has date, time with seconds, and UTC: a time of which one has to guess the zone
    ends a key hours too early or too late.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is no time such as 2027-01-31T00:00:00Z")
    return int(datetime.datetime.fromisoformat(f"{found[1]}+00:00").timestamp())
