"""The page of the API in a real browser: Chromium, with JavaScript and without."""

import shlex
import shutil
import subprocess

import pytest

from harness.process import PATIENCE_S

from .conftest import CLIENT_KEY
from .test_oauth import CHROMIUM, FLAGS, sync_api

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no browser test: there is no chromium on PATH (on Debian: apt-get install chromium)"
)


@pytest.fixture(scope="module")
def chromium():
    with (
        sync_api.sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS) as browser,
    ):
        yield browser


@pytest.fixture
def open_page(chromium, shared):
    """Opens /docs; `said` is what the browser complained about, `asked` what it asked for."""
    contexts = []

    def open_page(*, has_scripts, **options):
        context = chromium.new_context(java_script_enabled=has_scripts, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_S * 1000)
        page = context.new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(f"{shared.url}/docs")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("has_scripts", [True, False], ids=["scripts", "no scripts"])
def test_it_can_be_read(open_page, shared, has_scripts):
    page = open_page(has_scripts=has_scripts)
    assert "fairlead" in page.title()
    page.locator('nav a[href="#createChatCompletion"]').click()
    section = page.locator("#createChatCompletion")
    assert section.locator("h3").inner_text().split() == ["POST", "/v1/chat/completions"]
    assert "x-openrouter-cache" in section.inner_text()
    section.locator('a[href="#schema-ChatRequest"]').first.click()
    assert page.url.endswith("#schema-ChatRequest")
    assert page.locator("#schema-ChatRequest").is_visible()
    assert page.said == []
    assert {url.partition("/docs")[0].partition("/openapi")[0] for url in page.asked} == {shared.url}


def test_it_looks_as_it_should(open_page):
    """The style is let in by the page's own policy: contents beside the text where there is room, above it if not."""
    wide = open_page(has_scripts=False, viewport={"width": 1280, "height": 800})
    nav, main = (wide.locator(name).bounding_box() for name in ("nav", "main"))
    assert nav["x"] + nav["width"] <= main["x"]
    narrow = open_page(has_scripts=False, viewport={"width": 390, "height": 800})
    nav, main = (narrow.locator(name).bounding_box() for name in ("nav", "main"))
    assert nav["y"] + nav["height"] <= main["y"]
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_search_leaves_what_has_all_the_words(open_page):
    page = open_page(has_scripts=True)
    page.fill("#search", "preset versions newest")
    assert page.locator(".operation:visible").evaluate_all("them => them.map(one => one.id)") == ["listPresetVersions"]
    assert page.locator("#found").inner_text().startswith("1 of ")
    page.fill("#search", "")
    assert page.locator(".operation:visible").count() == page.locator(".operation").count()


def test_the_search_is_not_there_where_it_would_do_nothing(open_page):
    assert not open_page(has_scripts=False).locator("#search").is_visible()


def test_commands_work_as_they_are_copied(open_page, shared):
    page = open_page(has_scripts=True)
    for name, expected in (("createChatCompletion", '"choices"'), ("showOwnKey", '"label"'), ("isAlive", '"alive"')):
        command = page.locator(f"#{name} pre.command code").inner_text()
        assert command.startswith(f'curl "{shared.url}/')
        assert shlex.split(command)
        assert expected in curl(command, FAIRLEAD_KEY=CLIENT_KEY)


def test_commands_work_without_scripts_given_the_address(open_page, shared):
    command = open_page(has_scripts=False).locator("#listModels pre.command code").inner_text()
    assert '"data"' in curl(command, FAIRLEAD_URL=shared.url)


def curl(command, **variables):
    if shutil.which("curl") is None:
        pytest.skip("there is no curl on PATH (on Debian: apt-get install curl)")
    environ = {"PATH": f"{shutil.which('curl').rpartition('/')[0]}:/bin:/usr/bin", **variables}
    done = subprocess.run(
        ["sh", "-c", command], env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    return done.stdout
