import os
import sys
from ipaddress import ip_network

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from fairlead.catalog.model import Timeouts
from fairlead.catalog.providers import BUILTIN
from fairlead.config import MEMBERS, SETTINGS, Settings, load, load_process, program_path, watchdog_s
from fairlead.errors import ConfigError


def test_nothing_set_gives_the_defaults(configure, tmp_path):
    settings = configure().settings
    assert settings == Settings(
        workers=2,
        data_dir=tmp_path / "home/.local/state/fairlead",
        providers_off=settings.providers_off,
    )


def test_everything_set(configure, tmp_path):
    for name in ("catalog.json", "ca.pem"):
        (tmp_path / name).touch()
    settings = configure(
        {
            "FAIRLEAD_HOST": "::1",
            "FAIRLEAD_PORT": "0",
            "FAIRLEAD_WORKERS": "3",
            "FAIRLEAD_DRAIN_DELAY_S": "0.5",
            "FAIRLEAD_DATA_DIR": "state",
            "FAIRLEAD_CATALOG": "catalog.json",
            "FAIRLEAD_TRUSTED_PROXIES": "10.0.0.0/8",
            "FAIRLEAD_DEMO": "off",
            "FAIRLEAD_AUTO_ROUTING": "0",
            "FAIRLEAD_TIMEOUT_CONNECT_S": "1",
            "FAIRLEAD_TIMEOUT_FIRST_BYTE_S": "2",
            "FAIRLEAD_TIMEOUT_IDLE_S": "3",
            "FAIRLEAD_TIMEOUT_TOTAL_S": "4",
            "FAIRLEAD_MAX_BODY_BYTES": "1MiB",
            "FAIRLEAD_LOG_FORMAT": "json",
            "SSL_CERT_FILE": "ca.pem",
        }
    ).settings
    assert (settings.host, settings.port, settings.workers) == ("::1", 0, 3)
    assert settings.drain_delay_s == 0.5
    assert settings.data_dir == tmp_path / "state"
    assert (settings.catalog, settings.ssl_cert_file) == (tmp_path / "catalog.json", tmp_path / "ca.pem")
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"),)
    assert (settings.demo, settings.auto_routing) == ("off", False)
    assert settings.timeouts == Timeouts(1.0, 2.0, 3.0, 4.0)
    assert settings.max_body_bytes == 1024**2
    assert settings.log_format == "json"


def test_a_terminal_is_left_at_once(configure):
    on_terminal = configure(is_terminal=True)
    assert (on_terminal.settings.drain_delay_s, on_terminal.settings.drain_timeout_s) == (0.0, 2.0)
    assert on_terminal.origins["FAIRLEAD_DRAIN_TIMEOUT_S"].value == "2"
    assert configure({"FAIRLEAD_DRAIN_DELAY_S": "5"}, is_terminal=True).settings.drain_delay_s == 5.0


@pytest.mark.parametrize(
    ("environ", "state"),
    [
        ({"XDG_STATE_HOME": "/x/state", "HOME": "/h"}, "/x/state/fairlead"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/fairlead"),
        ({"HOME": ""}, "/var/lib/fairlead"),
    ],
)
def test_where_state_goes(configure, environ, state):
    assert str(configure(environ).settings.data_dir) == state


@pytest.mark.parametrize(
    ("variable", "text", "told"),
    [
        ("FAIRLEAD_CATALOG", "nowhere", "no such file"),
        ("SSL_CERT_FILE", "nowhere", "no such file"),
        ("FAIRLEAD_CATALOG", "x" * 5000, "no such file"),
        ("FAIRLEAD_DATA_DIR", "file", "not a directory"),
    ],
)
def test_paths_are_checked(refused, tmp_path, variable, text, told):
    (tmp_path / "file").touch()
    (line,) = refused({variable: text})
    assert line.startswith(f'{variable}="')
    assert told in line


def test_a_wrong_setting_is_named_with_value_source_and_remedy(refused):
    assert refused({"FAIRLEAD_PORT": "abc"}) == [
        'FAIRLEAD_PORT="abc" (environment): not a whole number from 0 to 65535; for example FAIRLEAD_PORT=8420'
    ]


def test_all_that_is_wrong_is_told_at_once(refused):
    lines = refused(
        {"FAIRLEAD_PORT": "abc", "FAIRLEAD_PROT": "1", "OPENAI_API_KEY": "a b", "FAIRLEAD_PROVIDERS__X__WEIGHT": "-1"},
        dotenv="FAIRLEAD_DEMO=perhaps",
        toml="[timeout]\nidle_s = -1",
        overrides={"FAIRLEAD_LOG_LEVEL": "loud"},
    )
    named = [line.partition("=")[0].partition(" ")[0].removesuffix(":") for line in lines]
    assert sorted(named) == [
        "FAIRLEAD_DEMO",
        "FAIRLEAD_LOG_LEVEL",
        "FAIRLEAD_PORT",
        "FAIRLEAD_PROT",
        "FAIRLEAD_PROVIDERS__X__WEIGHT",
        "FAIRLEAD_PROVIDERS__X__WEIGHT",
        "FAIRLEAD_TIMEOUT_IDLE_S",
        "OPENAI_API_KEY",
    ]


def test_secrets_are_masked_in_errors(refused):
    key = "sk-0123456789 abcdefghij"
    environ = dict.fromkeys(
        ("FAIRLEAD_ADMIN_KEY", "FAIRLEAD_API_KEYS", "OPENAI_API_KEY", "FAIRLEAD_PROVIDERS__OPENAI__API_KEY"), key
    ) | {"FAIRLEAD_REDIS_URL": f"redis:// :{key}@h", "HTTPS_PROXY": f"https://u:{key}@h"}
    lines = refused(environ)
    assert len(lines) == len(environ)
    assert key not in "".join(lines)


def test_hostile_text_stays_on_its_line(refused):
    (line,) = refused({"FAIRLEAD_PORT": 'x\nFAIRLEAD_HOST="\x1b[31m\udc80'})
    assert line.startswith('FAIRLEAD_PORT="x\\nFAIRLEAD_HOST="\\x1b[31m\\udc80" (environment): ')


def test_probe_limits_in_the_wrong_order(refused, configure):
    (line,) = refused({"FAIRLEAD_PROBE_MIN_S": "10", "FAIRLEAD_PROBE_MAX_S": "5"})
    assert line.startswith('FAIRLEAD_PROBE_MIN_S="10" (environment): more than FAIRLEAD_PROBE_MAX_S="5" (environment)')
    configure({"FAIRLEAD_PROBE_MIN_S": "5", "FAIRLEAD_PROBE_MAX_S": "5"})


def test_a_wrong_limit_is_not_compared(refused):
    assert len(refused({"FAIRLEAD_PROBE_MIN_S": "100", "FAIRLEAD_PROBE_MAX_S": "x"})) == 1


class TestProxies:
    def test_each_for_its_scheme_and_one_for_the_rest(self, configure):
        proxy = configure({"HTTPS_PROXY": "http://a:1", "ALL_PROXY": "b:2", "no_proxy": "X.example,.y"}).settings.proxy
        assert (proxy.https.reveal(), proxy.http.reveal()) == ("http://a:1", "http://b:2")
        assert proxy.no_proxy == ("x.example", ".y")

    def test_a_proxy_we_cannot_use_is_refused_where_it_would_be_used(self, configure, refused):
        socks = {"all_proxy": "socks5://localhost:1080"}
        (line,) = refused(socks)
        assert line.startswith('ALL_PROXY="socks5://localhost:1080" (environment (all_proxy)): ')
        configure(socks | {"https_proxy": "a:1", "http_proxy": "a:1"})


@pytest.mark.parametrize(
    ("environ", "color"),
    [
        ({}, "auto"),
        ({"NO_COLOR": "1"}, "never"),
        ({"NO_COLOR": ""}, "auto"),
        ({"FORCE_COLOR": "1"}, "always"),
        ({"FORCE_COLOR": "0"}, "auto"),
        ({"FORCE_COLOR": "1", "NO_COLOR": "0"}, "never"),
    ],
)
def test_color(configure, environ, color):
    assert configure(environ).settings.color == color


class TestLoop:
    @pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "localhost"])
    def test_a_provider_that_is_this_gateway_is_refused(self, refused, host):
        environ = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://localhost:8420/v1", "FAIRLEAD_HOST": host}
        (line,) = refused(environ)
        assert line.startswith('OPENAI_BASE_URL="http://localhost:8420/v1" (environment): this is fairlead\'s own')

    def test_also_one_of_the_tree(self, refused):
        (line,) = refused({"FAIRLEAD_PROVIDERS__X__BASE_URL": "http://127.0.0.1:8420"})
        assert line.startswith('FAIRLEAD_PROVIDERS__X__BASE_URL="http://127.0.0.1:8420"')


def test_origins_name_every_setting_and_the_provider_variables_that_are_set(configure):
    origins = configure({"OPENAI_API_KEY": "k", "FAIRLEAD_PROVIDERS__OPENAI__WEIGHT": "2"}).origins
    assert list(origins)[: len(SETTINGS)] == [setting.variable for setting in SETTINGS]
    assert set(list(origins)[len(SETTINGS) :]) == {"OPENAI_API_KEY", "FAIRLEAD_PROVIDERS__OPENAI__WEIGHT"}


def test_the_process_itself(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):  # noqa: TID251 - the test is about the process
        if name.startswith("FAIRLEAD_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FAIRLEAD_PORT", "1")
    monkeypatch.setenv("FAIRLEAD_HOST", "127.0.0.2")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    settings = load_process({"FAIRLEAD_HOST": "127.0.0.3"}).settings
    assert (settings.host, settings.port, settings.drain_timeout_s) == ("127.0.0.3", 1, 2.0)
    assert settings.workers >= 1


VARIABLES = [
    *(setting.variable for setting in SETTINGS),
    *(name for builtin in BUILTIN for name in builtin.key_variables),
    *(f"FAIRLEAD_PROVIDERS__LAB__{member.variable}" for member in MEMBERS),
    "FAIRLEAD_PROVIDERS__LAB__HEADERS__X_TEAM",
]
JUNK = st.text(max_size=60) | st.sampled_from(
    [
        "1e999",
        "-1",
        "nan",
        "http://[",
        "redis://[::1",
        "//",
        "unix://",
        "1" * 400,
        "a=b,a=b",
        "::/0",
        "\udcff",
        "~",
        "~/",
    ]
)


def told_about(environ, cwd):
    """The text of the error, None when there is none; any other exception fails the test."""
    try:
        load(environ, cwd=cwd, is_terminal=False, cpu_count=1)
    except ConfigError as error:
        return str(error)
    return None


@given(variable=st.sampled_from(VARIABLES), text=JUNK)
@profile(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_junk_is_taken_or_told_with_its_variable(tmp_path, variable, text):
    environ = {"HOME": str(tmp_path), "FAIRLEAD_PROVIDERS__LAB__BASE_URL": "http://lab.example", variable: text}
    told = told_about(environ, tmp_path)
    assert told is None or variable in told


@given(name=st.text(max_size=30), text=JUNK)
@profile(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_is_taken_or_told(tmp_path, name, text):
    environ = {f"FAIRLEAD_{name}": text, f"FAIRLEAD_PROVIDERS__{name}": text}
    told = told_about(environ, tmp_path)
    assert told is None or "FAIRLEAD_" in told


@pytest.mark.parametrize(
    ("micros", "pid", "seconds"),
    [
        ("30000000", "ours", 30.0),
        ("30000000", None, 30.0),
        ("30000000", "1", None),
        ("0", "ours", None),
        ("", "ours", None),
    ],
)
def test_the_watchdog_is_for_the_process_that_it_names(monkeypatch, micros, pid, seconds):
    monkeypatch.setenv("WATCHDOG_USEC", micros)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "ours" else pid)
    assert watchdog_s() == seconds


def test_a_child_finds_programs_where_we_do(monkeypatch):
    monkeypatch.setenv("PATH", "/opt/programs")
    assert program_path() == "/opt/programs"
    monkeypatch.delenv("PATH")
    assert program_path() == os.defpath
