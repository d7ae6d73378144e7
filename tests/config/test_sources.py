"""Where values come from, and which wins."""

import contextlib

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from fairlead.config import load
from fairlead.errors import ConfigError

KEY = "sk-0123456789abcdefghijklmnop"


def origin(loaded, variable="FAIRLEAD_PORT"):
    found = loaded.origins[variable]
    return found.value, found.source


def test_the_stronger_source_wins(configure):
    def sources(count):
        """The `count` weakest sources, each with a port of its own."""
        return {
            "toml": "port = 1" if count > 0 else "",
            "dotenv": "FAIRLEAD_PORT=2" if count > 1 else "",
            "environ": {"FAIRLEAD_PORT": "3"} if count > 2 else {},
            "overrides": {"FAIRLEAD_PORT": "4"} if count > 3 else {},
        }

    loaded = [configure(**sources(count)) for count in range(5)]
    assert [each.settings.port for each in loaded] == [8420, 1, 2, 3, 4]
    assert [origin(each) for each in loaded] == [
        ("8420", "default"),
        ("1", "FAIRLEAD_CONFIG file"),
        ("2", ".env"),
        ("3", "environment"),
        ("4", "flag"),
    ]


def test_an_empty_value_counts_as_unset(configure):
    loaded = configure({"FAIRLEAD_PORT": "", "OPENAI_API_KEY": " "}, dotenv="FAIRLEAD_PORT=9000")
    assert origin(loaded) == ("9000", ".env")
    assert loaded.settings.providers == ()


@pytest.mark.parametrize(
    ("alias", "variable", "text"),
    [
        ("HOST", "FAIRLEAD_HOST", "127.0.0.2"),
        ("PORT", "FAIRLEAD_PORT", "9000"),
        ("WEB_CONCURRENCY", "FAIRLEAD_WORKERS", "7"),
        ("REDIS_URL", "FAIRLEAD_REDIS_URL", "redis://localhost"),
        ("https_proxy", "HTTPS_PROXY", "http://proxy:3128"),
    ],
)
def test_aliases(configure, alias, variable, text):
    assert origin(configure({alias: text}), variable) == (text, f"environment ({alias})")


def test_our_own_name_wins_over_an_alias_even_from_a_weaker_source(configure):
    assert configure({"PORT": "1"}, dotenv="FAIRLEAD_PORT=2").settings.port == 2


class TestFiles:
    def test_a_variable_may_name_a_file(self, configure, tmp_path):
        file = tmp_path / "secret"
        file.write_text(f"{KEY}\n")
        loaded = configure({"FAIRLEAD_ADMIN_KEY_FILE": str(file), "OPENAI_API_KEY_FILE": "secret"})
        assert loaded.settings.admin_key.reveal() == KEY
        assert loaded.settings.providers[0].provider.api_key == KEY
        assert origin(loaded, "FAIRLEAD_ADMIN_KEY") == (
            "sk-…mnop",
            f"environment file {file} (FAIRLEAD_ADMIN_KEY_FILE)",
        )
        assert origin(loaded, "OPENAI_API_KEY") == ("sk-…mnop", "environment file secret (OPENAI_API_KEY_FILE)")

    def test_also_in_every_other_source_and_for_aliases(self, configure, tmp_path):
        (tmp_path / "port").write_text("9000\r\n")
        assert origin(configure(dotenv="PORT_FILE=port")) == ("9000", ".env file port (PORT_FILE)")
        (tmp_path / ".env").unlink()
        assert origin(configure(toml='port_file = "port"')) == (
            "9000",
            "FAIRLEAD_CONFIG file file port (FAIRLEAD_PORT_FILE)",
        )

    def test_home_is_understood(self, configure, tmp_path):
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "port").write_text("9000")
        assert configure(dotenv="FAIRLEAD_PORT_FILE=~/port").settings.port == 9000

    def test_only_one_newline_is_taken_off(self, refused, tmp_path):
        (tmp_path / "secret").write_text(f"{KEY}\n\n")
        (line,) = refused({"FAIRLEAD_ADMIN_KEY_FILE": "secret"})
        assert line.startswith('FAIRLEAD_ADMIN_KEY="sk-…nop\\n" (environment file secret (FAIRLEAD_ADMIN_KEY_FILE)): ')

    def test_value_and_file_together_are_refused(self, refused, tmp_path):
        (tmp_path / "port").write_text("9000")
        lines = refused({"FAIRLEAD_PORT": "1", "FAIRLEAD_PORT_FILE": "port"})
        assert lines == ["FAIRLEAD_PORT (environment): FAIRLEAD_PORT_FILE is set too; remove one of the two"]

    def test_a_stronger_source_may_replace_a_file(self, configure):
        assert configure({"FAIRLEAD_PORT": "1"}, dotenv="FAIRLEAD_PORT_FILE=nowhere").settings.port == 1

    @pytest.mark.parametrize(
        ("name", "reason"),
        [("./nowhere", "No such file"), (".", "Is a directory"), ("binary.key", "not UTF-8"), ("./big", "longer than")],
    )
    def test_what_cannot_be_read_is_told(self, refused, tmp_path, name, reason):
        (tmp_path / "binary.key").write_bytes(b"\xff\xfe")
        (tmp_path / "big").write_bytes(b"x" * 2_000_000)
        (line,) = refused({"FAIRLEAD_PORT_FILE": name})
        assert line.startswith(f'FAIRLEAD_PORT_FILE="{name}" (environment): cannot be read: ')
        assert reason in line

    def test_an_empty_file_is_told(self, refused, tmp_path):
        (tmp_path / "secret").write_text("\n")
        assert refused({"FAIRLEAD_ADMIN_KEY_FILE": "secret"}) == [
            'FAIRLEAD_ADMIN_KEY_FILE="secret" (environment): the file is empty; write the value into it'
        ]

    def test_a_key_in_the_place_of_a_path_is_not_printed(self, refused):
        assert KEY not in str(refused({"OPENAI_API_KEY_FILE": KEY}))


class TestDotenv:
    def test_quotes_comments_and_export(self, configure):
        loaded = configure(dotenv="# a comment\nexport FAIRLEAD_PORT='9000' # here\nFAIRLEAD_DEMO=\"off\"\nOTHER=1\n")
        assert (loaded.settings.port, loaded.settings.demo) == (9000, "off")

    def test_dollar_signs_stand_for_themselves(self, configure):
        settings = configure({"X": "1"}, dotenv="FAIRLEAD_API_KEYS=a${X}b").settings
        assert [key.reveal() for key in settings.api_keys] == ["a${X}b"]

    def test_a_broken_line_is_told_with_its_number_and_without_its_text(self, refused):
        lines = refused(dotenv=f'FAIRLEAD_PORT=1\nOPENAI_API_KEY="{KEY}\n')
        assert lines == [".env line 2: not an assignment; write NAME=value"]

    def test_one_that_is_not_text_is_told(self, refused, tmp_path):
        (tmp_path / ".env").write_bytes(b"\xff")
        assert refused() == [f".env: cannot be read: not UTF-8 text; fix or remove {tmp_path / '.env'}"]

    def test_a_directory_of_that_name_is_none_of_ours(self, configure, tmp_path):
        (tmp_path / ".env").mkdir()
        assert configure().settings.port == 8420

    def test_only_the_working_directory_is_looked_at(self, configure, tmp_path):
        (tmp_path / "below").mkdir()
        assert configure(dotenv="FAIRLEAD_PORT=1", cwd=tmp_path / "below").settings.port == 8420

    def test_it_may_name_the_toml_file(self, configure, tmp_path):
        (tmp_path / "other.toml").write_text("port = 9000")
        assert configure(dotenv="FAIRLEAD_CONFIG=other.toml").settings.port == 9000


class TestToml:
    def test_the_whole_tree(self, configure):
        loaded = configure(
            toml="""
            port = 9000
            auto_routing = false
            api_keys = ["a", "b"]
            max_body_bytes = 1048576
            [timeout]
            connect_s = 2.5
            [providers.my-lab]
            base_url = "http://lab.example/v1"
            models = ["a", "b=c"]
            zdr = true
            price = { prompt = 0.25, completion = 1 }
            [providers.my-lab.headers]
            X-Team = "research"
            [providers.my-lab.timeout]
            idle_s = 7
            [providers.openai]
            api_key = "k"
            """
        )
        settings = loaded.settings
        assert (settings.port, settings.auto_routing, settings.max_body_bytes) == (9000, False, 1048576)
        assert [key.reveal() for key in settings.api_keys] == ["a", "b"]
        assert settings.timeouts.connect_s == 2.5
        openai, lab = settings.providers
        assert openai.provider.api_key == "k"
        assert lab.declared_models == (("a", "a"), ("b", "c"))
        assert lab.provider.headers == {"x-team": "research"}
        assert (lab.provider.timeouts.connect_s, lab.provider.timeouts.idle_s) == (2.5, 7.0)
        assert (lab.provider.price.prompt, lab.provider.price.completion) == (250_000, 1_000_000)
        assert lab.provider.is_zdr

    @pytest.mark.parametrize(
        ("toml", "told"),
        [
            ("port = ", "not valid TOML: "),
            ("port = 1979-05-27", "port must be text, a number"),
            ("api_keys = [1]", "api_keys must be text, a number"),
            ('api_keys = ["a,b"]', "api_keys must be text, a number"),
            ("[[providers]]\nbase_url = 'x'", "providers must be text, a number"),
            ("port = 1\nPORT = 2", "PORT is a second spelling of FAIRLEAD_PORT; remove one of the two"),
            ("config = 'other'", "config cannot be set in the file itself; remove it there"),
            ("port = 0x" + "f" * 5000, "port must be text, a number"),
            (".".join("a" * 2000) + " = 1", "must be text, a number"),
        ],
    )
    def test_what_cannot_be_used_is_told(self, refused, toml, told):
        line = refused(toml=toml)[0]
        assert line.startswith('FAIRLEAD_CONFIG="fairlead.toml" (environment): ')
        assert told in line

    def test_a_wrong_value_is_told_like_any_other(self, refused):
        assert refused(toml="[timeout]\nconnect_s = 0") == [
            'FAIRLEAD_TIMEOUT_CONNECT_S="0" (FAIRLEAD_CONFIG file): not a number of seconds from 0.001 to 600; '
            "for example FAIRLEAD_TIMEOUT_CONNECT_S=5"
        ]

    def test_a_missing_file_is_told(self, refused):
        assert refused({"FAIRLEAD_CONFIG": "nowhere.toml"}) == [
            'FAIRLEAD_CONFIG="nowhere.toml" (environment): cannot be read: No such file or directory; '
            "name a readable TOML file"
        ]


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
@profile(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_content_of_the_files_is_read_or_told(tmp_path, content):
    for name in (".env", "fairlead.toml", "secret"):
        (tmp_path / name).write_bytes(content)
    environ = {"FAIRLEAD_CONFIG": "fairlead.toml", "FAIRLEAD_ADMIN_KEY_FILE": "secret"}
    with contextlib.suppress(ConfigError):
        load(environ, cwd=tmp_path, is_terminal=False, cpu_count=1)
