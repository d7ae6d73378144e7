import pytest

from fairlead.access.admit import check, refuse_unknown, token_of
from fairlead.access.keys import ApiKey, generate
from fairlead.errors import ApiError

CHALLENGE = {"www-authenticate": 'Bearer realm="fairlead"'}


def refusal(call, *arguments):
    with pytest.raises(ApiError) as caught:
        call(*arguments)
    error = caught.value
    assert (error.status, error.error_type, error.headers) == (401, "authentication", CHALLENGE)
    return error.message


class TestToken:
    @pytest.mark.parametrize(
        "headers",
        [
            [(b"authorization", b"Bearer sk-1")],
            [(b"authorization", b"bearer sk-1")],
            [(b"authorization", b"BEARER   sk-1  ")],
            [(b"host", b"x"), (b"authorization", b"Bearer sk-1"), (b"x", b"y")],
            [(b"x-api-key", b"sk-1")],
            [(b"x-api-key", b" sk-1 ")],
            [(b"x-api-key", b"sk-2"), (b"authorization", b"Bearer sk-1")],
            [(b"authorization", b"Bearer sk-1"), (b"x-api-key", b"sk-2")],
            [(b"authorization", b"Bearer sk-1"), (b"authorization", b"Bearer sk-2")],
        ],
    )
    def test_where_it_may_stand(self, headers):
        assert token_of(dict(reversed(headers))) == b"sk-1"  # as the edge makes it: of repeated ones the first

    @pytest.mark.parametrize(
        "headers",
        [
            [],
            [(b"x-api-key", b"")],
            [(b"x-api-key", b"  ")],
            [(b"cookie", b"key=sk-1")],
            [(b"proxy-authorization", b"Bearer sk-1")],
        ],
    )
    def test_missing(self, headers):
        assert "Missing Authentication header" in refusal(token_of, dict(headers))

    @pytest.mark.parametrize("value", [b"", b"Bearer", b"Bearer ", b"sk-1", b"Basic c2stMQ==", b"Token sk-1", b" sk-1"])
    def test_of_another_form(self, value):
        assert "must be 'Bearer <key>'" in refusal(token_of, {b"authorization": value})
        assert "must be 'Bearer <key>'" in refusal(token_of, {b"authorization": value, b"x-api-key": b"sk-1"})

    def test_any_bytes_are_a_token(self):
        assert token_of({b"authorization": b"Bearer \xff\x00 x"}) == b"\xff\x00 x"


class TestRefusal:
    def test_a_mistyped_key_is_told_from_an_unknown_one(self):
        token = generate()
        wrong = token[:-1] + ("0" if token[-1] != "0" else "1")
        for damaged in (wrong, token[:-9], token + "0"):
            assert "mistyped or incomplete" in refuse_unknown(damaged.encode()).message
        for other in (token, "sk-proj-abc", ""):
            assert "Unknown API key" in refuse_unknown(other.encode()).message

    def test_it_does_not_repeat_the_key(self):
        for token in (b"sk-fl-v1-0123456789", b"sk-proj-0123456789"):
            error = refuse_unknown(token)
            assert "0123" not in error.message
            assert (error.status, error.headers) == (401, CHALLENGE)

    def test_disabled(self):
        check(ApiKey("h", "mine", "sk-…9f0"))
        message = refusal(check, ApiKey("h", "mine", "sk-…9f0", is_disabled=True))
        assert message == "The API key sk-…9f0 is disabled"
