import re
from ipaddress import ip_network
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access import ticket
from fairlead.access.keys import key_hash
from fairlead.admin.consent import COOKIE, MAX_FORM_BYTES, _once_each
from fairlead.errors import ApiError

from .apps import ADMIN_KEY, CALLBACK, CHALLENGE, VERIFIER, apps

pytestmark = pytest.mark.anyio

OURS = "Origin: http://x"
"""What a browser sends with a form of ours; `x` is the host that these requests name."""
ASKED = {
    "callback_url": CALLBACK,
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "key_label": "Notebook",
}


@pytest.fixture
async def it(redis_url):
    async with apps(redis_url) as it:
        yield it


class Page:
    """What a browser has after opening the page: its ticket and its cookie."""

    def __init__(self, answer):
        assert answer.status == 200, answer.text
        self.ticket = re.search(r'name="ticket" value="([^"]+)"', answer.text)[1]
        self.cookie = answer.headers["set-cookie"].partition(";")[0]

    async def send(self, it, decision="approve", key=ADMIN_KEY, *, fields=(OURS,), cookie=None, **more):
        form = urlencode({"ticket": self.ticket, "key": key, "decision": decision, **more})
        cookie = self.cookie if cookie is None else cookie
        return await it.ask(
            "POST",
            "/auth",
            form.encode(),
            f"Cookie: {cookie}",
            "Content-Type: application/x-www-form-urlencoded",
            *fields,
        )


async def page(it, *fields, **query):
    return Page(await it.show(*fields, **(query or ASKED)))


def sent_to(answer):
    """Where the browser is sent, and with which answer."""
    assert answer.status == 200
    delay, _, url = answer.headers["refresh"].partition(";url=")
    assert delay == "0"
    assert f'href="{url.replace("&", "&amp;")}"' in answer.text
    return url.partition("code=")[0], parse_qs(urlsplit(url).query)


def assert_safe(answer):
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] in ("no-referrer", "same-origin")


class TestShow:
    async def test_the_page_says_who_asks_and_cannot_be_kept_or_framed(self, it):
        answer = await it.show(**ASKED)
        assert "<h1>https://app.example:8443 asks" in answer.text
        assert_safe(answer)
        assert answer.headers["referrer-policy"] == "same-origin"

    async def test_nothing_is_stored_for_those_who_only_look(self, it):
        await it.show(**ASKED)
        before = await it.stored()
        for _ in range(3):
            await it.show(**ASKED)
        assert await it.stored() == before
        assert before.count("fl:1:") == 1

    async def test_its_cookie_stays_with_the_browser(self, it):
        cookie = (await it.show(**ASKED)).headers["set-cookie"]
        assert {part.strip().lower() for part in cookie.split(";")[1:]} == {
            "httponly", "max-age=600", "path=/auth", "samesite=lax",
        }  # fmt: skip

    async def test_behind_tls_it_is_not_sent_without(self, it):
        assert "; Secure" in (await it.show("X-Forwarded-Proto: https", **ASKED)).headers["set-cookie"]

    async def test_that_it_is_behind_tls_is_believed_from_trusted_proxies_only(self, redis_url):
        async with apps(redis_url, trusted=(ip_network("192.0.2.0/24"),)) as it:
            answer = await it.show("X-Forwarded-Proto: https", "Forwarded: proto=https", **ASKED)
            assert "; Secure" not in answer.headers["set-cookie"]

    async def test_two_pages_in_one_browser_both_work(self, it):
        first = await page(it)
        second = await page(it, f"Cookie: {first.cookie}")
        assert second.cookie == first.cookie
        for one in (first, second):
            assert sent_to(await one.send(it))

    async def test_a_cookie_that_is_not_ours_is_replaced(self, it):
        answer = await it.show(f'Cookie: {COOKIE}="><script>', **ASKED)
        assert ticket.is_nonce(answer.headers["set-cookie"].partition(";")[0].partition("=")[2])

    @pytest.mark.parametrize(
        ("query", "says"),
        [
            ("", "code_challenge is required without a callback_url"),
            ("callback_url=http://app.example/", "callback_url must be https://"),
            ("callback_url=javascript:alert(1)", "callback_url must be https://"),
            ("callback_url=https://a.example/&callback_url=https://b.example/", "callback_url is given twice"),
            ("callback_url=https://a.example/%23x", "must not have a fragment"),
            ("callback_url=https://a.example/&limit=lots", "limit: "),
            ("callback_url=https://a.example/&expires_at=soon", "expires_at: "),
            ("callback_url=https://a.example/&usage_limit_type=hourly", "usage_limit_type must be one of"),
            ("callback_url=https://a.example/&code_challenge_method=MD5", "Invalid code_challenge_method"),
            ("callback_url=https://a.example/&key_label=a%00b", "key_label holds characters that do not print"),
            ("callback_url=https://a.example/&key_label=%ff", "not URL-encoded UTF-8"),
            ("&".join(f"x{n}=1" for n in range(200)), "or too many"),
        ],
    )
    async def test_nonsense_is_named_on_a_page_and_the_browser_goes_nowhere(self, it, query, says):
        answer = await it.ask("GET", f"/auth?{query}")
        assert answer.status == 400
        assert says in answer.text
        assert_safe(answer)
        assert "location" not in answer.headers
        assert "refresh" not in answer.headers
        assert "<form" not in answer.text

    async def test_what_is_sent_comes_back_as_text(self, it):
        for name in ("key_label", "callback_url", "code_challenge", "limit", "expires_at", "usage_limit_type"):
            answer = await it.show(**{**ASKED, name: "<script>alert(1)</script>"})
            assert "<script" not in answer.text
        answer = await it.ask("GET", "/auth?<script>=1&<script>=2")
        assert "&lt;script&gt; is given twice" in answer.text


class TestApprove:
    async def test_the_app_gets_a_code_that_becomes_the_key_that_was_shown(self, it):
        opened = await page(it, **ASKED, limit="5", usage_limit_type="daily")
        answer = await opened.send(it)
        assert_safe(answer)
        assert answer.headers["referrer-policy"] == "no-referrer"
        url, fields = sent_to(answer)
        assert url == f"{CALLBACK}&"
        assert fields["state"] == ["1"]
        token = (await it.finish(fields["code"][0], code_verifier=VERIFIER)).json["key"]
        key = await it.keys.get(key_hash(token.encode()))
        assert (key.name, key.creator) == ("Notebook", "oauth:https://app.example:8443")
        assert (key.limit_usd_nanos, key.limit_reset) == (5_000_000_000, "daily")

    async def test_without_a_callback_the_code_is_shown(self, it):
        opened = await page(it, code_challenge=VERIFIER)
        answer = await opened.send(it)
        assert_safe(answer)
        assert "refresh" not in answer.headers
        code = re.search(r"<code>(fl-code-[^<]+)</code>", answer.text)[1]
        assert (await it.finish(code, code_verifier=VERIFIER)).status == 200

    async def test_who_it_was_is_in_the_log_and_no_key_is(self, it):
        key = await it.new_key(is_management=True)
        await (await page(it)).send(it, key=f" {key}\n")
        ((event, fields),) = it.log.entries
        assert event == "code made for an app"
        assert fields == {"origin": "https://app.example:8443", "name": "Notebook", "by": key_hash(key.encode())}
        assert key not in await it.stored()

    async def test_a_key_that_may_not_changes_nothing_and_one_can_try_again(self, it):
        opened = await page(it)
        for key, status, says in [
            ("guess", 401, "send a management key"),
            ("", 401, "There was no key"),
            ("ü\r\nx: y", 401, "send a management key"),
            (await it.new_key(), 403, "does not manage"),
            (await it.new_key(is_management=True, is_disabled=True), 401, "is disabled"),
        ]:
            answer = await opened.send(it, key=key)
            assert answer.status == status
            assert_safe(answer)
            assert answer.headers["referrer-policy"] == "same-origin"
            assert '<p role="alert">' in answer.text
            assert says in answer.text
            assert not key or key not in answer.text
            assert f'value="{opened.ticket}"' in answer.text, "the form is there again"
        assert not it.log.entries
        assert sent_to(await opened.send(it))

    async def test_while_the_store_is_away_a_page_says_so(self, it):
        opened = await page(it)
        async with apps("unix:///nonexistent.sock") as away:
            for answer in (await away.show(**ASKED), await opened.send(away)):
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                assert "The store cannot be reached" in answer.text
                assert_safe(answer)


class TestBrake:
    async def test_it_is_asked_before_the_key_is_looked_at(self, redis_url):
        asked = []

        async def brake(address):
            asked.append(address)
            raise ApiError(429, "Too many keys. Wait a minute", headers={"retry-after": "60"})

        async with apps(redis_url, brake) as it:
            opened = await page(it)
            answer = await opened.send(it)
            assert (answer.status, answer.headers["retry-after"]) == (429, "60")
            assert "Too many keys. Wait a minute" in answer.text
            assert asked == ["127.0.0.1"]
            assert not it.log.entries
            await opened.send(it, "deny", key="")
            await opened.send(it, key="")
            assert len(asked) == 1


class TestDeny:
    async def test_the_app_is_told_and_no_key_is_needed(self, it):
        answer = await (await page(it)).send(it, "deny", key="")
        assert_safe(answer)
        _, fields = sent_to(answer)
        assert fields == {"state": ["1"], "error": ["access_denied"]}
        assert "fl:1:oauth:code" not in await it.stored()

    async def test_without_a_callback_there_is_nobody_to_tell(self, it):
        answer = await (await page(it, code_challenge=VERIFIER)).send(it, "deny", key="")
        assert answer.status == 200
        assert "No key was made" in answer.text
        assert "refresh" not in answer.headers

    async def test_what_is_neither_is_a_no(self, it):
        for decision in ("", "Approve", "yes"):
            _, fields = sent_to(await (await page(it)).send(it, decision))
            assert fields["error"] == ["access_denied"]


class TestForeignForms:
    """Even with the right key in them."""

    @pytest.mark.parametrize(
        "fields",
        [
            [],
            ["Origin: null"],
            ["Origin: https://evil.example"],
            ["Origin: http://x.evil.example"],
            ["Origin: http://[bad"],
            ["Referer: https://evil.example/http://x/"],
            ["Origin: null", "Referer: http://x/auth"],
            ["Sec-Fetch-Site: cross-site", OURS],
            ["Sec-Fetch-Site: same-site", OURS],
            ["Sec-Fetch-Site: none", OURS],
        ],
        ids=str,
    )
    async def test_one_of_another_page_is_refused(self, it, fields):
        answer = await (await page(it)).send(it, fields=fields)
        assert answer.status == 403
        assert "sent by another page" in answer.text
        assert_safe(answer)
        assert not it.log.entries

    @pytest.mark.parametrize(
        "fields",
        [
            [OURS],
            ["Referer: http://x/auth?callback_url=y"],
            ["Sec-Fetch-Site: same-origin"],
            ["Sec-Fetch-Site: same-origin", "Origin: https://gateway.example"],
            ["X-Forwarded-Host: gateway.example", "Origin: https://gateway.example"],
        ],
        ids=str,
    )
    async def test_ours_is_known_by_what_the_browser_says_behind_a_proxy_too(self, it, fields):
        assert sent_to(await (await page(it)).send(it, fields=fields))

    async def test_what_it_is_called_outside_is_believed_from_trusted_proxies_only(self, redis_url):
        foreign = ["X-Forwarded-Host: evil.example", "Origin: https://evil.example"]
        async with apps(redis_url, trusted=(ip_network("192.0.2.0/24"),)) as it:
            answer = await (await page(it)).send(it, fields=foreign)
            assert answer.status == 403
            assert not it.log.entries
            assert sent_to(await (await page(it)).send(it))

    @pytest.mark.parametrize("cookie", ["", f"{COOKIE}=", f"{COOKIE}={'x' * 22}", f"other={'x' * 22}"])
    async def test_one_of_another_browser_is_refused(self, it, cookie):
        answer = await (await page(it)).send(it, cookie=cookie)
        assert answer.status == 403
        assert "not made for this browser" in answer.text
        assert not it.log.entries

    async def test_nobody_is_granted_more_than_was_shown(self, it):
        """The ticket is what counts; whatever else the form says does not."""
        opened = await page(it)
        answer = await opened.send(it, callback_url="https://evil.example/", key_label="more", limit="1000")
        url, fields = sent_to(answer)
        assert url.startswith(CALLBACK)
        await it.finish(fields["code"][0], code_verifier=VERIFIER)
        names = [key.name for key in await it.keys.list()]
        assert names == ["Notebook"]

    async def test_a_ticket_of_ones_own_making_is_refused(self, it):
        opened = await page(it)
        nonce = opened.cookie.partition("=")[2]
        other = await page(it, f"Cookie: {opened.cookie}", callback_url="https://evil.example/")
        forged = ticket.seal(b"guess" * 8, b'{"callback":"https://evil.example/"}', nonce, 4e9)
        mixed = ".".join([other.ticket.split(".")[0], *opened.ticket.split(".")[1:]])
        for opened.ticket in (forged, mixed, "", "x", "é"):
            assert (await opened.send(it)).status == 403

    async def test_a_page_that_lay_open_too_long_is_refused(self, it, monkeypatch):
        opened = await page(it)
        monkeypatch.setattr(ticket, "LIFE_S", -1)
        assert "This page is older than" in (await (await page(it)).send(it)).text
        assert sent_to(await opened.send(it))

    async def test_a_field_twice_is_refused(self, it):
        opened = await page(it)
        form = urlencode([("ticket", opened.ticket), ("decision", "deny"), ("decision", "approve"), ("key", ADMIN_KEY)])
        answer = await it.ask("POST", "/auth", form.encode(), f"Cookie: {opened.cookie}", OURS)
        assert (answer.status, "decision is given twice" in answer.text) == (400, True)

    async def test_a_form_without_end_is_refused(self, it):
        answer = await it.ask("POST", "/auth", b"x=" + b"y" * MAX_FORM_BYTES, OURS)
        assert answer.status == 413

    async def test_other_methods_are_refused(self, it):
        answer = await it.ask("PUT", "/auth")
        assert (answer.status, set(answer.headers["allow"].split(", "))) == (405, {"GET", "HEAD", "POST"})


@given(
    st.binary(max_size=60)
    | st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4).map(urlencode).map(str.encode)
)
async def test_whatever_a_form_holds_it_is_read_or_refused(encoded):
    try:
        fields = _once_each(encoded)
    except ApiError as refusal:
        assert refusal.status == 400  # noqa: PT017 - either is right
        return
    assert _once_each(urlencode(fields).encode()) == fields
