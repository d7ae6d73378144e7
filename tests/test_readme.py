"""What README.md says is true: names exist, snippets run, tables are those of the code."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from fairlead.catalog.providers import BUILTIN
from fairlead.cli import commands
from fairlead.config import GROUPS, MEMBERS, SETTINGS
from harness.command import clean_environ, fairlead
from harness.process import GatewayProcess

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "fairlead"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
EXAMPLE_URL = "http://127.0.0.1:8420"


def blocks(language):
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


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


def default_cell(setting):
    return f"`{setting.default}`" if setting.is_literal else setting.default.strip("()")


def settings_table():
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for title, group in GROUPS:
        lines.append(f"| **{title}** | | |")
        for setting in group:
            names = ", ".join(f"`{name}`" for name in (setting.variable, *setting.aliases))
            lines.append(f"| {names} | {default_cell(setting)} | {setting.meaning} |")
    return "\n".join(lines)


def members_table():
    lines = ["| member | default | meaning |", "|---|---|---|"]
    lines += [f"| `{member.variable}` | {default_cell(member)} | {member.meaning} |" for member in MEMBERS]
    lines.append("| `HEADERS__<NAME>` | none | A header sent with every request: `HEADERS__X_TEAM` is `x-team` |")
    return "\n".join(lines)


@pytest.mark.parametrize("table", [settings_table, members_table], ids=["settings", "members"])
def test_every_setting_stands_in_the_table(table):
    assert table() in README, f"the table should be:\n\n{table()}\n"


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
        named = set(re.findall(r"(?:`|^ *|-… |\d )make ([a-z-]+)", text, re.MULTILINE))
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
    links = re.findall(r"\]\(([^)]+)\)", PAGES[page])
    missing = [link for link in links if "://" not in link and not (ROOT / link.partition("#")[0]).exists()]
    assert not missing


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["embedded"]]
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
    (tmp_path / "example.toml").write_text(blocks("toml")[number], encoding="utf-8")
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
    (snippet,) = blocks("nginx")
    snippet = snippet.replace("listen 80;", f"listen unix:{tmp_path}/socket;")
    places = "".join(f"{name}_temp_path {name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"pid pid;\nevents {{}}\nhttp {{\naccess_log off;\n{places}{snippet}}}\n", encoding="utf-8")
    command = ["nginx", "-t", "-q", "-p", str(tmp_path), "-e", "stderr", "-c", str(conf)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.e2e
def test_the_first_five_minutes(tmp_path):
    """The example by curl and the one by SDK, against a gateway that was started without a setting."""
    curl = next(block for block in blocks("sh") if block.startswith("curl"))
    with GatewayProcess(tmp_path) as gateway:
        snippets = [[sys.executable, "-c", blocks("python")[0]], ["sh", "-c", curl]]
        for command in snippets if shutil.which("curl") else snippets[:1]:
            done = subprocess.run(
                [word.replace(EXAMPLE_URL, gateway.url) for word in command],
                env=clean_environ(tmp_path, PATH="/usr/bin:/bin:/usr/local/bin"),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert "DEMO" in done.stdout
