"""An app gets a key of its own, in a real browser: Chromium, with JavaScript and without."""

import base64
import hashlib
import http.client
import json
import queue
import re
import secrets
import shutil
import threading
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from harness.process import PATIENCE_S

from .caller import Caller

sync_api = pytest.importorskip("playwright.sync_api", reason="no browser test: playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox",  # which it cannot have as root, as in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP gateway.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
]

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no browser test: there is no chromium on PATH (on Debian: apt-get install chromium)"
)


class AppServer:
    """An app on this computer. `visits` are the queries with which browsers came back to it.

    From its callback it sends them on to another origin, as many do.
    """

    def __init__(self):
        self.visits = queue.Queue()
        self.evil_page = ""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler):  # noqa: N805 - `self` is the app
                self._answer(handler)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def _answer(self, handler):
        path, _, query = handler.path.partition("?")
        if path == "/callback":
            self.visits.put((query, handler.headers.get("referer")))
            handler.send_response(302)
            handler.send_header("location", f"{self.origin('127.0.0.1')}/welcome")
            body = b""
        else:
            handler.send_response(200)
            handler.send_header("content-type", "text/html")
            body = (self.evil_page if path == "/evil" else "<h1>Welcome</h1>").encode()
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def origin(self, host="localhost"):
        return f"http://{host}:{self._server.server_port}"

    @property
    def callback(self):
        return f"{self.origin()}/callback?state=a%26b"

    def close(self):
        self._server.shutdown()
        self._thread.join(PATIENCE_S)
        self._server.server_close()


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without"])
def page(request, chromium):
    with chromium.new_context(java_script_enabled=request.param) as context:
        context.set_default_timeout(PATIENCE_S * 1000)
        page = context.new_page()
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("dialog", lambda dialog: (page.said.append("a dialog"), dialog.dismiss()))
        yield page


@pytest.fixture
def app():
    app = AppServer()
    yield app
    app.close()


class Proof:
    """What an app makes before it sends anybody anywhere."""

    def __init__(self):
        self.verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(self.verifier.encode()).digest()
        self.query = {
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }

    def exchange(self, gateway, code):
        gateway.secrets |= {code, self.verifier}  # which are not to be found in its output
        members = {"code": code, "code_verifier": self.verifier, "code_challenge_method": "S256"}
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE_S)
        try:
            connection.request("POST", "/api/v1/auth/keys", json.dumps(members), {"content-type": "application/json"})
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()


def consent(gateway, **query):
    return f"{gateway.url}/auth?{urlencode(query)}"


def decide(page, decision, key=""):
    page.fill("input[name=key]", key)
    page.click(f"button[value={decision}]")


def test_an_app_gets_a_key_of_its_own_that_works(shared, solo, model, page, app):
    proof = Proof()
    asked = {"key_label": "Notebook", "limit": "5", "usage_limit_type": "monthly"}
    page.goto(consent(shared, callback_url=app.callback, **proof.query, **asked))
    seen = page.inner_text("main")
    for text in (app.origin(), "Notebook", "5 USD a month", "a program on the computer in front of you"):
        assert text in seen
    decide(page, "approve", shared.admin_key)
    page.wait_for_url(f"{app.origin('127.0.0.1')}/welcome")

    query, referrer = app.visits.get(timeout=PATIENCE_S)
    assert referrer is None
    fields = parse_qs(query)
    assert fields["state"] == ["a&b"]
    status, made = proof.exchange(shared, fields["code"][0])
    assert (status, made["user_id"]) == (200, None)
    shared.secrets.add(made["key"])
    with Caller(shared, made["key"]) as caller:
        assert caller.chat(model).status == 200
        shown = caller.get("/api/v1/key", key=made["key"]).json["data"]
        assert (shown["limit"], shown["limit_reset"]) == (5, "monthly")
    assert proof.exchange(shared, fields["code"][0])[0] == 403
    assert not page.said, "the browser complains"


def test_an_app_without_a_callback_shows_where_to_copy_the_code_to(shared, page):
    proof = Proof()
    page.goto(consent(shared, **proof.query))
    assert "Nobody knows which app it is" in page.inner_text("main")
    decide(page, "approve", shared.admin_key)
    page.wait_for_selector("h1:text-is('Approved')")
    code = page.inner_text("code")
    status, made = proof.exchange(shared, code)
    assert status == 200
    shared.secrets.add(made["key"])
    assert code not in page.url


def test_in_a_network_of_ones_own_it_works_without_tls(shared, page, app):
    """There browsers keep `Sec-Fetch-Site` to themselves, and the form's `Origin` has to do."""
    url = f"http://gateway.test:{shared.port}/auth"
    page.goto(f"{url}?{urlencode({'callback_url': app.callback})}")
    with page.expect_request(url) as sent:
        decide(page, "approve", shared.admin_key)
    assert sent.value.all_headers().keys() & {"origin", "sec-fetch-site"} == {"origin"}
    page.wait_for_url(f"{app.origin('127.0.0.1')}/welcome")
    query, referrer = app.visits.get(timeout=PATIENCE_S)
    assert "code=" in query
    assert referrer is None


def test_who_denies_needs_no_key_and_the_app_is_told(shared, page, app):
    page.goto(consent(shared, callback_url=app.callback))
    page.click("button[value=deny]")
    page.wait_for_url(f"{app.origin('127.0.0.1')}/welcome")
    query, _ = app.visits.get(timeout=PATIENCE_S)
    assert parse_qs(query) == {"state": ["a&b"], "error": ["access_denied"]}


def test_after_a_wrong_key_one_can_try_again(shared, page, app):
    page.goto(consent(shared, callback_url=app.callback))
    decide(page, "approve", "not-the-key")
    page.wait_for_selector("[role=alert]")
    assert "send a management key" in page.inner_text("[role=alert]")
    assert page.input_value("input[name=key]") == ""
    assert "key=" not in page.url
    decide(page, "approve", shared.admin_key)
    page.wait_for_url(f"{app.origin('127.0.0.1')}/welcome")
    assert "code=" in app.visits.get(timeout=PATIENCE_S)[0]


def test_a_hostile_label_is_a_label(shared, page, app):
    label = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
    page.goto(consent(shared, callback_url=app.callback, key_label=label))
    assert label in page.inner_text("dl")
    assert page.locator("img, script").count() == 0
    assert not page.said


def test_nonsense_leads_to_a_page_that_names_it(shared, page):
    reply = page.goto(consent(shared, callback_url="http://evil.example/"))
    assert reply.status == 400
    assert "callback_url must be https://" in page.inner_text("main")


def test_the_page_has_its_style(shared, page, app):
    page.goto(consent(shared, callback_url=app.callback))
    assert page.locator("main").bounding_box()["width"] < 600, "the policy keeps the style sheet out"
    assert not page.said


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["another site", "another port"])
def test_the_form_of_another_page_is_refused_whatever_it_holds(shared, page, app, host):
    page.goto(consent(shared, callback_url=app.callback))  # the browser has our cookie
    fields = {
        "ticket": page.get_attribute("input[name=ticket]", "value"),
        "key": shared.admin_key,
        "decision": "approve",
    }
    inputs = "".join(f'<input name="{name}" value="{escape(value)}">' for name, value in fields.items())
    app.evil_page = f'<form method="post" action="{shared.url}/auth">{inputs}<button>Win</button></form>'
    page.goto(f"{app.origin(host)}/evil")
    page.click("button")
    page.wait_for_url(f"{shared.url}/auth")
    assert "sent by another page" in page.inner_text("main")
    assert app.visits.empty()


def test_the_page_cannot_be_framed(shared, page, app):
    app.evil_page = f'<iframe src="{escape(consent(shared, callback_url=app.callback))}"></iframe>'
    with page.expect_console_message(lambda message: "frame" in message.text.lower()) as refused:
        page.goto(f"{app.origin()}/evil")
    assert re.search(r"frame-ancestors|X-Frame-Options", refused.value.text)
    assert not [frame for frame in page.frames if urlsplit(frame.url).path == "/auth" and frame.query_selector("form")]
