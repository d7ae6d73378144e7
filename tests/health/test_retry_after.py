import pytest

from fairlead.health.outcome import judge_status
from fairlead.health.retry_after import asked_wait

NOW = 1_800_000_000.0


def wait(status=429, **fields):
    headers = {name.replace("_", "-").encode(): str(value).encode() for name, value in fields.items()}
    return asked_wait(lambda name: headers.get(name, b""), status, NOW)


def seconds(**fields):
    return judge_status(429, retry_after=wait(**fields), now_unix=NOW).retry_after_s


def test_none_is_asked_for():
    assert wait() is None
    assert wait(retry_after="") is None


def test_retry_after_is_taken_as_it_came():
    assert wait(retry_after="7") == "7"
    assert wait(retry_after="Wed, 01 Jan 2200 00:00:00 GMT") == "Wed, 01 Jan 2200 00:00:00 GMT"


def test_milliseconds_go_before_it():
    assert seconds(retry_after_ms="2500", retry_after="9") == 2.5
    assert seconds(retry_after_ms="62.5") == 0.1


@pytest.mark.parametrize("wrong", ["soon", "-5", "1e9", "nan", ""])
def test_milliseconds_that_are_none_do_not_matter(wrong):
    assert seconds(retry_after_ms=wrong, retry_after="9") == 9.0


@pytest.mark.parametrize(
    ("reset", "expected"),
    [("20ms", 0.1), ("1s", 1.0), ("7.66s", 7.66), ("1m30.5s", 60.0), ("0.5m", 30.0), ("1h", 60.0), ("12", 12.0)],
)
def test_what_is_used_up_tells_when_there_is_more(reset, expected):
    assert seconds(x_ratelimit_remaining_requests=0, x_ratelimit_reset_requests=reset) == expected


def test_a_reset_may_be_a_time():
    assert seconds(x_ratelimit_remaining=0, x_ratelimit_reset=int(NOW + 20)) == 20.0
    assert seconds(x_ratelimit_remaining=0, x_ratelimit_reset=int((NOW + 20) * 1000)) == 20.0
    assert seconds(x_ratelimit_remaining=0, x_ratelimit_reset=int(NOW - 20)) == 0.1


def test_what_is_not_used_up_says_nothing():
    fields = {"x_ratelimit_remaining_requests": 5, "x_ratelimit_reset_requests": "50s"}
    assert wait(**fields) is None
    assert seconds(**fields, x_ratelimit_remaining_tokens=0, x_ratelimit_reset_tokens="3s") == 3.0


def test_the_longest_counts_of_two_that_are_used_up():
    assert seconds(
        x_ratelimit_remaining_requests=0, x_ratelimit_reset_requests="2s",
        x_ratelimit_remaining_tokens=0, x_ratelimit_reset_tokens="3s",
    ) == 3.0  # fmt: skip


@pytest.mark.parametrize("wrong", ["", "soon", "s", "1d", "-3s", "3s3s", "9" * 400])
def test_a_reset_that_is_none_does_not_matter(wrong):
    told = wait(x_ratelimit_remaining_requests=0, x_ratelimit_reset_requests=wrong)
    assert told is None or seconds(x_ratelimit_remaining_requests=0, x_ratelimit_reset_requests=wrong) == 60.0


def test_only_a_429_is_about_limits():
    assert wait(500, x_ratelimit_remaining_requests=0, x_ratelimit_reset_requests="50s") is None
    assert wait(503, retry_after="5") == "5"
