import httptools
import orjson
import pytest

from fairlead import __version__
from fairlead.catalog.model import FREE, Catalog, Endpoint, Model, Provider
from fairlead.errors import ConfigError
from fairlead.upstream.dispatch import ProxyRule, dispatches, provider_headers
from fairlead.upstream.origin import Origin, Proxy

MODEL = Model("acme/large", "Acme: Large")
DIRECT = ProxyRule()
PROXY = Proxy("proxy.example", 3128, "Basic eDp5")


def dispatch(provider, rule=DIRECT, model=MODEL, upstream_id="large-v1"):
    endpoint = Endpoint(provider, model, upstream_id, FREE)
    catalog = Catalog({model.id: model}, {model.id: (endpoint,)}, {})
    ready = dispatches(catalog, rule)
    assert list(ready) == [endpoint.id]
    assert ready[endpoint.id].endpoint is endpoint
    return ready[endpoint.id]


def provider(base_url="https://api.acme.example/v1", **members):
    return Provider("acme", "Acme", base_url, **{"api_key": "sk-up", **members})


class Parsed:
    """A request as an HTTP parser that is not ours takes it."""

    def __init__(self, data):
        self.headers, self.body = [], b""
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        self.method = parser.get_method()

    def on_url(self, url):
        self.url = url

    def on_header(self, name, value):
        self.headers.append((name, value))

    def on_body(self, body):
        self.body += body


class TestHead:
    def test_byte_for_byte(self):
        ready = dispatch(provider(headers={"X-Team": "a b", "User-Agent": "mine"}))
        assert ready.request_head(b"x-request-id: r\r\n", 2) == (
            b"POST /v1/chat/completions HTTP/1.1\r\n"
            b"host: api.acme.example\r\n"
            b"content-type: application/json\r\n"
            b"user-agent: mine\r\n"
            b"authorization: Bearer sk-up\r\n"
            b"x-team: a b\r\n"
            b"x-request-id: r\r\n"
            b"content-length: 2\r\n"
            b"\r\n"
        )
        assert ready.origin == Origin(True, "api.acme.example", 443)

    def test_another_parser_understands_it(self):
        parsed = Parsed(dispatch(provider()).request_head(b"", 2) + b"{}")
        assert (parsed.method, parsed.url, parsed.body) == (b"POST", b"/v1/chat/completions", b"{}")
        assert dict(parsed.headers)[b"user-agent"] == b"fairlead/" + __version__.encode()
        assert len({name for name, _ in parsed.headers}) == len(parsed.headers)

    @pytest.mark.parametrize(
        ("base_url", "host", "target", "origin"),
        [
            ("http://localhost:11434/v1", b"localhost:11434", b"/v1", Origin(False, "localhost", 11434)),
            ("http://10.0.0.1", b"10.0.0.1", b"", Origin(False, "10.0.0.1", 80)),
            ("https://[::1]:8443/v1", b"[::1]:8443", b"/v1", Origin(True, "::1", 8443)),
            ("https://[2001:db8::1]", b"[2001:db8::1]", b"", Origin(True, "2001:db8::1", 443)),
            ("https://bücher.example/v1", b"xn--bcher-kva.example", b"/v1", Origin(True, "xn--bcher-kva.example", 443)),
            ("https://h.example/a%20b/é", b"h.example", b"/a%20b/%C3%A9", Origin(True, "h.example", 443)),
        ],
    )
    def test_where_to(self, base_url, host, target, origin):
        ready = dispatch(provider(base_url))
        parsed = Parsed(ready.request_head(b"", 0))
        assert (dict(parsed.headers)[b"host"], parsed.url) == (host, target + b"/chat/completions")
        assert ready.origin == origin

    @pytest.mark.parametrize("base_url", ["https://u:p@h.example/v1", "ftp://h.example", "nonsense", "https://h:x/"])
    def test_nowhere(self, base_url):
        with pytest.raises(ConfigError):
            dispatch(provider(base_url))

    def test_each_provider_is_made_ready_once(self):
        models = [Model(f"acme/{n}", "A") for n in range(3)]
        endpoints = {model.id: (Endpoint(provider(), model, model.id, FREE),) for model in models}
        ready = dispatches(Catalog({model.id: model for model in models}, endpoints, {}), ProxyRule())
        assert len(ready) == 3
        assert len({id(one.head) for one in ready.values()}) == 1


class TestHeaders:
    @pytest.mark.parametrize(
        ("members", "expected"),
        [
            ({"api_key": None}, {}),
            ({}, {"authorization": "Bearer sk-up"}),
            ({"auth_header": "Authorization"}, {"authorization": "Bearer sk-up"}),
            ({"auth_header": "api-key"}, {"api-key": "sk-up"}),
            ({"auth_header": "X-Api-Key"}, {"x-api-key": "sk-up"}),
            ({"headers": {"Authorization": "Token t"}}, {"authorization": "Token t"}),
            ({"headers": {"X-A": "1", "x-b": ""}}, {"authorization": "Bearer sk-up", "x-a": "1", "x-b": ""}),
        ],
    )
    def test_of_a_provider(self, members, expected):
        assert provider_headers(provider(**members)) == expected

    BAD = ("sk\r\nx-evil: 1", "sk\n", "sk\r", "sk\x00", "sk\x7f", "sk\t", "schlüssel", "sk\u2028")

    @pytest.mark.parametrize("value", BAD)
    @pytest.mark.parametrize("place", ["api_key", "headers"])
    def test_nothing_can_be_smuggled_in_a_value(self, value, place):
        members = {"api_key": value} if place == "api_key" else {"headers": {"x-team": value}}
        with pytest.raises(ConfigError) as caught:
            dispatch(provider(**members))
        assert "provider acme: the value of" in str(caught.value)
        assert value not in str(caught.value)
        assert "evil" not in str(caught.value)

    @pytest.mark.parametrize(
        "name", ["", "x y", "x:", "x\r\ny", "x\n", "é", "Host", "Content-Length", "transfer-encoding"]
    )
    @pytest.mark.parametrize("place", ["auth_header", "headers"])
    def test_nor_in_a_name(self, name, place):
        members = {"auth_header": name} if place == "auth_header" else {"headers": {name: "1"}}
        with pytest.raises(ConfigError) as caught:
            dispatch(provider(**members))
        assert "sk-up" not in str(caught.value)

    def test_credentials_are_not_shown(self):
        ready = dispatch(provider(headers={"x-secret": "s3cret"}))
        assert "sk-up" not in repr(ready.endpoint)
        assert "s3cret" not in repr(ready.endpoint)


class TestModel:
    @pytest.mark.parametrize("name", ["large-v1", 'a"b\\c', "modèle", "a/b:free", "x\ny"])
    def test_the_providers_name_as_json(self, name):
        ready = dispatch(provider(), upstream_id=name)
        assert ready.model_json == orjson.dumps(name)


class TestProxy:
    @pytest.mark.parametrize(
        ("base_url", "no_proxy", "is_used"),
        [
            ("https://api.acme.example/v1", (), True),
            ("https://api.acme.example/v1", ("other.example",), True),
            ("https://api.acme.example/v1", ("acme.example",), False),
            ("https://api.acme.example/v1", ("*",), False),
            ("http://api.acme.example/v1", (), False),
            ("https://localhost:8443/v1", (), False),
            ("https://127.0.0.1:8443/v1", (), False),
            ("https://10.1.2.3/v1", ("10.0.0.0/8",), False),
        ],
    )
    def test_who_goes_through_it(self, base_url, no_proxy, is_used):
        ready = dispatch(provider(base_url), ProxyRule(PROXY, no_proxy))
        assert ready.origin.proxy == (PROXY if is_used else None)
        assert b"Basic" not in ready.head

    def test_none(self):
        assert dispatch(provider()).origin.proxy is None


class TestReplyHeaders:
    def test_they_say_who_answered(self):
        assert dispatch(provider()).reply_headers == [
            (b"x-fairlead-provider", b"acme"),
            (b"x-fairlead-model", b"acme/large"),
        ]

    def test_a_simulated_reply_says_so(self):
        names = [name for name, _ in dispatch(provider(is_demo=True)).reply_headers]
        assert names[-1] == b"x-fairlead-demo"

    def test_strange_names_are_quoted(self):
        model = Model("acme/größe\r\nx: y", "A")
        for name, value in dispatch(provider(), model=model).reply_headers:
            assert (name + value).isascii()
            assert b"\r" not in value
            assert b"\n" not in value
