import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.key_request import KeyRequest
from fairlead.admin.consent_page import ConsentPages

PAGES = ConsentPages()
ASKED = KeyRequest(
    "https://app.example:8443/cb?state=1", None, "plain", "Notebook", 12_500_000_000, "monthly", 4_070_908_800
)


class Shape(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(page.decode())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def terms(page):
    """What the page says of the key: `dt` → `dd`."""
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page.decode())
    return dict(found)


def test_it_says_everything_that_is_granted():
    page = PAGES.ask(ASKED, "ticket")
    assert "<h1>https://app.example:8443 asks for an API key" in page.decode()
    assert terms(page) == {
        "Name of the key": "Notebook",
        "May spend": "12.5 USD a month (UTC)",
        "Works until": "2099-01-01T00:00:00Z",
        "Goes to": "https://app.example:8443/cb?state=1",
    }


@pytest.mark.parametrize(
    ("asked", "term", "says"),
    [
        (KeyRequest("https://app.example/"), "May spend", "as much as this gateway allows: the app asks for no limit"),
        (KeyRequest("https://app.example/", limit_usd_nanos=1), "May spend", "0.000000001 USD in all"),
        (KeyRequest("https://app.example/", limit_usd_nanos=0, limit_reset="daily"), "May spend", "0 USD a day (UTC)"),
        (KeyRequest("https://app.example/"), "Works until", "it is deleted"),
        (KeyRequest("https://app.example/x"), "Name of the key", "https://app.example"),
        (KeyRequest(challenge="c" * 43), "Goes to", "you: a code is shown, which you copy into the app"),
        (KeyRequest(challenge="c" * 43), "Name of the key", "(none)"),
    ],
)
def test_what_is_not_asked_for_is_said_too(asked, term, says):
    assert terms(PAGES.ask(asked, "ticket"))[term] == says


@pytest.mark.parametrize(
    ("callback", "warns"),
    [
        ("https://app.example/", "only if you know this address"),
        ("HTTP://localhost:1/", "a program on the computer in front of you"),
        (None, "Nobody knows which app it is"),
    ],
)
def test_it_says_what_to_beware_of(callback, warns):
    assert warns in PAGES.ask(KeyRequest(callback, "c" * 43), "ticket").decode()


def test_the_form_is_posted_here_and_the_key_is_a_password():
    shape = Shape(PAGES.ask(ASKED, "the-ticket"))
    (form,) = [found for tag, found in shape.attributes if tag == "form"]
    assert (form["method"], form["action"]) == ("post", "/auth")
    fields = {found["name"]: found for tag, found in shape.attributes if tag in ("input", "button") and "name" in found}
    assert fields["ticket"] == {"type": "hidden", "name": "ticket", "value": "the-ticket"}
    assert (fields["key"]["type"], "value" in fields["key"]) == ("password", False)
    buttons = [found["value"] for tag, found in shape.attributes if tag == "button"]
    assert buttons == ["approve", "deny"]


def test_there_is_nothing_to_run_or_to_fetch():
    pages = (
        PAGES.ask(ASKED, "ticket", "problem"),
        PAGES.going("Approved", "text", "https://app.example/?code=x", "https://app.example"),
        PAGES.code("fl-code-x"),
        PAGES.told("Denied", "text"),
    )
    for page in pages:
        shape = Shape(page)
        assert not {"script", "img", "link", "iframe", "object", "base"} & set(shape.tags)
        assert not [name for _, found in shape.attributes for name in found if name.startswith("on") or name == "style"]


def test_the_policy_allows_the_style_sheet_and_the_form_and_nothing_else():
    (style,) = re.findall(r"<style>(.*?)</style>", PAGES.told("x", "y").decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert PAGES.policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )


def test_what_was_wrong_is_an_alert():
    assert (
        '<p role="alert">Not &lt;b&gt;that&lt;/b&gt; key</p>' in PAGES.ask(ASKED, "t", "Not <b>that</b> key").decode()
    )
    assert "alert" not in PAGES.ask(ASKED, "t").decode().partition("<main>")[2]


@given(st.text(alphabet="<>\"'&$={}/ax", min_size=1, max_size=30))
def test_no_value_makes_markup_of_its_own(text):
    plain = PAGES.ask(KeyRequest("https://app.example/?x", name="x"), "x", "x")
    query = "".join(char for char in text if char in "'&$=/ax")
    page = PAGES.ask(KeyRequest(f"https://app.example/?{query}", name=text), text, text)
    assert Shape(page).tags == Shape(plain).tags
    assert f"https://app.example/?{query}" in Shape(page).text
    shape = Shape(PAGES.going(text, text, text, text))
    assert shape.tags == Shape(PAGES.going("x", "x", "x", "x")).tags
    assert ("a", {"href": text}) in shape.attributes
    assert text in Shape(PAGES.told(text, "")).text
