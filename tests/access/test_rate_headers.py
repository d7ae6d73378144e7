from fairlead.access.lease import RateLease, RateLimit
from fairlead.access.rate_headers import rate_headers

NOW = 1_000.0


def lease(per_minute, **members):
    found = RateLease("requests:k", RateLimit(per_minute))
    for name, value in members.items():
        setattr(found, name, value)
    return found


def test_without_rates_there_is_nothing_to_say():
    assert rate_headers(None, None, NOW) == []


def test_both():
    requests = lease(60, remaining=40, available=2, reset_s=18.0, drawn_at=NOW - 0.5)
    tokens = lease(10_000, remaining=9_000, available=-500, reset_s=6.0, drawn_at=NOW - 10.0)
    assert dict(rate_headers(requests, tokens, NOW)) == {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-requests": b"42",
        b"x-ratelimit-reset-requests": b"17.500s",
        b"x-ratelimit-limit-tokens": b"10000",
        b"x-ratelimit-remaining-tokens": b"8500",
        b"x-ratelimit-reset-tokens": b"0.000s",
    }


def test_what_remains_is_neither_less_than_nothing_nor_more_than_all():
    assert dict(rate_headers(lease(60, available=-5), None, NOW))[b"x-ratelimit-remaining-requests"] == b"0"
    full = lease(60, remaining=60, available=5, drawn_at=NOW)
    assert dict(rate_headers(full, None, NOW))[b"x-ratelimit-remaining-requests"] == b"60"
