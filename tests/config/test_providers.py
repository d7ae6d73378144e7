import dataclasses

import pytest

from fairlead.catalog.dialects import DIALECTS, PLAIN
from fairlead.catalog.model import FREE, Price, Provider, Timeouts
from fairlead.catalog.providers import BUILTIN, BY_SLUG
from fairlead.config.providers import split_name

LAB = "FAIRLEAD_PROVIDERS__MY_LAB__"
LAB_URL = {f"{LAB}BASE_URL": "http://lab.example/v1"}
KEYED = [builtin for builtin in BUILTIN if builtin.base_url is not None]
LOCAL = [builtin for builtin in BUILTIN if builtin.is_local]


def only(loaded):
    (settings,) = loaded.settings.providers
    return settings.provider


class TestBuiltin:
    @pytest.mark.parametrize("builtin", KEYED, ids=lambda b: b.slug)
    def test_its_key_turns_it_on(self, configure, builtin):
        for variable in builtin.key_variables:
            provider = only(configure({variable: "k"}))
            assert provider == Provider(
                slug=builtin.slug,
                name=builtin.name,
                base_url=builtin.base_url,
                api_key="k",
                headers={},
                auth_header=builtin.auth_header,
                is_stream_usage_on_request=builtin.is_stream_usage_on_request,
                speaks=DIALECTS.get(builtin.slug, PLAIN),
            )

    @pytest.mark.parametrize("builtin", LOCAL, ids=lambda b: b.slug)
    def test_a_local_engine_is_turned_on_by_its_base_url_and_costs_nothing(self, configure, builtin):
        provider = only(configure({builtin.base_url_variable: "http://localhost:9999"}))
        assert (provider.slug, provider.base_url) == (builtin.slug, "http://localhost:9999/v1")
        assert (provider.api_key, provider.price) == (None, FREE)
        assert configure({builtin.key_variables[0]: "k"}).settings.providers == ()

    def test_azure_needs_both(self, configure):
        key, endpoint = {"AZURE_OPENAI_API_KEY": "k"}, {"AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com/"}
        provider = only(configure(key | endpoint))
        assert (provider.base_url, provider.auth_header) == ("https://mine.openai.azure.com/openai/v1", "api-key")
        assert ("azure", "AZURE_OPENAI_ENDPOINT") in configure(key).settings.providers_off
        assert ("azure", "AZURE_OPENAI_API_KEY") in configure(endpoint).settings.providers_off

    def test_the_others_are_off_with_the_variable_that_turns_them_on(self, configure):
        settings = configure({"OPENAI_API_KEY": "k"}).settings
        off = dict(settings.providers_off)
        assert off.keys() == BY_SLUG.keys() - {"openai"}
        assert (off["google-ai-studio"], off["ollama"]) == ("GEMINI_API_KEY", "OLLAMA_BASE_URL")
        for slug, variable in off.items():
            text = "http://localhost:1" if variable.endswith(("_URL", "_ENDPOINT")) else "k"
            remaining = {"AZURE_OPENAI_ENDPOINT": "https://a.example"} if slug == "azure" else {}
            assert only(configure({variable: text} | remaining)).slug == slug

    def test_the_first_of_several_keys_wins(self, configure):
        assert only(configure({"GOOGLE_API_KEY": "b", "GEMINI_API_KEY": "a"})).api_key == "a"
        loaded = configure({"GOOGLE_API_KEY": "b"})
        assert loaded.origins["GEMINI_API_KEY"].source == "environment (GOOGLE_API_KEY)"

    def test_its_base_url_variable_sends_it_elsewhere(self, configure):
        environ = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "https://proxy.example"}
        assert only(configure(environ)).base_url == "https://proxy.example/v1"

    def test_without_a_key_its_base_url_is_not_even_looked_at(self, configure):
        assert configure({"OPENAI_BASE_URL": "nonsense"}).settings.providers == ()

    def test_key_and_base_url_are_both_told_when_wrong(self, refused):
        assert len(refused({"OPENAI_API_KEY": "a b", "OPENAI_BASE_URL": "nonsense"})) == 2

    def test_the_tree_changes_it(self, configure):
        tree = "FAIRLEAD_PROVIDERS__OPENAI__"
        provider = only(
            configure({"OPENAI_API_KEY": "k", f"{tree}WEIGHT": "2", f"{tree}BASE_URL": "https://eu.example/v1"})
        )
        assert (provider.weight, provider.base_url, provider.api_key) == (2.0, "https://eu.example/v1", "k")

    def test_a_hyphen_in_its_slug_is_an_underscore_in_the_tree(self, configure):
        assert only(configure({"GEMINI_API_KEY": "k", "FAIRLEAD_PROVIDERS__GOOGLE_AI_STUDIO__WEIGHT": "3"})).weight == 3

    def test_the_trees_key_wins_over_the_vendors(self, configure):
        environ = {"OPENAI_API_KEY": "a", "FAIRLEAD_PROVIDERS__OPENAI__API_KEY": "b"}
        assert only(configure(environ)).api_key == "b"

    def test_the_tree_alone_turns_it_on_by_key_or_base_url(self, configure):
        assert only(configure({"FAIRLEAD_PROVIDERS__OPENAI__API_KEY": "k"})).slug == "openai"
        assert only(configure({"FAIRLEAD_PROVIDERS__OPENAI__BASE_URL": "http://x.example"})).api_key is None

    def test_changes_do_not_turn_it_on(self, configure):
        assert configure({"FAIRLEAD_PROVIDERS__OPENAI__WEIGHT": "2"}).settings.providers == ()

    def test_a_price_of_its_own(self, configure):
        tree = "FAIRLEAD_PROVIDERS__VLLM__"
        provider = only(
            configure({f"{tree}BASE_URL": "http://x", f"{tree}PRICE_PROMPT": "1", f"{tree}PRICE_COMPLETION": "2"})
        )
        assert provider.price == Price(prompt=1_000_000, completion=2_000_000)


class TestDeclared:
    def test_a_base_url_is_enough(self, configure):
        loaded = configure(LAB_URL)
        assert only(loaded) == Provider(slug="my-lab", name="my-lab", base_url="http://lab.example/v1", headers={})
        assert loaded.settings.providers[0].declared_models is None

    def test_everything_that_can_be_said(self, configure):
        loaded = configure(
            LAB_URL
            | {
                f"{LAB}API_KEY": "k",
                f"{LAB}DIALECT": "openai",
                f"{LAB}MODELS": "a/b,c/d=e",
                f"{LAB}PRICE_PROMPT": "0.25",
                f"{LAB}PRICE_COMPLETION": "1",
                f"{LAB}WEIGHT": "0.5",
                f"{LAB}MAX_CONCURRENCY": "8",
                f"{LAB}DATA_COLLECTION": "deny",
                f"{LAB}ZDR": "on",
                f"{LAB}QUANTIZATION": "fp8",
                f"{LAB}HEADERS__X_TEAM": "research",
                f"{LAB}HEADERS__USER_AGENT": "a b",
                f"{LAB}TIMEOUT_CONNECT_S": "1",
                f"{LAB}TIMEOUT_FIRST_BYTE_S": "2",
                f"{LAB}TIMEOUT_IDLE_S": "3",
                f"{LAB}TIMEOUT_TOTAL_S": "4",
                f"{LAB}RESUME_TOKENS": "0",
            }
        )
        assert only(loaded) == Provider(
            slug="my-lab",
            name="my-lab",
            base_url="http://lab.example/v1",
            api_key="k",
            headers={"x-team": "research", "user-agent": "a b"},
            weight=0.5,
            max_concurrency=8,
            price=Price(prompt=250_000, completion=1_000_000),
            quantization="fp8",
            data_collection="deny",
            is_zdr=True,
            timeouts=Timeouts(1.0, 2.0, 3.0, 4.0),
            resume_tokens=0,
        )
        assert loaded.settings.providers[0].declared_models == (("a/b", "a/b"), ("c/d", "e"))

    def test_time_limits_are_the_general_ones_where_it_has_none(self, configure):
        provider = only(configure(LAB_URL | {"FAIRLEAD_TIMEOUT_IDLE_S": "30", f"{LAB}TIMEOUT_CONNECT_S": "1"}))
        assert provider.timeouts == dataclasses.replace(Timeouts(), idle_s=30.0, connect_s=1.0)

    def test_they_come_after_the_built_in_ones_by_name(self, configure):
        environ = {"OPENAI_API_KEY": "k"} | {
            f"FAIRLEAD_PROVIDERS__{name}__BASE_URL": "http://x.example" for name in ("ZOO", "ABC")
        }
        slugs = [each.provider.slug for each in configure(environ).settings.providers]
        assert slugs == ["openai", "abc", "zoo"]

    def test_one_provider_may_be_spread_over_sources(self, configure, tmp_path):
        (tmp_path / "secret").write_text("k")
        loaded = configure(
            {f"{LAB}API_KEY_FILE": "secret"},
            dotenv=f"{LAB}WEIGHT=2",
            toml="[providers.my_lab]\nbase_url='http://a.example'",
        )
        assert (only(loaded).api_key, only(loaded).weight) == ("k", 2.0)

    def test_without_a_base_url_it_is_refused(self, refused):
        assert refused({f"{LAB}WEIGHT": "2"}) == [
            f'{LAB}WEIGHT="2" (environment): my-lab is not a built-in provider and has no base URL; '
            f"set {LAB}BASE_URL=https://llm.example/v1"
        ]

    def test_a_misspelt_built_in_one_is_recognised(self, refused):
        (line,) = refused({"FAIRLEAD_PROVIDERS__OPNAI__WEIGHT": "2"})
        assert "(did you mean FAIRLEAD_PROVIDERS__OPENAI__…?)" in line

    def test_a_wrong_base_url_is_told_once(self, refused):
        (line,) = refused({f"{LAB}BASE_URL": "ftp://lab", f"{LAB}WEIGHT": "2"})
        assert line.startswith(f'{LAB}BASE_URL="ftp://lab" (environment): ')

    @pytest.mark.parametrize("half", ["PRICE_PROMPT", "PRICE_COMPLETION"])
    def test_half_a_price_is_refused(self, refused, half):
        (line,) = refused(LAB_URL | {f"{LAB}{half}": "1"})
        assert line.startswith(f'{LAB}{half}="1" (environment): a price has two halves; set {LAB}PRICE_')

    def test_a_price_with_one_half_wrong_is_told_once(self, refused):
        (line,) = refused(LAB_URL | {f"{LAB}PRICE_PROMPT": "1", f"{LAB}PRICE_COMPLETION": "free"})
        assert line.startswith(f'{LAB}PRICE_COMPLETION="free"')

    def test_two_credentials_in_one_header_are_refused(self, refused):
        environ = LAB_URL | {f"{LAB}API_KEY": "k", f"{LAB}HEADERS__AUTHORIZATION": "Basic 0123456789abcdefgh"}
        assert refused(environ) == [
            f'{LAB}HEADERS__AUTHORIZATION="Bas…efgh" (environment): the key of my-lab goes into this header; '
            "remove one of the two"
        ]

    def test_a_header_of_the_connection_is_refused(self, refused):
        (line,) = refused(LAB_URL | {f"{LAB}HEADERS__HOST": "x"})
        assert line == f"{LAB}HEADERS__HOST: the header host is written by fairlead itself; remove it"


@pytest.mark.parametrize(
    ("variable", "parts"),
    [
        ("FAIRLEAD_PROVIDERS__A__BASE_URL", ("A", "BASE_URL")),
        ("FAIRLEAD_PROVIDERS__A_1__API_KEY_FILE", ("A_1", "API_KEY")),
        ("FAIRLEAD_PROVIDERS__A__HEADERS__X_Y", ("A", "HEADERS__X_Y")),
        ("FAIRLEAD_PROVIDERS__A__HEADERS", None),
        ("FAIRLEAD_PROVIDERS__A__HEADERS__", None),
        ("FAIRLEAD_PROVIDERS___A__BASE_URL", None),
        ("FAIRLEAD_PROVIDERS__A_BASE_URL", None),
        ("FAIRLEAD_PROVIDERS__a__BASE_URL", None),
        ("FAIRLEAD_PORT", None),
    ],
)
def test_names_in_the_tree(variable, parts):
    assert split_name(variable) == parts
