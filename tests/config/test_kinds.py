from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.config import kinds
from fairlead.config.kinds import Unfit, one_of, seconds, size, whole
from fairlead.config.secret import Secret

PORT = whole(0, 65535)
SIZE = size(1024, 2**30)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (PORT, "8420", 8420),
        (PORT, " 0\n", 0),
        (seconds(0, 10), "1.5", 1.5),
        (seconds(0, 10), "3", 3.0),
        (one_of("info", "debug"), "DEBUG", "debug"),
        (SIZE, "2048", 2048),
        (SIZE, "64KiB", 65536),
        (SIZE, "64 kb", 64_000),
        (SIZE, "32MiB", 32 * 1024**2),
        (SIZE, "1M", 1_000_000),
        (SIZE, "1GiB", 1024**3),
        (SIZE, "2048B", 2048),
        (kinds.SWITCH, "On", True),
        (kinds.SWITCH, "true", True),
        (kinds.SWITCH, "1", True),
        (kinds.SWITCH, "off", False),
        (kinds.SWITCH, "False", False),
        (kinds.SWITCH, "0", False),
        (kinds.HOST, "0.0.0.0", "0.0.0.0"),
        (kinds.HOST, "[::1]", "::1"),
        (kinds.HOST, "gateway_1.internal", "gateway_1.internal"),
        (kinds.NETWORKS, "10.0.0.1/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1/128"))),
        (kinds.NETWORKS, "none", ()),
        (kinds.WORDS, "LocalHost, .internal,", ("localhost", ".internal")),
        (kinds.PATTERNS, "OpenAI/*, !*-pro,", ("openai/*", "!*-pro")),
        (kinds.TRIGGERS, "证明=max, x=1 = low", (("证明", "max"), ("x=1", "low"))),
        (
            kinds.ATTRIBUTES,
            "team = a%2Cb, deployment.environment.name=größe,",
            (("team", "a,b"), ("deployment.environment.name", "größe")),
        ),
        (kinds.ATTRIBUTES, "a=1,a=2=3", (("a", "2=3"),)),
        (kinds.HEADERS, "X-Key=%20a b%3D, empty=", (("x-key", Secret(" a b=")), ("empty", Secret("")))),
        (kinds.TEXT, " fairlead eu ", "fairlead eu"),
        (kinds.PRESENCE, "0", True),
        (kinds.FORCE, "0", False),
        (kinds.FORCE, "1", True),
    ],
)
def test_what_fits(kind, text, value):
    assert kind.convert(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (PORT, "abc"),
        (PORT, "-1"),
        (PORT, "65536"),
        (PORT, "80.5"),
        (PORT, "9" * 5000),
        (PORT, "\udc80"),
        (kinds.TRIGGERS, "prove=best"),
        (kinds.TRIGGERS, "=high"),
        (kinds.TRIGGERS, "high"),
        (seconds(0, 10), "nan"),
        (seconds(0, 10), "inf"),
        (seconds(0, 10), "11"),
        (one_of("info", "debug"), "verbose"),
        (SIZE, "1023"),
        (SIZE, "2GiB"),
        (SIZE, "1TiB"),
        (SIZE, "-64KiB"),
        (SIZE, "6.4KiB"),
        (kinds.SWITCH, "maybe"),
        (kinds.HOST, "http://localhost"),
        (kinds.HOST, "localhost:8420"),
        (kinds.HOST, "*"),
        (kinds.NETWORKS, "10.0.0.0/33"),
        (kinds.NETWORKS, "localhost"),
        (kinds.PATH, "a\0b"),
        (kinds.OTLP_URL, "localhost:4318"),
        (kinds.OTLP_URL, "grpc://localhost:4317"),
        (kinds.ATTRIBUTES, "team"),
        (kinds.ATTRIBUTES, "=search"),
        (kinds.ATTRIBUTES, "team=%ff"),
        (kinds.HEADERS, "Bearer sk-1"),
        (kinds.HEADERS, "two words=1"),
        (kinds.HEADERS, "a=1%0d%0ab: 2"),
        (kinds.HEADERS, "a=größe"),
        (kinds.SECRET, "sk-with a-blank"),
        (kinds.SECRET, "sk-line\n"),
        (kinds.SECRET, "sk-“quoted”"),
        (kinds.SECRETS, "good,not good"),
    ],
)
def test_what_does_not_fit(kind, text):
    with pytest.raises(Unfit):
        kind.convert(text)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/0",
        "rediss://user:p%40ss@cache.example:6380/1?ssl_cert_reqs=none",
        "redis://[::1]:6379",
        "unix:///run/valkey.sock?db=1",
        "redis+sentinel://:pw@a:26379,b:26379/main/0",
        "redis+cluster://a:7000,b:7000",
    ],
)
def test_redis_urls(url):
    assert kinds.REDIS_URL.convert(f" {url} ").reveal() == url


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://localhost",
        "redis://",
        "redis:///0",
        "redis://host:port",
        "redis://:p/w@host",
        "redis://[::1",
        "unix://run/valkey.sock",
        "unix://[",
        "redis+cluster://a:1,,b:2",
        "redis://local host",
    ],
)
def test_what_is_no_redis_url(url):
    with pytest.raises(Unfit):
        kinds.REDIS_URL.convert(url)


def test_proxies():
    assert kinds.PROXY_URL.convert("http://user:pw@proxy:3128").reveal() == "http://user:pw@proxy:3128"
    assert kinds.PROXY_URL.convert("proxy:3128").reveal() == "http://proxy:3128"
    assert kinds.FALLBACK_PROXY_URL.convert("socks5://localhost:1080").reveal() == "socks5://localhost:1080"


@pytest.mark.parametrize(
    "url", ["socks5://localhost:1080", "https://proxy", "http://", "http://proxy:99999", "http://["]
)
def test_proxies_we_cannot_use(url):
    with pytest.raises(Unfit):
        kinds.PROXY_URL.convert(url)


def test_equal_keys_count_once():
    assert [key.reveal() for key in kinds.SECRETS.convert("a, b,a,")] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("X-Key=sk-1, authorization=Bearer%20sk-2", "X-Key=…,authorization=…"), ("sk-secret-alone", "…")],
)
def test_of_headers_the_names_are_shown(text, shown):
    assert kinds.HEADERS.mask(text) == shown


ALL = [value for value in vars(kinds).values() if isinstance(value, kinds.Kind)] + [PORT, SIZE, seconds(0, 10)]


@given(text=st.text(), kind=st.sampled_from(ALL))
def test_any_text_is_read_or_unfit(kind, text):
    try:
        kind.convert(text)
    except Unfit as unfit:
        reason = str(unfit)
    else:
        reason = "none"
    assert reason
    assert "\n" not in reason


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind.mask is None])
def test_examples_fit(kind):
    kind.convert(kind.example)
