import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.providers import BUILTIN, BY_SLUG, normalize_base_url

HOSTED = [builtin for builtin in BUILTIN if builtin.base_url is not None]
REFERENCE = """
openai anthropic google-ai-studio deepseek xai moonshotai z-ai minimax mistral groq together fireworks cerebras
deepinfra openrouter azure vllm ollama llamacpp sglang nvidia sambanova perplexity cohere alibaba siliconflow
novita nebius chutes baseten huggingface venice lmstudio
"""


def test_every_provider_of_the_reference_is_there_once():
    assert set(REFERENCE.split()) <= set(BY_SLUG)
    assert len(BY_SLUG) == len(BUILTIN)


@pytest.mark.parametrize("builtin", BUILTIN, ids=lambda builtin: builtin.slug)
def test_a_line_of_the_table_is_well_formed(builtin):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", builtin.slug)
    assert builtin.name
    assert builtin.key_variables
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+", name) for name in (*builtin.key_variables, builtin.base_url_variable))
    assert builtin.auth_header == builtin.auth_header.lower()


@pytest.mark.parametrize("builtin", HOSTED, ids=lambda builtin: builtin.slug)
def test_a_hosted_providers_address_is_as_an_operator_would_have_to_write_it(builtin):
    assert builtin.base_url.startswith("https://")
    assert normalize_base_url(builtin.base_url, builtin.root_path) == builtin.base_url
    host = re.match(r"https://[^/]+", builtin.base_url)[0]
    assert normalize_base_url(host, builtin.root_path) == builtin.base_url


def test_no_variable_belongs_to_two_providers():
    names = [name for builtin in BUILTIN for name in (*builtin.key_variables, builtin.base_url_variable)]
    assert len(names) == len(set(names))


def test_local_engines_need_an_address_and_no_key():
    local = {builtin.slug: builtin.base_url_variable for builtin in BUILTIN if builtin.is_local}
    assert local["vllm"] == "VLLM_BASE_URL"
    assert set(local) == {"vllm", "ollama", "llamacpp", "sglang", "lmstudio"}
    assert all(BY_SLUG[slug].base_url is None for slug in local)


def test_azure_is_addressed_by_its_resource():
    azure = BY_SLUG["azure"]
    base_url = normalize_base_url("https://res.openai.azure.com/", azure.root_path)
    assert base_url == "https://res.openai.azure.com/openai/v1"
    assert (azure.auth_header, azure.key_variables) == ("api-key", ("AZURE_OPENAI_API_KEY",))
    assert not azure.is_discoverable


def test_who_gives_ids_their_author():
    assert BY_SLUG["google-ai-studio"].home == "google"
    assert BY_SLUG["together"].home == "together"


@pytest.mark.parametrize("slug", ["mistral", "openrouter", "fireworks", "groq"])
def test_who_sends_usage_unasked(slug):
    assert not BY_SLUG[slug].is_stream_usage_on_request
    assert BY_SLUG["openai"].is_stream_usage_on_request


@pytest.mark.parametrize(
    ("root", "base_url"),
    [
        ("http://localhost:11434", "http://localhost:11434/v1"),
        ("http://localhost:11434/", "http://localhost:11434/v1"),
        ("http://localhost:11434/v1", "http://localhost:11434/v1"),
        (" http://localhost:11434/v1// ", "http://localhost:11434/v1"),
        ("https://gpu.example/llm/api/v4", "https://gpu.example/llm/api/v4"),
        ("http://[::1]:8000", "http://[::1]:8000/v1"),
        ("HTTP://Host.example", "http://Host.example/v1"),
    ],
)
def test_a_root_becomes_a_base_url(root, base_url):
    assert normalize_base_url(root) == base_url


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        ("", "not a URL"),
        ("localhost:11434", "not an http or https URL"),
        ("ftp://host.example/v1", "not an http or https URL"),
        ("file:///etc/passwd", "not an http or https URL"),
        ("http://", "not an http or https URL"),
        ("http://:8000", "not an http or https URL"),
        ("http://host.example:0", "not an http or https URL"),
        ("http://host.example:99999", "not a URL"),
        ("http://host .example", "not a URL"),
        ("http://host.example/\r\nx-evil: 1", "not a URL"),
        ("http://me:hunter2@host.example", "user name or password"),
        ("http://me@host.example", "user name or password"),
        ("http://host.example/v1?key=hunter2", "query or a fragment"),
        ("http://host.example/v1?", "query or a fragment"),
        ("http://host.example/v1#hunter2", "query or a fragment"),
        ("http://host.example/v1/chat/completions", "leave off /chat/completions"),
        ("http://host.example/v1/models/", "leave off /models"),
    ],
)
def test_what_is_no_plain_address_is_refused_without_repeating_it(root, reason):
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        normalize_base_url(root)
    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=60) | st.text(max_size=30).map("http://".__add__))
def test_any_text_gives_a_stable_base_url_or_a_reason(text):
    try:
        base_url = normalize_base_url(text)
    except ValueError:
        return
    assert normalize_base_url(base_url) == base_url
    assert not base_url.endswith("/")
