"""Every module can be the first one imported; the command answers without loading what it does not need."""

import json
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"

EACH_ALONE = """
import importlib, json, sys, traceback
failures = {}
for name in json.load(sys.stdin):
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == "fairlead"]:
        del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except BaseException:
        failures[name] = traceback.format_exc(limit=-3)
print(json.dumps(failures))
"""

WHAT_IS_LOADED = """
import sys
sys.argv = ["fairlead", *sys.argv[1:]]
from fairlead.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print()
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""

HEAVY = {"aiohttp", "httptools", "msgspec", "orjson", "redis", "starlette", "structlog", "uvicorn"}
RARE = {"aiohttp"}
"""What a worker loads only where it is wanted: 9 MB."""
NEVER = {"pydantic", "httpx", "fastapi", "requests", "litellm"}
"""What no part of the gateway may bring in, be it by way of a dependency."""


def run(program, *arguments, given=""):
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def module_names():
    for path in sorted((SOURCE / "fairlead").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_each_module_imports_alone():
    """With the others taken out of sys.modules before; a process for each would take minutes."""
    names = [*module_names()]
    assert len(names) > 100
    assert json.loads(run(EACH_ALONE, given=json.dumps(names))) == {}


def test_version_and_help_load_nothing_heavy():
    for arguments in (["--version"], ["--help"], ["serve", "--help"], ["keys", "--help"]):
        loaded = set(run(WHAT_IS_LOADED, *arguments).splitlines()[-1].split())
        assert "click" in loaded
        assert not loaded & (HEAVY | NEVER), arguments


def test_the_gateway_brings_in_no_second_framework():
    loaded = set(run("import sys, fairlead.app; print(*{name.partition('.')[0] for name in sys.modules})").split())
    assert loaded >= HEAVY - RARE
    assert not loaded & (NEVER | RARE)
