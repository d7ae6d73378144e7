import pickle

import pytest

from fairlead.config.secret import Secret, SecretUrl, mask, mask_url

KEY = "sk-proj-0123456789abcdefwxyz"


def test_a_long_secret_shows_its_ends():
    assert mask(KEY) == "sk-…wxyz"


@pytest.mark.parametrize("text", ["", "a", "hunter2", "x" * 19])
def test_a_short_secret_shows_nothing(text):
    assert mask(text) == "…"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:hunter2@localhost:6379/0", "redis://…@localhost:6379/0"),
        ("redis://user:hunter2@localhost", "redis://…@localhost"),
        ("redis://:hunt/er2@x@localhost", "redis://…@localhost"),
        ("redis+sentinel://:hunter2@a:1,b:2/main?db=1", "redis+sentinel://…@a:1,b:2/main?db=1"),
        ("redis://h/0?db=1&password=hunter2&x=1", "redis://h/0?db=1&password=…&x=1"),
        ("unix:///run/v.sock?sentinel_password=hunter2", "unix:///run/v.sock?sentinel_password=…"),
        ("user:hunter2@proxy:3128", "…@proxy:3128"),
    ],
)
def test_a_url_shows_where_it_leads_without_credentials(url, shown):
    assert mask_url(url) == shown


def test_no_way_of_printing_gives_the_text_away():
    for secret in (Secret(KEY), SecretUrl(f"redis://:{KEY}@localhost")):
        for shown in (
            str(secret),
            repr(secret),
            f"{secret}",
            f"{secret!r}",
            f"{secret!s:>40}",
            f"{[secret]}",
        ):
            assert KEY not in shown


def test_reveal_gives_the_text():
    assert Secret(KEY).reveal() == KEY


def test_secrets_are_values():
    assert Secret("a") == Secret("a") != Secret("b")
    assert {Secret("a"), Secret("a")} == {Secret("a")}
    assert pickle.loads(pickle.dumps(Secret(KEY))).reveal() == KEY
