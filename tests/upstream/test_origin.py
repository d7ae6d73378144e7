"""URLs taken apart, and who goes through the proxy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import ConfigError
from fairlead.upstream.origin import Origin, Proxy, Target, is_proxied, parse_proxy


@pytest.mark.parametrize(
    ("url", "origin", "path", "authority"),
    [
        ("https://api.example.com", Origin(True, "api.example.com", 443), "/", "api.example.com"),
        ("https://api.example.com/v1/chat", Origin(True, "api.example.com", 443), "/v1/chat", "api.example.com"),
        ("https://API.Example.com:443/", Origin(True, "api.example.com", 443), "/", "api.example.com"),
        ("https://example.com:8443/v1?a=b&c", Origin(True, "example.com", 8443), "/v1?a=b&c", "example.com:8443"),
        ("https://example.com?a=b", Origin(True, "example.com", 443), "/?a=b", "example.com"),
        ("https://example.com/a#fragment", Origin(True, "example.com", 443), "/a", "example.com"),
        ("http://localhost:11434/v1", Origin(False, "localhost", 11434), "/v1", "localhost:11434"),
        ("http://example.com:443/", Origin(False, "example.com", 443), "/", "example.com:443"),
        ("http://127.0.0.1/", Origin(False, "127.0.0.1", 80), "/", "127.0.0.1"),
        ("http://[::1]:8080/", Origin(False, "::1", 8080), "/", "[::1]:8080"),
        ("https://[2001:db8::1]/", Origin(True, "2001:db8::1", 443), "/", "[2001:db8::1]"),
        ("https://bücher.example/", Origin(True, "xn--bcher-kva.example", 443), "/", "xn--bcher-kva.example"),
    ],
)
def test_a_url_is_taken_apart(url, origin, path, authority):
    assert Target.parse(url) == Target(origin, path)
    assert origin.authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com/v1",
        "/v1",
        "ftp://example.com/",
        "https://",
        "https:///v1",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://example.com:port/",
        "https://example.com:99999/",
        "https://a..b/",
        f"https://{'a' * 64}.example/",
        "https://[::1/",
        "https://[nonsense]/",
    ],
)
def test_what_is_no_upstream_url_is_refused(url):
    with pytest.raises(ConfigError, match="upstream URL"):
        Target.parse(url)


def test_only_tls_goes_through_the_proxy():
    proxy = Proxy("proxy.example", 3128)
    assert Target.parse("https://example.com/", proxy).origin.proxy is proxy
    assert Target.parse("http://example.com/", proxy).origin.proxy is None


def test_tunnels_are_pooled_apart():
    assert Origin(True, "example.com", 443) != Origin(True, "example.com", 443, Proxy("proxy.example", 3128))


@pytest.mark.parametrize(
    ("value", "proxy"),
    [
        ("http://proxy.example:3128", Proxy("proxy.example", 3128)),
        ("proxy.example:3128", Proxy("proxy.example", 3128)),
        ("http://proxy.example", Proxy("proxy.example", 80)),
        ("http://proxy.example:3128/", Proxy("proxy.example", 3128)),
        ("10.0.0.1:3128", Proxy("10.0.0.1", 3128)),
        ("http://[::1]:3128", Proxy("::1", 3128)),
        ("http://user:p%40ss@proxy.example:3128", Proxy("proxy.example", 3128, "Basic dXNlcjpwQHNz")),
        ("user:pass@proxy.example:3128", Proxy("proxy.example", 3128, "Basic dXNlcjpwYXNz")),
        ("http://user@proxy.example:3128", Proxy("proxy.example", 3128, "Basic dXNlcjo=")),
    ],
)
def test_a_proxy_is_read(value, proxy):
    assert parse_proxy(value) == proxy


@pytest.mark.parametrize(
    "value",
    [
        "https://proxy.example",
        "socks5://proxy.example:1080",
        "http://",
        "http://proxy:port",
        "http://[::1",
        "http://:80",
    ],
)
def test_what_is_no_proxy_is_refused(value):
    with pytest.raises(ConfigError, match="HTTPS_PROXY"):
        parse_proxy(value)


@pytest.mark.parametrize(
    ("host", "no_proxy", "is_exempt"),
    [
        ("api.example.com", "", False),
        ("api.example.com", "*", True),
        ("api.example.com", "example.com", True),
        ("api.example.com", ".example.com", True),
        ("api.example.com", "*.example.com", True),
        ("API.Example.com", "EXAMPLE.com", True),
        ("example.com", "example.com", True),
        ("example.com", ".example.com", True),
        ("notexample.com", "example.com", False),
        ("example.com.evil.test", "example.com", False),
        ("api.example.com", "other.com, example.com", True),
        ("api.example.com", "example.com:443", True),
        ("api.example.com", "example.com:8443", False),
        ("api.example.com", "com", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.0.0.0/99", False),
        ("10.1.2.3", "2.3", False),
        ("10.1.2.3", "10.1.2.3:443", True),
        ("10.1.2.3", "10.1.2.3:80", False),
        ("api.example.com", "10.0.0.0/8", False),
        ("2001:db8::1", "2001:db8::1", True),
        ("2001:db8::1", "2001:DB8:0::1", True),
        ("2001:db8::1", "[2001:db8::1]", True),
        ("2001:db8::1", "[2001:db8::1]:443", True),
        ("2001:db8::1", "[2001:db8::1]:80", False),
        ("2001:db8::1", "2001:db8::/32", True),
        ("2001:db8::1", "::1", False),
        ("localhost", "", True),
        ("127.0.0.1", "", True),
        ("127.8.8.8", "", True),
        ("::1", "", True),
        ("localhost.example.com", "", False),
    ],
)
def test_no_proxy(host, no_proxy, is_exempt):
    assert is_proxied(host, 443, no_proxy.split(",")) is not is_exempt


@pytest.mark.parametrize(
    "url", ["https://me:hunter2@api.test/v1", "ftp://me:hunter2@api.test", "https://api.test:x/?k=hunter2"]
)
def test_a_refused_url_is_named_without_its_secrets(url):
    with pytest.raises(ConfigError, match=r"api\.test") as caught:
        Target.parse(url)
    assert "hunter2" not in str(caught.value)


PARTS = [
    "https://",
    "http://",
    "HTTPS://",
    "ftp://",
    "[::1]",
    "[",
    "]",
    "a",
    "b.c",
    ":",
    "80",
    "99999",
    "@",
    "/",
    "?",
    "#",
    "%",
    "é",
    "\\",
]
urls = st.lists(st.sampled_from(PARTS), max_size=8).map("".join) | st.text(max_size=30)


@given(urls)
def test_whatever_is_configured_is_taken_apart_or_refused(url):
    try:
        target = Target.parse(url)
    except ConfigError as error:
        assert "is not an upstream URL" in str(error)  # noqa: PT017 - either is right
        return
    assert target.path.startswith("/")
    assert 0 < target.origin.port < 65_536
    assert not set(target.origin.authority) & set("/?#@ \r\n")


@given(urls, st.lists(urls | st.text("0123456789./:*[]ab", max_size=12), max_size=3), st.integers(1, 65_535))
def test_whatever_the_proxy_is(url, no_proxy, port):
    try:
        proxy = parse_proxy(url)
    except ConfigError as error:
        assert str(error).startswith("HTTPS_PROXY")  # noqa: PT017 - either is right
        return
    assert 0 < proxy.port < 65_536
    assert isinstance(is_proxied(proxy.host, port, no_proxy), bool)
    assert not is_proxied("localhost", port, no_proxy)
    assert not is_proxied(proxy.host, port, [*no_proxy, "*"])
