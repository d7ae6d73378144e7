import pytest

from fairlead.access.keys import DEMO_KEY, generate
from fairlead.admin.door import Door
from fairlead.errors import ApiError

KEY = "sk-fl-admin-v1-" + "0f" * 32
STATIC = b"sk-one-of-the-environment"


def door(key=KEY):
    return Door(key, lambda token: token in (STATIC, DEMO_KEY.encode()))


def bearer(token):
    return [(b"host", b"x"), (b"authorization", b"Bearer " + token)]


def refusal(headers, key=KEY):
    with pytest.raises(ApiError) as caught:
        door(key).check(headers)
    return caught.value


@pytest.mark.parametrize("headers", [bearer(KEY.encode()), [(b"x-api-key", KEY.encode())]], ids=["bearer", "x-api-key"])
def test_the_admin_key_opens(headers):
    door().check(headers)


@pytest.mark.parametrize("headers", [[], [(b"authorization", b"Basic x")], bearer(b""), [(b"x-api-key", b"")]])
def test_none_is_401_and_says_which_key_to_send(headers):
    error = refusal(headers)
    assert (error.status, error.error_type) == (401, "authentication")
    assert "send the admin key: FAIRLEAD_ADMIN_KEY, or" in error.message
    assert "www-authenticate" in error.headers


@pytest.mark.parametrize(
    "token", [generate().encode(), generate().encode()[:-1], STATIC, DEMO_KEY.encode()], ids=range(4)
)
def test_keys_of_callers_are_403(token):
    error = refusal(bearer(token))
    assert (error.status, error.error_type) == (403, "permission_denied")
    assert "An inference key does not open the administration: send the admin key" in error.message


@pytest.mark.parametrize("token", [b"x", KEY.encode()[:-1], KEY.encode() + b"0", KEY.upper().encode(), b"\xff\xfe"])
def test_any_other_is_401(token):
    error = refusal(bearer(token))
    assert (error.status, error.error_type) == (401, "authentication")
    assert "This is not the admin key" in error.message
    assert KEY not in error.message


@pytest.mark.parametrize("key", [None, ""])
@pytest.mark.parametrize("token", [b"x", b"None", STATIC, KEY.encode()])
def test_without_an_admin_key_nothing_opens(key, token):
    error = refusal(bearer(token), key)
    assert error.status == 403
    assert "set FAIRLEAD_ADMIN_KEY and reload" in error.message
    assert refusal([], key).status == 401


def test_the_key_itself_is_not_kept():
    assert not any(KEY in str(getattr(door(), name)) for name in vars(door()))
