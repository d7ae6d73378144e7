import json
import shlex
from dataclasses import replace

import pytest

from fairlead.admin.key import AdminKey
from fairlead.catalog.providers import BUILTIN
from fairlead.cli.summary import WIDTH, Summary, reachable
from fairlead.config import Secret
from fairlead.edge.asgi import BASES

PLAIN = Summary(
    url="http://127.0.0.1:8420",
    workers=2,
    store="embedded valkey 9.1.2",
    on=(),
    off=[(builtin.slug, builtin.key_variables[0]) for builtin in BUILTIN],
    demo={"demo-swift": "http://127.0.0.1:1/v1"},
    key="sk-fl-demo",
    is_new_key=False,
    admin_key=AdminKey(Secret("sk-fl-admin-v1-abc"), "/data/admin.key"),
    model="demo/chat",
)


def words_of_curl(text):
    """The example, as a shell would split it."""
    return shlex.split(text[text.index("curl ") :].replace("\\\n", " "))


def test_names_all_base_urls():
    for base in BASES:
        assert f" http://127.0.0.1:8420{base}" in PLAIN.text()


def test_names_for_each_provider_that_is_off_the_variable_that_turns_it_on():
    words = PLAIN.text().split()
    assert all(builtin.key_variables[0] in words for builtin in BUILTIN)


def test_no_row_is_wider_than_the_page():
    rows, _, _ = PLAIN.text().partition("Try it")
    assert all(len(line) <= WIDTH for line in rows.splitlines())
    assert len(rows.splitlines()) < 24


def test_many_providers_are_wrapped():
    text = replace(PLAIN, on=[builtin.slug for builtin in BUILTIN], off=(), demo={}).text()
    assert all(len(line) <= WIDTH for line in text.partition("Try it")[0].splitlines())
    assert "  providers  openai, anthropic, " in text
    assert "  off " not in text
    assert "  demo " not in text


def test_says_that_nothing_can_be_asked_for_when_nothing_is_on():
    text = replace(PLAIN, demo={}, key=None, model=None).text()
    assert "  providers  none, and no simulated ones: no model can be asked for" in text
    assert f"  off        {len(BUILTIN)} providers; each of these variables turns one on:" in text
    assert "no model can be asked for" not in PLAIN.text()


def test_the_example_is_a_command_that_streams():
    words = words_of_curl(PLAIN.text())
    assert words[:3] == ["curl", "-N", "http://127.0.0.1:8420/v1/chat/completions"]
    assert words[3:7] == ["-H", "Authorization: Bearer sk-fl-demo", "-H", "Content-Type: application/json"]
    body = json.loads(words[8])
    assert (body["model"], body["stream"], len(body["messages"])) == ("demo/chat", True, 1)


def test_a_new_key_is_said_to_be_new():
    text = replace(PLAIN, key="sk-fl-v1-abc", is_new_key=True).text()
    assert "key        sk-fl-v1-abc   (new; shown only this once)\n" in text


def test_a_key_of_the_operators_is_not_shown():
    text = replace(PLAIN, key=None).text()
    assert "fairlead keys create" in text
    assert "Authorization: Bearer $FAIRLEAD_KEY" in words_of_curl(text)


def test_an_admin_key_is_shown_only_when_it_has_just_been_made():
    assert "admin key  that of /data/admin.key\n" in PLAIN.text()
    text = replace(PLAIN, admin_key=replace(PLAIN.admin_key, is_new=True)).text()
    assert "admin key  sk-fl-admin-v1-abc   (shown only this once)\n             kept in /data/admin.key\n" in text
    text = replace(PLAIN, admin_key=AdminKey(Secret("sk-own-key"), "FAIRLEAD_ADMIN_KEY")).text()
    assert "admin key  that of FAIRLEAD_ADMIN_KEY\n" in text
    assert "sk-own-key" not in text


def test_that_there_is_no_admin_key_is_said_with_the_remedy():
    text = replace(PLAIN, admin_key=AdminKey(None, "x", problem="x cannot be read; set FAIRLEAD_ADMIN_KEY")).text()
    assert "admin key  none, and nobody gets in: x cannot be read; set FAIRLEAD_ADMIN_KEY\n" in text


def test_a_model_that_is_not_known_yet():
    text = replace(PLAIN, model=None).text()
    assert "with one of http://127.0.0.1:8420/v1/models for MODEL:" in text
    assert json.loads(words_of_curl(text)[8])["model"] == "MODEL"


@pytest.mark.parametrize(("workers", "words"), [(1, "1 worker\n"), (3, "3 workers\n")])
def test_counts_workers(workers, words):
    assert words in replace(PLAIN, workers=workers).text()


@pytest.mark.parametrize(
    ("listening", "shown"),
    [
        ("http://0.0.0.0:8420", "http://127.0.0.1:8420"),
        ("http://[::]:8420", "http://[::1]:8420"),
        ("http://10.0.0.0:8420", "http://10.0.0.0:8420"),
    ],
)
def test_a_url_that_can_be_used(listening, shown):
    assert reachable(listening) == shown
