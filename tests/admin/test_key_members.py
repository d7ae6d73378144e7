import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.keys import ApiKey
from fairlead.access.usd import MOST_USD, NANOS_PER_USD
from fairlead.admin.key_members import MOST_PATTERNS, MOST_PER_MINUTE, read_changes, read_new
from fairlead.errors import ApiError
from fairlead.wire.errors import error_body

NOW = 1_795_273_445.5  # 2026-11-21T15:04:05.5Z


def refusal(read, members):
    with pytest.raises(ApiError) as caught:
        read(members, NOW)
    error = caught.value
    assert (error.status, error.error_type) == (400, "invalid_request")
    assert json.loads(error_body(error))["error"]["message"] == error.message
    assert len(error.message) < 700
    return error


def test_everything_at_once():
    assert read_new(
        {
            "name": " web ",
            "limit": Decimal("12.5"),
            "limit_reset": "monthly",
            "include_byok_in_limit": False,
            "expires_at": "2026-11-21T15:04:06Z",
            "allowed_models": ["openai/*", "*:free", "openai/*"],
            "allowed_providers": ["groq"],
            "requests_per_minute": 1,
            "tokens_per_minute": MOST_PER_MINUTE,
            "max_concurrency": 4,
            "preferences": {"sort": "price"},
            "auto_routing": True,
            "resume_tokens": 0,
            "is_management": False,
            "workspace_id": None,
            "creator_user_id": None,
            "external": None,
        },
        NOW,
    ) == {
        "name": "web",
        "limit_usd_nanos": 12_500_000_000,
        "limit_reset": "monthly",
        "expires": 1_795_273_446,
        "allowed_models": ("openai/*", "*:free"),
        "allowed_providers": ("groq",),
        "requests_per_minute": 1,
        "tokens_per_minute": MOST_PER_MINUTE,
        "max_concurrency": 4,
        "preferences": '{"sort":"price"}',
        "is_auto_routing": True,
        "resume_tokens": 0,
        "is_management": False,
    }


def test_null_takes_back_whatever_can_be_taken_back():
    given = {
        "limit": None,
        "limit_reset": None,
        "expires_at": None,
        "allowed_models": None,
        "allowed_providers": None,
        "requests_per_minute": None,
        "tokens_per_minute": None,
        "max_concurrency": None,
        "preferences": None,
        "auto_routing": None,
        "resume_tokens": None,
    }
    read = read_changes(given, NOW)
    key = ApiKey("h", "n", "l")
    assert read == {name: getattr(key, name) for name in read}
    assert len(read) == len(given)


class TestLimit:
    @given(st.integers(0, MOST_USD * NANOS_PER_USD))
    def test_every_amount_is_kept_to_the_nano_usd(self, nanos):
        exact = Decimal(nanos).scaleb(-9)
        assert read_new({"limit": exact}, NOW) == {"limit_usd_nanos": nanos}
        # As a caller has it who reads what is answered, and sends it back.
        again = json.loads(json.dumps(nanos / NANOS_PER_USD), parse_float=Decimal)
        assert read_new({"limit": again}, NOW) == {"limit_usd_nanos": nanos}

    @pytest.mark.parametrize(
        ("usd", "nanos"),
        [
            (0, 0),
            (5, 5 * 10**9),
            (MOST_USD, MOST_USD * 10**9),
            (Decimal("-0.0"), 0),
            (Decimal("0.1"), 10**8),
            (Decimal("1E-9"), 1),
            (Decimal("0.0000000005"), 1),
            (Decimal("0.00000000049"), 0),
            (Decimal("1E-400"), 0),
            (Decimal("1.0000000015"), 1_000_000_002),
        ],
    )
    def test_rounded_half_up_beyond_the_ninth_decimal(self, usd, nanos):
        assert read_new({"limit": usd}, NOW) == {"limit_usd_nanos": nanos}

    @pytest.mark.parametrize(
        "value",
        [
            -1,
            Decimal("-0.000000001"),
            MOST_USD + 1,
            Decimal("8000000.000000001"),
            10**30,
            10**4000,
            Decimal("1E+400"),
            Decimal("1E+999999999"),
            Decimal("NaN"),
            Decimal("sNaN"),
            Decimal("Infinity"),
            True,
            "5",
            "NaN",
            [],
            {},
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_what_is_no_amount_is_refused(self, value):
        error = refusal(read_new, {"limit": value})
        assert error.param == "limit"
        assert error.message.startswith("'limit' is ")
        assert f"a number from 0 to {MOST_USD}, or null for no limit" in error.message


@pytest.mark.parametrize(
    ("member", "value", "remedy"),
    [
        ("name", "", "1 to 200 printable characters"),
        ("name", "  ", "1 to 200 printable characters"),
        ("name", None, "1 to 200 printable characters"),
        ("name", 5, "1 to 200 printable characters"),
        ("name", "x" * 201, "1 to 200 printable characters"),
        ("name", "a\nb", "1 to 200 printable characters"),
        ("name", "\u202ereversed", "1 to 200 printable characters"),
        ("limit_reset", "yearly", "daily, weekly, monthly, or null"),
        ("limit_reset", "", "daily, weekly, monthly, or null"),
        ("limit_reset", [], "daily, weekly, monthly, or null"),
        ("expires_at", "2027-01-31", "in UTC with seconds"),
        ("expires_at", "2027-01-31T00:00Z", "in UTC with seconds"),
        ("expires_at", "2027-01-31T00:00:00+02:00", "in UTC with seconds"),
        ("expires_at", 1_900_000_000, "in UTC with seconds"),
        ("expires_at", "2026-11-21T15:04:05Z", "has passed: to end a key at once, disable or delete it"),
        ("allowed_models", "openai/*", "a list of 1 to 100 patterns"),
        ("allowed_models", [], "or null for all"),
        ("allowed_models", ["openai/*", ""], "a list of 1 to 100 patterns"),
        ("allowed_models", [5], "a list of 1 to 100 patterns"),
        ("allowed_models", ["two words"], "a list of 1 to 100 patterns"),
        ("allowed_models", ["x" * 201], "a list of 1 to 100 patterns"),
        ("allowed_providers", ["p"] * (MOST_PATTERNS + 1), "a list of 1 to 100 patterns"),
        ("requests_per_minute", 0, "a whole number of requests from 1 to"),
        ("requests_per_minute", -5, "or null for no limit"),
        ("requests_per_minute", Decimal("1.5"), "a whole number"),
        ("requests_per_minute", True, "a whole number"),
        ("requests_per_minute", "60", "a whole number"),
        ("tokens_per_minute", MOST_PER_MINUTE + 1, "a whole number of tokens"),
        ("max_concurrency", 0, "from 1 to 1000000 of requests at a time"),
        ("preferences", [], "Expected `object`"),
        ("preferences", {"ordre": []}, "unknown field `ordre`"),
        ("auto_routing", "on", "true, false, or null"),
        ("auto_routing", 1, "true, false, or null"),
        ("resume_tokens", -1, "from 0, which is never, to 100000"),
        ("resume_tokens", 100_001, "or null for what the provider and the gateway are set to"),
        ("resume_tokens", False, "a whole number of tokens"),
        ("include_byok_in_limit", True, "all spending counts"),
        ("workspace_id", "0df9e665", "there are no workspaces here"),
    ],
)
@pytest.mark.parametrize("read", [read_new, read_changes])
def test_what_is_wrong_is_named_with_its_value_and_the_remedy(read, member, value, remedy):
    error = refusal(read, {member: value})
    assert error.param == member
    shown = str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
    assert error.message.startswith(f"'{member}' is {shown[:100]}")
    assert remedy in error.message


@pytest.mark.parametrize("value", [None, 0, 1, "true", []])
@pytest.mark.parametrize(("read", "member"), [(read_new, "is_management"), (read_changes, "disabled")])
def test_switches_are_true_or_false(read, member, value):
    assert "it must be true or false" in refusal(read, {member: value}).message


@pytest.mark.parametrize("member", ["limits", "Limit", "", "usage", "hash", "x" * 5_000])
@pytest.mark.parametrize("read", [read_new, read_changes])
def test_unknown_members_are_refused_and_known_ones_named(read, member):
    error = refusal(read, {"name": "web", member: 1})
    assert error.message.startswith(f"'{member[:100]}' is no member of a key; those that can be set: allowed_models, ")
    assert error.param == member[:100]


@pytest.mark.parametrize(
    ("read", "member"),
    [
        (read_new, "disabled"),
        (read_changes, "is_management"),
        (read_changes, "creator_user_id"),
        (read_changes, "external"),
    ],
)
def test_what_cannot_be_set_at_that_time(read, member):
    assert f"'{member}' cannot be set here" in refusal(read, {member: None}).message


def test_a_change_of_nothing_is_refused_in_the_words_that_clients_know():
    assert refusal(read_changes, {}).message == "No update fields provided"


def test_a_new_key_may_be_without_conditions():
    assert read_new({}, NOW) == {}
