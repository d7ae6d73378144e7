"""What the pages say is true: names exist, snippets are good, lists are those of the code. Commands: tests/docs/."""

import itertools
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from docs.pages import blocks_of, pages
from fairlead.catalog.providers import BUILTIN
from fairlead.cli import commands
from fairlead.config import SETTINGS
from harness.command import fairlead

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "fairlead"
OF_OTHERS = ("CHANGELOG.md", "tests/contract/README.md", "tests/faults/README.md", "tests/faults/STORE.md")
"""What was, what others document, and what is written by tests."""
PAGES = {page: (ROOT / page).read_text(encoding="utf-8") for page in pages() if page not in OF_OTHERS}
README = PAGES["README.md"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def blocks(language, page="README.md"):
    """The fenced blocks of a language."""
    return [block.text for block in blocks_of(PAGES[page]) if block.language == language]


def section(title):
    """The text under a heading, up to the next one of its level or above."""
    level = title.partition(" ")[0]
    rest = README.partition(f"\n{title}\n")[2]
    assert rest, f"there is no {title}"
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def shell_lines():
    """Every command in a fenced shell block, without prompts, comments and variables set before it."""
    for block in blocks("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words:
                yield words


FAIRLEAD_LINES = [words[1:] for words in shell_lines() if words[0] == "fairlead"]


# Settings


def test_each_variable_that_is_named_exists():
    known = {name for setting in SETTINGS for name in (setting.variable, *setting.aliases)}
    known |= {name for builtin in BUILTIN for name in (*builtin.key_variables, builtin.base_url_variable)}
    for page, text in PAGES.items():
        named = set(re.findall(r"\b(?:FAIRLEAD_[A-Z_]*[A-Z]|[A-Z0-9_]+_(?:BASE_URL|API_KEY))\b", text))
        strange = {name for name in named - known if not name.startswith(("FAIRLEAD_PROVIDERS_", "MY_LAB"))}
        assert not strange, f"{page} names {strange}"


def read_outside(*parts):
    """Whether `.name` occurs in the source, files and folders of these names left out."""
    paths = [path for path in SOURCE.rglob("*.py") if not {*path.relative_to(SOURCE).parts} & {*parts}]
    code = "".join(path.read_text(encoding="utf-8") for path in paths)
    return lambda name: re.search(rf"\.{re.escape(name)}\b", code) is not None


def test_settings_without_effect_are_those_that_it_names():
    """A setting has an effect when something outside `config/` reads its field."""
    within = {"FAIRLEAD_CONFIG", "ALL_PROXY", "NO_COLOR", "FORCE_COLOR"}  # their effect is on other fields
    fields = {setting.variable: setting.field for setting in SETTINGS if setting.variable not in within}
    fields |= {name: field.removeprefix("timeout_") for name, field in fields.items()}
    fields |= {"HTTP_PROXY": "proxy.http", "HTTPS_PROXY": "proxy.https", "NO_PROXY": "proxy.no_proxy"}
    is_read = read_outside("config")
    said = README.partition("change nothing yet:")[2].partition("of a provider")[0]
    assert set(re.findall(r"`(\w+)`", said)) == {name for name, field in fields.items() if not is_read(field)}


def test_members_without_effect_are_those_that_it_names():
    fields = {"DATA_COLLECTION": "data_collection", "ZDR": "is_zdr", "QUANTIZATION": "quantization", "WEIGHT": "weight"}
    fields |= {"MAX_CONCURRENCY": "max_concurrency", "HEADERS": "headers", "API_KEY": "api_key", "BASE_URL": "base_url"}
    is_read = read_outside("config")
    said = README.partition("and of a provider")[2].partition(".\n")[0]
    assert set(re.findall(r"`(\w+)`", said)) == {name for name, field in fields.items() if not is_read(field)}


def test_the_number_of_providers():
    assert f"{len(BUILTIN) - 1} more providers and local engines" in README


# Commands


def test_each_command_that_is_named_exists():
    named = set(re.findall(r"`fairlead ([a-z]+)", README)) | {words[0] for words in FAIRLEAD_LINES}
    assert named == set(commands.commands)


def test_each_subcommand_of_keys_is_named():
    assert {words[1] for words in FAIRLEAD_LINES if words[0] == "keys"} | {"enable"} == set(
        commands.commands["keys"].commands
    )


@pytest.mark.parametrize("words", FAIRLEAD_LINES, ids=" ".join)
def test_each_command_line_parses(words):
    result = CliRunner().invoke(commands, [*words, "--help"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("line", ["--version", "check", "keys --help", "models --offline", "serve --help"])
def test_the_cheap_ones_run(tmp_path, line):
    done = fairlead(tmp_path, *line.split(), OPENAI_API_KEY="sk-0123456789abcdef")
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_each_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
    for page, text in PAGES.items():
        named = set(re.findall(r"(?:`|-… )make ([a-z-]+)", text))
        assert named <= targets, f"{page} names {named - targets}"
    assert targets - {"help", "run"} <= set(re.findall(r"make ([a-z-]+)", README))


# Files


def test_life_of_a_request_is_fifteen_lines_of_files_that_exist():
    text = section("## Life of a request")
    assert len(re.findall(r"^\d+\. ", text, re.MULTILINE)) == 15
    files = re.findall(r"`([a-z_/]+(?:\.py|/))`", text.replace("`src/fairlead/`", ""))
    assert len(files) > 20
    missing = [file for file in files if not (SOURCE / file).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]) if "://" not in link]
    assert not [link for link in links if not leads_somewhere(page, link)]


def leads_somewhere(page, link):
    name, _, place = link.partition("#")
    target = (ROOT / page).parent / name if name else ROOT / page
    return target.exists() and (not place or place in anchors(target))


def anchors(page):
    """What its headings are called in links."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page):
    named = re.findall(r"`((?:src|tests|bench|deploy)/[\w./-]*\w)`", PAGES[page])
    results = {"bench/results/latest.md", "bench/results/latest.json"}
    made = {"bench/echo", "bench/hold", "bench/.venv", "deploy/.env", *results}
    assert not [name for name in named if not (ROOT / name).exists() and name not in made]


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    needed = {re.match(r"[a-z0-9-]+", line)[0] for line in lines}
    named = {
        name
        for row in re.findall(r"^\| ([a-z0-9, -]+) \|", section("## Dependencies"), re.MULTILINE)
        for name in row.split(", ")
    } - {"package"}
    assert named == needed


# Snippets


@pytest.mark.parametrize("code", blocks("python"))
def test_python_snippets_compile(code):
    compile(code, "README.md", "exec")


@pytest.mark.parametrize(("number", "variable"), [(0, "FAIRLEAD_CONFIG"), (1, "FAIRLEAD_CATALOG")])
def test_toml_snippets_are_good_configuration(tmp_path, number, variable):
    (tmp_path / "example.toml").write_text(blocks("toml", "src/fairlead/config/README.md")[number], encoding="utf-8")
    done = fairlead(tmp_path, "check", **{variable: "example.toml"})
    assert done.returncode == 0, done.stderr


def test_the_custom_provider_is_one(tmp_path):
    block = next(block for block in blocks("sh") if "FAIRLEAD_PROVIDERS__" in block)
    variables = dict(words[1].split("=", 1) for words in map(shlex.split, block.splitlines()))
    variables = {name: value.replace("…", "0123456789abcdef") for name, value in variables.items()}
    done = fairlead(tmp_path, "models", "--offline", **variables)
    assert done.returncode == 0, done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines()} == {
        "meta-llama/llama-3.1-8b-instruct",
        "qwen/qwen3-8b",
    }


@pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx on this machine")
def test_nginx_takes_the_snippet(tmp_path):
    (snippet,) = blocks("nginx", "deploy/OPERATING.md")
    snippet = snippet.replace("listen 80;", f"listen unix:{tmp_path}/socket;")
    places = "".join(f"{name}_temp_path {name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"pid pid;\nevents {{}}\nhttp {{\naccess_log off;\n{places}{snippet}}}\n", encoding="utf-8")
    command = ["nginx", "-t", "-q", "-p", str(tmp_path), "-e", "stderr", "-c", str(conf)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
