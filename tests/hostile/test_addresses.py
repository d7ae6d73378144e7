"""URLs that callers name: the gateway asks nobody but the providers that its operator has declared.

A socket listens at the address that all of them name, and nobody ever comes.
"""

import json
import socket

import pytest

from .framing import HELLO
from .raw import ADMIN_KEY, Raw, ask, get, sized
from .upstream import MODEL, upstream_body


@pytest.fixture(scope="module")
def trap():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener
        assert nobody_came(listener)


def nobody_came(listener):
    try:
        listener.accept()
    except BlockingIOError:
        return True
    return False


@pytest.fixture
def url(trap):
    return f"http://127.0.0.1:{trap.getsockname()[1]}/secret?x=y"


def content(part):
    return {"messages": [{"role": "user", "content": [part]}]}


MEMBERS = {
    # members that name an address; all are the provider's business, who gets them as they are
    "image": lambda url: content({"type": "image_url", "image_url": {"url": url, "detail": "high"}}),
    "image by its name alone": lambda url: content({"type": "image_url", "image_url": url}),
    "sound": lambda url: content({"type": "input_audio", "input_audio": {"data": url, "format": "mp3"}}),
    "file": lambda url: content({"type": "file", "file": {"filename": "x.pdf", "file_data": url}}),
    "file by its URL": lambda url: content({"type": "input_file", "file_url": url}),
    "film": lambda url: content({"type": "video_url", "video_url": {"url": url}}),
    "document": lambda url: content({"type": "document", "source": {"type": "url", "url": url}}),
    "text": lambda url: content({"type": "text", "text": f"Look at {url}"}),
    "server of tools": lambda url: {"tools": [{"type": "mcp", "server_label": "x", "server_url": url}]},
    "web search": lambda url: {"web_search_options": {"search_context_size": "low", "url": url}},
    "schema": lambda url: {"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": url}}}},
    **{name: lambda url, name=name: {name: url} for name in (
        "base_url", "api_base", "endpoint", "url", "webhook", "webhook_url", "callback_url", "notification_url",
        "proxy",
        "user", "safety_identifier", "prompt_cache_key", "image_config", "audio", "modalities_url", "x_forwarded_host",
    )},
    "metadata": lambda url: {"metadata": {"url": url}},
}  # fmt: skip
OURS = {
    # members that are said to the gateway: what they name is no address to it
    "trace": (lambda url: {"trace": {"endpoint": url, "webhook": url}}, 200),
    "parser of files": (lambda url: {"plugins": [{"id": "file-parser", "pdf": {"engine": url}, "url": url}]}, 200),
    "session": (lambda url: {"session_id": url}, 200),
    "effort": (lambda url: {"reasoning": {"effort": url}}, 200),
    "debug": (lambda url: {"debug": {"url": url}}, 200),
    "provider": (lambda url: {"provider": {"only": [url]}}, 404),
    "base URL of a provider": (lambda url: {"provider": {"base_url": url}}, 200),
    "model": (lambda url: {"model": url}, 400),
    "model and provider": (lambda url: {"model": f"{url}:{MODEL}"}, 400),
    "models": (lambda url: {"models": [url]}, 200),
    "preset": (lambda url: {"preset": url}, 404),
}
FIELDS = (
    "HTTP-Referer", "Referer", "Origin", "X-Forwarded-Host", "X-Forwarded-Server", "X-Host", "Forwarded", "Link",
    "X-Original-URL", "X-Rewrite-URL", "X-Proxy", "Proxy", "Destination", "X-Base-URL", "OpenAI-Base-URL", "Location",
    "X-Callback-URL", "X-Webhook-URL", "X-Wap-Profile", "Via", "True-Client-IP", "X-Title",
)  # fmt: skip
NO_CALLBACK = (
    "javascript:alert(1)", "data:text/html,x", "//evil.example/", "/v1/models", "http://evil.example/",
    "https://user@evil.example/", "https://app.example\\@evil.example/", "https://app.example%40evil.example",
    "http://127.0.0.1.evil.example/", "http://localhost.evil.example/", "http://127.1/", "http://0x7f.1/",
    "http://2130706433/", "http://[::ffff:127.0.0.1]/", "http://0.0.0.0/", "http://169.254.169.254/latest/meta-data/",
    "https:///evil.example", "https:evil.example", "https://evil.example/#x", "https://\u0435vil.example/",
    "https://app.example/%0d%0aSet-Cookie:x=y\r\nX-Forged: yes", "https://app.example/?code=mine", "file:///etc/passwd",
    "ftp://evil.example/", "https://app.example:99999/", " https://app.example/", "https://app.example/\t",
)  # fmt: skip


@pytest.mark.parametrize("name", MEMBERS)
def test_what_the_provider_may_look_at_goes_there_as_it_is(gateway, lab, trap, url, name):
    body = json.dumps({"model": MODEL, "messages": HELLO, **MEMBERS[name](url)}).encode()
    for path in ("/v1/chat/completions", "/api/v1/chat/completions"):
        assert ask(gateway, sized(body, path=path)).status == 200
    assert [request.body for request in lab.requests] == [upstream_body(body)] * 2
    assert nobody_came(trap)


@pytest.mark.parametrize("name", OURS)
def test_what_is_said_to_the_gateway_is_no_address_to_it(gateway, lab, trap, url, name):
    members_of, status = OURS[name]
    body = json.dumps({"model": MODEL, "messages": HELLO, **members_of(url)}).encode()
    assert ask(gateway, sized(body)).status == status
    assert len(lab.requests) == (status == 200)
    assert nobody_came(trap)


@pytest.mark.parametrize("field", FIELDS)
def test_fields(gateway, lab, trap, url, field):
    body = json.dumps({"model": MODEL, "messages": HELLO}).encode()
    assert ask(gateway, sized(body, f"{field}: {url}")).status == 200
    assert ask(gateway, get("/v1/models", f"{field}: {url}")).status == 200
    [request] = lab.requests
    assert url.encode() not in request.head
    assert nobody_came(trap)


def test_another_host(gateway, lab, trap):
    address = "{}:{}".format(*trap.getsockname())
    body = json.dumps({"model": MODEL, "messages": HELLO}).encode()
    assert ask(gateway, sized(body, host=address)).status == 200
    assert ask(gateway, sized(body, host=address, path=f"http://{address}/v1/chat/completions")).status == 200
    with Raw(gateway) as raw:
        raw.send(get(f"http://{address}/") + sized(body))
        assert raw.rest().statuses == [400]
    with Raw(gateway) as raw:
        raw.send(get(address, host=address).replace(b"GET", b"CONNECT", 1))
        assert raw.rest().statuses == [400]
    assert len(lab.requests) == 2
    assert nobody_came(trap)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_provider_that_sends_elsewhere_is_not_followed(gateway, lab, trap, url, status):
    lab.does(status=status, headers=[("location", url), ("refresh", f"0;url={url}")])
    reply = ask(gateway, sized(json.dumps({"model": MODEL, "messages": HELLO}).encode()))
    assert reply.status >= 500
    assert not {"location", "refresh"} & reply.headers.keys()
    assert len(lab.requests) == 1
    assert nobody_came(trap)


@pytest.mark.parametrize("callback", NO_CALLBACK)
def test_no_browser_is_sent_where_no_app_can_be(gateway, lab, callback):
    """Neither by the page that asks for consent, nor by the call that begins without one."""
    page = ask(gateway, get(f"/auth?callback_url={_quoted(callback)}"))
    begun = sized(json.dumps({"callback_url": callback}).encode(), path="/v1/auth/keys/code", key=ADMIN_KEY)
    for reply in (page, ask(gateway, begun)):
        assert reply.status == 400
        assert not {"location", "refresh", "set-cookie"} & reply.headers.keys()
    assert b"href" not in page.body


def test_a_page_that_asks_sends_nobody_anywhere(gateway, lab, trap):
    callback = f"http://127.0.0.1:{trap.getsockname()[1]}/app"
    page = ask(gateway, get(f"/auth?callback_url={_quoted(callback)}"))
    assert page.status == 200
    assert not {"location", "refresh"} & page.headers.keys()
    forged = sized(b"decision=approve&ticket=x&key=y", "Sec-Fetch-Site: same-origin", path="/auth", key=None)
    assert ask(gateway, forged).status == 403
    begun = sized(json.dumps({"callback_url": callback}).encode(), path="/v1/auth/keys/code", key=ADMIN_KEY)
    assert ask(gateway, begun).status == 200
    assert nobody_came(trap)


def _quoted(text):
    return "".join(f"%{byte:02x}" for byte in text.encode())
