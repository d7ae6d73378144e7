import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.pkce import (
    CALLBACK_RULE,
    MAX_CALLBACK_CHARS,
    answer_url,
    check_challenge,
    code_hash,
    is_code,
    is_proven,
    new_code,
    origin_of,
    read_method,
)
from fairlead.errors import ApiError

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""The example of RFC 7636, appendix B."""


def refusal(check, *arguments):
    with pytest.raises(ApiError) as caught:
        check(*arguments)
    assert (caught.value.status, caught.value.error_type) == (400, "invalid_request")
    return caught.value


class TestCode:
    def test_codes_differ_have_256_bits_and_are_known_by_sight(self):
        codes = {new_code() for _ in range(100)}
        assert len(codes) == 100
        assert all(is_code(code) and len(code) == len("fl-code-") + 43 for code in codes)

    def test_nothing_else_is_one(self):
        code = new_code()
        assert not any(is_code(text) for text in (code.upper(), code[:-1], f"{code}A", f"{code}\n", f" {code}", ""))

    def test_of_a_code_only_its_hash_is_kept(self):
        code = new_code()
        assert re.fullmatch("[0-9a-f]{64}", code_hash(code))
        assert code_hash(code) == code_hash(code) != code_hash(new_code())


class TestChallenge:
    def test_the_example_of_the_rfc(self):
        check_challenge(CHALLENGE, "S256")
        assert is_proven(CHALLENGE, "S256", VERIFIER)

    def test_a_plain_one_is_the_verifier_itself(self):
        check_challenge(VERIFIER, "plain")
        assert is_proven(VERIFIER, "plain", VERIFIER)

    @pytest.mark.parametrize("method", ["S256", "plain"])
    @pytest.mark.parametrize("verifier", [CHALLENGE + "x", VERIFIER[:-1], VERIFIER.lower(), "", "ü", None])
    def test_any_other_verifier_proves_nothing(self, method, verifier):
        challenge = CHALLENGE if method == "S256" else VERIFIER
        assert not is_proven(challenge, method, verifier)

    def test_the_challenge_does_not_prove_itself(self):
        assert not is_proven(CHALLENGE, "S256", CHALLENGE)

    def test_where_none_was_made_no_verifier_may_be_sent(self):
        assert is_proven(None, "plain", None)
        assert not is_proven(None, "plain", VERIFIER)
        assert not is_proven(None, "plain", "")

    def test_the_method_is_plain_unless_it_is_said(self):
        assert [read_method(given) for given in (None, "plain", "S256")] == ["plain", "plain", "S256"]

    @pytest.mark.parametrize("given", ["s256", "PLAIN", "S512", "", " S256"])
    def test_other_methods_are_refused_in_openrouters_words(self, given):
        error = refusal(read_method, given)
        assert (error.message, error.param) == ("Invalid code_challenge_method", "code_challenge_method")

    @pytest.mark.parametrize(
        ("challenge", "method", "says"),
        [
            (CHALLENGE + "=", "S256", "without padding: 43 characters"),
            (CHALLENGE[:-1], "S256", "for S256, base64url(sha256(code_verifier))"),
            (CHALLENGE.replace("-", "+"), "S256", "for S256"),
            (VERIFIER[:42], "plain", "for plain, the code_verifier: 43 to 128"),
            ("x" * 129, "plain", "43 to 128"),
            ("x" * 42 + "ü", "plain", "43 to 128"),
        ],
    )
    def test_what_cannot_be_one_is_refused_at_once_and_not_when_the_code_is_used(self, challenge, method, says):
        error = refusal(check_challenge, challenge, method)
        assert says in error.message
        assert error.param == "code_challenge"


class TestCallback:
    @pytest.mark.parametrize(
        ("callback", "origin"),
        [
            ("https://app.example", "https://app.example"),
            ("https://app.example/", "https://app.example"),
            ("https://App.Example:8443/back?to=/a&x=%20", "https://app.example:8443"),
            ("HTTPS://app.example:443/", "https://app.example"),
            ("https://a_b.xn--bcher-kva.example?x", "https://a_b.xn--bcher-kva.example"),
            ("https://192.0.2.7/", "https://192.0.2.7"),
            ("https://[2001:db8::1]:3000/", "https://[2001:db8::1]:3000"),
            ("http://localhost:3000/callback", "http://localhost:3000"),
            ("http://localhost", "http://localhost"),
            ("http://127.0.0.1:51234/", "http://127.0.0.1:51234"),
            ("http://[::1]:80/", "http://[::1]"),
        ],
    )
    def test_those_that_a_code_may_go_to(self, callback, origin):
        assert origin_of(callback) == origin

    @pytest.mark.parametrize(
        "callback",
        [
            "http://app.example/",
            "http://localhost.example/",
            "http://localhost./",
            "http://127.0.0.2/",
            "http://127.1/",
            "http://2130706433/",
            "http://[::2]/",
            "http://0.0.0.0/",
            "https://0x7f.1/",
            "https://1.2.3/",
            "https://[::g]/",
            "https://[1.2.3.4]/",
            "https://",
            "https:///path",
            "https://:443/",
            "https://app.example:/",
            "https://app.example:0/",
            "https://app.example:080/",
            "https://app.example:123456/",
            "https://app..example/",
            "https://.example/",
            "https://" + "a" * 64 + ".example/",
            "https://" + "a.b" * 100 + "/",
            "https:app.example",
            "https:/app.example",
            "//app.example/",
            "/callback",
            "app.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "myapp://callback",
            "ftp://app.example/",
            "httpss://app.example/",
        ],
    )
    def test_all_others_are_refused_with_the_rule(self, callback):
        error = refusal(origin_of, callback)
        assert (error.message, error.param) == (CALLBACK_RULE, "callback_url")

    @pytest.mark.parametrize(
        ("callback", "says"),
        [
            ("https://app.example/#x", "must not have a fragment"),
            ("https://app.example/#", "must not have a fragment"),
            ("https://user@app.example/", "user name or password"),
            ("https://app.example:pw@evil.example/", "user name or password"),
            ("https://app.example?@evil.example", None),
            ("https://app.example\\@evil.example/", r"holds '\\', which must be percent-encoded"),
            ("https://app.example/a b", "holds ' '"),
            ("https://app.example/\r\nset-cookie: x", r"holds '\r'"),
            ("https://app.example\t/", r"holds '\t'"),
            ("https://äpp.example/", r"holds '\xe4'"),
            ("https://app.example/\u202e", r"holds '\u202e'"),
            ('https://app.example/"><script>', "holds '\"'"),
            ("https://app.example:65536/", "port 65536, and there are 65535"),
            ("https://app.example/?code=x", "a `code` or an `error` of its own"),
            ("https://app.example/?a=1&error", "a `code` or an `error` of its own"),
            ("https://app.example/?co%64e=x", "a `code` or an `error` of its own"),
            ("https://app.example/" + "x" * MAX_CALLBACK_CHARS, "longer than 2048 characters"),
        ],
    )
    def test_a_refusal_says_what_is_wrong(self, callback, says):
        if says is None:
            assert origin_of(callback) == "https://app.example"
        else:
            assert says in refusal(origin_of, callback).message

    @given(st.text(max_size=40), st.sampled_from(["", "https://", "http://localhost", "https://app.example"]))
    def test_whatever_comes_is_an_origin_or_a_refusal(self, text, before):
        try:
            origin = origin_of(before + text)
        except ApiError:
            return
        assert re.fullmatch(r"https://[\w.:\[\]-]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", origin)
        assert (before + text).isascii()

    @pytest.mark.parametrize(
        ("callback", "url"),
        [
            ("https://app.example/cb", "https://app.example/cb?code=fl-code-a_b"),
            ("https://app.example/cb?state=%26x", "https://app.example/cb?state=%26x&code=fl-code-a_b"),
            ("http://localhost:1", "http://localhost:1?code=fl-code-a_b"),
        ],
    )
    def test_the_answer_is_added_to_its_query(self, callback, url):
        assert answer_url(callback, code="fl-code-a_b") == url
