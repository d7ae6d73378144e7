from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access import key_request
from fairlead.access.key_request import KeyRequest
from fairlead.access.keys import generate, key_hash
from fairlead.errors import ApiError

NOW = 1_800_000_000.5
"""2027-01-15, 08:00:00 UTC."""
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
CALLBACK = {"callback_url": "https://app.example:8443/back?state=1"}


def read(**fields):
    return key_request.read({**CALLBACK, **fields}, NOW)


def refusal(fields):
    with pytest.raises(ApiError) as caught:
        key_request.read(fields, NOW)
    assert caught.value.status == 400
    return caught.value


class TestReading:
    def test_all_that_can_be_asked_for(self):
        asked = read(
            code_challenge=CHALLENGE,
            code_challenge_method="S256",
            key_label=" Notebook ",
            limit="12.50",
            usage_limit_type="monthly",
            expires_at="2027-01-15T08:00:01Z",
        )
        assert asked == KeyRequest(
            CALLBACK["callback_url"], CHALLENGE, "S256", "Notebook", 12_500_000_000, "monthly", 1_800_000_001
        )
        assert asked.origin == "https://app.example:8443"

    def test_a_callback_is_enough(self):
        assert read() == KeyRequest(CALLBACK["callback_url"])

    def test_without_a_callback_a_challenge_is_required(self):
        asked = key_request.read({"code_challenge": VERIFIER}, NOW)
        assert (asked, asked.origin) == (KeyRequest(None, VERIFIER, "plain"), "")
        error = refusal({})
        assert (error.param, error.message) == ("code_challenge", "code_challenge is required without a callback_url")

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_what_is_empty_counts_as_not_given(self, nothing):
        names = ("code_challenge", "code_challenge_method", "key_label", "limit", "usage_limit_type", "expires_at")
        assert read(**dict.fromkeys(names, nothing)) == read()

    def test_what_is_not_ours_is_left_alone(self):
        assert read(workspace_id="w", utm_source="x", scope=3) == read()

    @pytest.mark.parametrize(
        ("given", "nanos"),
        [  # text from a query, numbers from JSON
            ("0", 0),
            (0, 0),
            (5, 5_000_000_000),
            (0.1, 100_000_000),
            ("0.1", 100_000_000),
            (Decimal("0.000000001"), 1),
            ("0.0000000005", 1),
            ("1e2", 100_000_000_000),
        ],
        ids=repr,
    )
    def test_a_limit_is_usd_to_the_nano(self, given, nanos):
        assert read(limit=given).limit_usd_nanos == nanos

    @pytest.mark.parametrize(
        "limit", ["-1", -0.1, "NaN", "Infinity", "1e12", 10**30, "five", "1,5", "$5", True, [], {}]
    )
    def test_what_is_no_limit_is_refused(self, limit):
        error = refusal({**CALLBACK, "limit": limit})
        assert error.param == "limit"
        assert error.message.startswith("limit")

    @pytest.mark.parametrize(
        ("name", "value", "says"),
        [
            ("callback_url", "http://app.example/", "callback_url must be https://"),
            ("callback_url", 5, "callback_url must be a string"),
            ("code_challenge", "short", "code_challenge must be, for plain"),
            ("code_challenge_method", "S512", "Invalid code_challenge_method"),
            ("code_challenge_method", "S256", "code_challenge is missing"),
            ("key_label", "x" * 101, "longer than 100 characters"),
            ("key_label", "a\nb", "do not print"),
            ("key_label", "harmless\u202etxt.exe", "do not print"),
            ("key_label", "a\u200bb", "do not print"),
            ("key_label", ["x"], "key_label must be a string"),
            ("usage_limit_type", "yearly", "must be one of daily, weekly, monthly"),
            ("usage_limit_type", 1, "must be a string"),
            ("expires_at", "2027-01-15T08:00:00Z", "has passed already"),
            ("expires_at", "2099-01-01", "expires_at: "),
            ("expires_at", "2099-01-01T00:00:00", "expires_at: "),
            ("expires_at", "2099-13-01T00:00:00Z", "expires_at: "),
            ("expires_at", "never", "expires_at: "),
            ("expires_at", 4_000_000_000, "must be a string"),
        ],
    )
    def test_a_refusal_names_the_field_and_what_is_wrong(self, name, value, says):
        error = refusal({**CALLBACK, name: value})
        assert says in error.message
        assert name in error.message or error.param in error.message

    @given(
        st.dictionaries(
            st.sampled_from(["callback_url", "code_challenge", "key_label", "limit", "usage_limit_type", "expires_at"]),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=50)
            | st.lists(st.text(max_size=3)),
        )
    )
    def test_whatever_comes_is_a_request_or_a_refusal_and_is_kept_as_it_is(self, fields):
        try:
            asked = key_request.read({**CALLBACK, **fields}, NOW)
        except ApiError:
            return
        assert key_request.unpack(asked.packed()) == asked


def test_what_was_not_packed_here_is_not_unpacked():
    with pytest.raises(msgspec.MsgspecError):
        key_request.unpack(b'{"callback": 5}')


class TestProof:
    @pytest.mark.parametrize(("method", "challenge"), [("S256", CHALLENGE), ("plain", VERIFIER)])
    @pytest.mark.parametrize("is_said", [True, False])
    def test_the_verifier_proves_with_its_method_or_without(self, method, challenge, is_said):
        KeyRequest(challenge=challenge, method=method).check_proof(VERIFIER, method if is_said else None)

    def test_no_challenge_no_proof(self):
        KeyRequest("https://app.example/").check_proof(None, None)
        KeyRequest("https://app.example/").check_proof(None, "S256")

    @pytest.mark.parametrize(
        ("asked", "verifier"),
        [
            (KeyRequest(challenge=CHALLENGE, method="S256"), VERIFIER[1:]),
            (KeyRequest(challenge=CHALLENGE, method="S256"), None),
            (KeyRequest("https://app.example/"), VERIFIER),
        ],
        ids=["wrong", "missing", "not asked for"],
    )
    def test_anything_else_is_403_in_openrouters_words(self, asked, verifier):
        with pytest.raises(ApiError) as caught:
            asked.check_proof(verifier, None)
        assert (caught.value.status, caught.value.message) == (403, "Invalid code or code_verifier")

    def test_another_method_than_was_announced_is_400(self):
        with pytest.raises(ApiError) as caught:
            KeyRequest(challenge=CHALLENGE, method="S256").check_proof(VERIFIER, "plain")
        assert (caught.value.status, caught.value.message) == (400, "Invalid code_challenge_method")


class TestKey:
    def test_it_has_what_was_asked_for_and_says_whose_it_is(self):
        token = generate()
        asked = KeyRequest("https://app.example/x", None, "plain", "Notebook", 5, "daily", 1_900_000_000)
        key = asked.key(token, NOW)
        assert (key.hash, key.name, key.created) == (key_hash(token.encode()), "Notebook", 1_800_000_000)
        assert (key.limit_usd_nanos, key.limit_reset, key.expires) == (5, "daily", 1_900_000_000)
        assert (key.creator, key.is_management, key.is_disabled) == ("oauth:https://app.example", False, False)

    def test_without_a_label_it_is_called_by_its_origin(self):
        assert KeyRequest("http://localhost:3000/cb").key(generate(), NOW).name == "http://localhost:3000"
        long = KeyRequest("https://" + "a" * 60 + "." + "b" * 60 + ".example/").key(generate(), NOW)
        assert len(long.name) == 100

    def test_without_a_callback_its_maker_is_not_known(self):
        key = KeyRequest(challenge=CHALLENGE).key(generate(), NOW)
        assert (key.name, key.creator) == ("app without a callback", "oauth:copied")
