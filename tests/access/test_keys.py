import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.keys import (
    DEMO_KEY,
    PREFIX,
    from_token,
    generate,
    is_well_formed,
    key_hash,
    label_of,
    looks_like_ours,
)

TOKEN = generate()
LETTERS = string.ascii_letters + string.digits + "-_ "

positions = st.integers(0, len(TOKEN) - 1)


class TestForm:
    def test_a_new_key(self):
        assert TOKEN.startswith(PREFIX)
        assert len(TOKEN) == len(PREFIX) + 64 + 8
        assert set(TOKEN.removeprefix(PREFIX)) <= set("0123456789abcdef")
        assert is_well_formed(TOKEN.encode())

    def test_no_two_are_alike(self):
        tokens = {generate() for _ in range(200)}
        assert len(tokens) == 200
        assert all(is_well_formed(token.encode()) for token in tokens)

    def test_every_wrong_character_is_noticed(self):
        """CRC-32 finds any burst of up to 32 bits: every character, at every place."""
        for position, right in enumerate(TOKEN):
            for wrong in set(LETTERS) - {right}:
                assert not is_well_formed((TOKEN[:position] + wrong + TOKEN[position + 1 :]).encode())

    def test_every_swap_of_neighbours_is_noticed(self):
        for n in range(len(TOKEN) - 1):
            swapped = TOKEN[:n] + TOKEN[n + 1] + TOKEN[n] + TOKEN[n + 2 :]
            assert is_well_formed(swapped.encode()) == (swapped == TOKEN)

    @given(st.data())
    def test_any_key_any_error(self, data):
        token = generate()
        position = data.draw(st.integers(len(PREFIX), len(token) - 2))
        pair = data.draw(st.text("0123456789abcdef", min_size=2, max_size=2))
        damaged = token[:position] + pair + token[position + 2 :]
        assert is_well_formed(damaged.encode()) == (damaged == token)

    @pytest.mark.parametrize(
        "token",
        [
            b"",
            PREFIX.encode(),
            TOKEN[:-1].encode(),
            TOKEN.encode() + b"0",
            TOKEN.encode() + b"\n",
            b" " + TOKEN.encode(),
            TOKEN.upper().encode(),
            TOKEN.replace("sk-fl-v1", "sk-or-v1").encode(),
            b"sk-proj-abc",
            b"\xff" * len(TOKEN),
            DEMO_KEY.encode(),
        ],
        ids=range(11),
    )
    def test_what_is_no_key_of_ours(self, token):
        assert not is_well_formed(token)

    @given(st.binary(max_size=100))
    def test_noise(self, token):
        assert not is_well_formed(token)

    def test_a_damaged_key_still_looks_like_one(self):
        assert looks_like_ours(TOKEN[:-5].encode())
        assert not looks_like_ours(b"sk-proj-abc")


class TestLabel:
    def test_of_a_key_of_ours(self):
        label = label_of(TOKEN)
        digits = TOKEN.removeprefix(PREFIX)
        assert label == f"sk-fl-v1-{digits[:3]}…{digits[-3:]}"

    @pytest.mark.parametrize("token", ["", "x", "hunter2", "sk-0123456789ab", DEMO_KEY, PREFIX, PREFIX + "abcdefgh"])
    def test_of_a_short_one_nothing_is_shown(self, token):
        assert label_of(token) in ("…", f"{PREFIX}…")

    @given(st.text(min_size=0, max_size=200))
    def test_most_of_it_stays_secret(self, token):
        label = label_of(token)
        start, _, end = label.partition("…") if "…" not in token else ("", "", "")
        assert token.startswith(start)
        assert token.endswith(end)
        assert len(start.removeprefix(PREFIX)) + len(end) <= len(token) / 8

    def test_two_keys_that_look_alike_are_not_the_same(self):
        """A label leaves 256 - 12 bits of the digits open: nothing can be done with it."""
        assert len(label_of(TOKEN)) < 20


class TestRecord:
    def test_the_key_itself_is_not_kept(self):
        key = from_token(TOKEN, "mine", 5)
        assert (key.name, key.created, key.is_disabled) == ("mine", 5, False)
        assert key.hash == hashlib.sha256(TOKEN.encode()).hexdigest() == key_hash(TOKEN.encode())
        assert TOKEN.removeprefix(PREFIX) not in repr(key)

    def test_of_a_key_that_is_not_ascii(self):
        assert from_token("schlüssel-schlüssel", "").hash == key_hash("schlüssel-schlüssel".encode())
