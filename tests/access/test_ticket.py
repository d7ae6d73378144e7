import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.ticket import LIFE_S, is_nonce, new_nonce, seal, unseal
from fairlead.errors import ApiError

NOW = 1_800_000_000.25
SECRET = b"s" * 32
SHOWN = b'{"callback":"https://app.example/"}'


def refusal(ticket, nonce, *, secret=SECRET, now=NOW):
    with pytest.raises(ApiError) as caught:
        unseal(secret, ticket, nonce, now)
    assert (caught.value.status, caught.value.error_type) == (403, "permission_denied")
    assert caught.value.message.endswith("Go back to the app and begin again there")
    return caught.value.message


@given(st.binary(max_size=100))
def test_what_was_shown_comes_back(shown):
    if shown:
        nonce = new_nonce()
        assert unseal(SECRET, seal(SECRET, shown, nonce, NOW), nonce, NOW) == shown


def test_it_lasts_for_ten_minutes():
    nonce = new_nonce()
    ticket = seal(SECRET, SHOWN, nonce, NOW)
    assert LIFE_S == 600
    assert unseal(SECRET, ticket, nonce, NOW + 599) == SHOWN
    assert "older than 10 minutes" in refusal(ticket, nonce, now=NOW + 600)


def test_another_browser_cannot_use_it():
    ticket = seal(SECRET, SHOWN, new_nonce(), NOW)
    for nonce in (new_nonce(), ""):
        assert "not made for this browser" in refusal(ticket, nonce)


def test_another_secret_is_another_gateway():
    nonce = new_nonce()
    refusal(seal(b"t" * 32, SHOWN, nonce, NOW), nonce)


@given(st.data())
def test_not_a_character_of_it_can_be_changed(data):
    nonce = "n" * 22
    ticket = seal(SECRET, SHOWN, nonce, NOW)
    at = data.draw(st.integers(0, len(ticket) - 1))
    char = data.draw(st.sampled_from("aZ09-_.=é").filter(lambda char: char != ticket[at]))
    refusal(ticket[:at] + char + ticket[at + 1 :], nonce)


@given(st.text())
def test_whatever_comes_is_refused(text):
    refusal(text, "n" * 22)


def test_nonces_differ_and_are_known_by_sight():
    assert new_nonce() != new_nonce()
    assert is_nonce(new_nonce())
    assert not any(is_nonce(text) for text in ("", "x" * 21, "x" * 23, "x" * 21 + '"'))
