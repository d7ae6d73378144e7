import re
import shlex
from html.parser import HTMLParser

import pytest

from fairlead.openapi.document import document
from fairlead.openapi.page import command, page

VOID = {"meta", "link", "input", "br"}


@pytest.fixture(scope="module")
def whole():
    return document()


@pytest.fixture(scope="module")
def text(whole):
    return page(whole).decode()


class Checked(HTMLParser):
    """Fails for what is not closed; `ids` and `targets` are its anchors and the links to them."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.targets, self.sources = [], [], set(), []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        if found.get("href", "").startswith("#"):
            self.targets.add(found["href"][1:])
        self.sources += [found[name] for name in ("src", "href") if name in found and not found[name].startswith("#")]
        assert not any(name.startswith("on") or name == "style" for name in found), found
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_it_is_whole_and_every_link_leads_somewhere(text):
    found = Checked(text)
    assert len(set(found.ids)) == len(found.ids)
    assert found.targets <= set(found.ids)
    assert set(found.sources) == {"docs/docs.css", "docs/docs.js", "openapi.json", "data:,"}


def test_every_operation_is_on_it_with_its_parameters(whole, text):
    for path, item in whole["paths"].items():
        for method, operation in item.items():
            if method == "servers":
                continue
            start = text.index(f'id="{operation["operationId"]}"')
            section = text[start : text.index("</section>", start)]
            shown = path if "servers" in item else f"/v1{path}"
            assert f"<code>{shown}</code>" in section
            for parameter in operation.get("parameters", ()):
                assert f"<code>{parameter['name']}</code>" in section
            for status in operation["responses"]:
                assert f"<td>{status}</td>" in section


def test_what_is_written_in_the_document_is_text_on_the_page(whole):
    evil = "<script>alert(1)</script>"
    changed = {**whole, "info": {**whole["info"], "description": evil, "title": evil}}
    assert evil not in page(changed).decode()


def words_of(whole, path, method):
    item = whole["paths"][path]
    text = command(whole, path, method, item[method], item)
    return [word for word in shlex.split(text) if word != "\n"]


def test_a_command_has_address_key_and_body(whole):
    assert words_of(whole, "/chat/completions", "post") == [
        "curl",
        "$FAIRLEAD_URL/v1/chat/completions",
        "-H",
        "Authorization: Bearer $FAIRLEAD_KEY",
        "-H",
        "Content-Type: application/json",
        "-d",
        '{"model": "auto", "messages": [{"role": "user", "content": "Say hello"}]}',
    ]


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/livez", "get", ["curl", "$FAIRLEAD_URL/livez"]),
        ("/models/{model_id}", "get", ["curl", "$FAIRLEAD_URL/v1/models/openai/gpt-5.2"]),
    ],
)
def test_a_command_without_a_key(whole, path, method, expected):
    assert words_of(whole, path, method) == expected


def test_methods_that_curl_would_not_guess_are_said(whole):
    assert words_of(whole, "/keys/{hash}", "delete")[:3] == ["curl", "-X", "DELETE"]
    assert words_of(whole, "/keys/{hash}", "patch")[:3] == ["curl", "-X", "PATCH"]
    assert words_of(whole, "/credits/coinbase", "post")[:3] == ["curl", "-X", "POST"]
    assert "FAIRLEAD_MANAGEMENT_KEY" in " ".join(words_of(whole, "/keys/{hash}", "delete"))


def test_the_address_can_be_filled_in(text):
    assert text.count('<span class="origin">') == len(re.findall(r'class="command"', text))
