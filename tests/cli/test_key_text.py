from dataclasses import replace

import pytest

from fairlead.access.keys import ApiKey
from fairlead.access.windows import Spent
from fairlead.cli.key_text import key_line, key_lines, state_of

NOW = 1_795_273_445.5
KEY = ApiKey("9f" * 32, "web", "sk-fl-v1-1a2…9f0", created=1_700_000_000)
SPENT = Spent(7_000_000_001, 1_000_000_000, 2_500_000_000, 3_000_000_000, 12, 1_700_000_002)


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({}, "active"),
        ({"expires": int(NOW) + 1}, "active"),
        ({"expires": int(NOW)}, "expired"),
        ({"is_disabled": True}, "disabled"),
        ({"is_disabled": True, "expires": 0}, "disabled"),
    ],
)
def test_state(more, state):
    assert state_of(replace(KEY, **more), NOW) == state


@pytest.mark.parametrize(
    ("more", "end"),
    [
        ({}, "7.000000001 USD       web"),
        ({"name": ""}, "7.000000001 USD"),
        ({"is_management": True}, "7.000000001 USD       web (management)"),
        ({"limit_usd_nanos": 10**10}, "7.000000001 of 10 USD  web"),
        ({"limit_usd_nanos": 5 * 10**8, "limit_reset": "weekly"}, "2.5 of 0.5 USD a week  web"),
    ],
)
def test_line(more, end):
    line = key_line(replace(KEY, **more), SPENT, NOW)
    assert line == f"9f9f9f9f9f9f  sk-fl-v1-1a2…9f0  active    2023-11-14  {end}"


def test_everything_about_a_key_without_conditions():
    assert key_lines(replace(KEY, name=""), Spent(), NOW) == [
        "name          none",
        f"hash          {'9f' * 32}",
        "label         sk-fl-v1-1a2…9f0",
        "state         active",
        "for           inference",
        "created       2023-11-14T22:13:20Z",
        "expires       never",
        "limit         none",
        "spent         0 USD; today 0, this week 0, this month 0",
        "requests      0, never used",
        "models        all",
        "providers     all",
        "rates         no limit",
    ]


def test_everything_about_one_with_all_of_them():
    key = replace(
        KEY,
        expires=1_900_000_000,
        is_management=True,
        limit_usd_nanos=5_000_000_000,
        limit_reset="daily",
        allowed_models=("openai/*", "*:free"),
        allowed_providers=("groq",),
        requests_per_minute=60,
        max_concurrency=4,
        preferences='{"sort":"price"}',
        is_auto_routing=False,
        resume_tokens=2000,
        creator="oauth:https://app.example",
    )
    assert key_lines(key, SPENT, NOW) == [
        "name          web",
        f"hash          {'9f' * 32}",
        "label         sk-fl-v1-1a2…9f0",
        "state         active",
        "for           management",
        "created       2023-11-14T22:13:20Z by oauth:https://app.example",
        "expires       2030-03-17T17:46:40Z",
        "limit         5 USD a day",
        "spent         7.000000001 USD; today 1, this week 2.5, this month 3",
        "requests      12, the last 2023-11-14T22:13:22Z",
        "models        openai/*, *:free",
        "providers     groq",
        "rates         60 requests a minute, 4 requests at a time",
        'preferences   {"sort":"price"}',
        "auto routing  off",
        "resume        within 2000 tokens",
    ]
