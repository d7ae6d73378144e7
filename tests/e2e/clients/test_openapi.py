"""The gateway holds to /openapi.json: schemathesis asks whatever the document allows, and much that it does not.

No answer may be a fault of ours, or have a status, a type or members that the document does not name; what it refuses
must be refused. Exceptions, each with its reason, are in environments/schemathesis/schemathesis.toml. What is asked is
the same in every run.
"""

import contextlib
import http.client
import json
import os
import re
import subprocess

import pytest

from e2e.conftest import CLIENT_KEY, provider
from harness.process import PATIENCE_S, GatewayProcess

from .program import HERE

ENVIRONMENT = HERE / "environments" / "schemathesis"
PROGRAM = ENVIRONMENT / ".venv" / "bin" / "schemathesis"
ADMIN_KEY = "sk-fl-admin-v1-" + "0f" * 32
LIMIT_S = 110.0


@pytest.fixture(scope="module")
def shared(simulators, tmp_path_factory):
    """A gateway of its own: keys, presets and credits are made by the dozen."""
    upstream = simulators.start()
    upstream.does(text="Hello.")
    env = {"FAIRLEAD_API_KEYS": CLIENT_KEY, "FAIRLEAD_ADMIN_KEY": ADMIN_KEY, "FAIRLEAD_WORKERS": "1"}
    env |= provider("solo", upstream, models="acme/large,acme/small", price_prompt=1, price_completion=2)
    with GatewayProcess(tmp_path_factory.mktemp("openapi"), env) as gateway:
        yield gateway


@pytest.fixture
def told(shared):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", shared.port, timeout=PATIENCE_S)) as connection:
        connection.request("GET", "/openapi.json")
        return json.loads(connection.getresponse().read())


def run(directory, document, url):
    """Return what schemathesis said, and whether it was content. It knows no server but the document's first."""
    if not (ENVIRONMENT / ".venv" / ".ready").exists():
        pytest.skip("schemathesis is not installed: `make clients` does that")
    file = directory / "openapi.json"
    file.write_text(json.dumps(document))
    path = os.environ.get("PATH", os.defpath)  # noqa: TID251 - for the child
    done = subprocess.run(
        [PROGRAM, "--config-file", ENVIRONMENT / "schemathesis.toml", "--no-color", "run", file, "--url", url],
        cwd=directory,
        env={"PATH": path, "HOME": str(directory), "FAIRLEAD_KEY": CLIENT_KEY, "FAIRLEAD_ADMIN_KEY": ADMIN_KEY},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return done.returncode == 0, done.stdout + done.stderr


def check(directory, told, paths, url):
    document = {**told, "paths": paths, "servers": [{"url": "/"}]}
    is_content, said = run(directory, document, url)
    assert is_content, said
    assert re.search(r"Specification: +Open API 3\.1", said)
    tested, count = (int(re.search(pattern, said)[1]) for pattern in (r"Tested: +([0-9]+)", r"([0-9]+) generated"))
    assert tested >= sum(len(item) for item in paths.values()) - 1  # the one that has no end
    assert count > 20 * tested


GROUPS = {"inference": {"Inference", "Presets", "Models"}, "keys": {"Keys and credits", "Keys for apps"}}


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_under_the_bases_does_what_the_document_says(shared, told, tmp_path, group):
    paths = {
        path: item
        for path, item in told["paths"].items()
        if "servers" not in item and next(iter(item.values()))["tags"][0] in GROUPS[group]
    }
    check(tmp_path, told, paths, f"{shared.url}{told['servers'][0]['url']}")


def test_what_is_at_the_top_does_what_the_document_says(shared, told, tmp_path):
    paths = {
        path: {method: one for method, one in item.items() if method != "servers"}
        for path, item in told["paths"].items()
        if "servers" in item
    }
    check(tmp_path, told, paths, shared.url)


def test_the_groups_are_all_that_is_under_the_bases(told):
    tags = {
        operation["tags"][0] for item in told["paths"].values() if "servers" not in item for operation in item.values()
    }
    assert tags == set.union(*GROUPS.values())


def test_it_would_find_what_is_not_as_the_document_says(shared, told, tmp_path):
    """Of a document that says something else it says so."""
    operation = told["paths"]["/livez"]["get"]
    other = {"200": {"description": "", "content": {"application/json": {"schema": {"const": "dead"}}}}}
    document = {
        **told,
        "servers": [{"url": "/"}],
        "paths": {"/livez": {"get": {**operation, "responses": other}}},
    }
    is_content, said = run(tmp_path, document, shared.url)
    assert not is_content
    assert "/livez" in said
