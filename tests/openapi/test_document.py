"""The document is valid by itself, and describes what the app serves: all of it, and nothing else."""

import re
from pathlib import Path

import pytest

from fairlead import __version__
from fairlead.app import Worker
from fairlead.config import load
from fairlead.derived import loggers
from fairlead.edge.asgi import BASES
from fairlead.openapi.document import document

METHODS = {"get", "post", "patch", "delete"}
KEYWORDS = {
    "$ref", "type", "title", "description", "enum", "const", "anyOf", "properties", "required", "additionalProperties",
    "minProperties", "items", "minItems", "maxItems", "minLength", "maxLength", "pattern", "format", "minimum",
    "maximum", "default", "propertyNames", "contentMediaType", "contentSchema",
}  # fmt: skip
TYPES = {"string", "boolean", "number", "integer", "object", "array", "null"}


@pytest.fixture(scope="module")
def whole():
    return document()


def operations(whole):
    for path, item in whole["paths"].items():
        yield from ((path, method, item[method]) for method in METHODS & item.keys())


def parts(value, at=""):
    """Every object and list in it, with its place."""
    yield at, value
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from parts(member, f"{at}/{name}")


def schemas(schema, at):
    yield at, schema
    for name, inner in schema.get("properties", {}).items():
        yield from schemas(inner, f"{at}/{name}")
    for index, inner in enumerate(schema.get("anyOf", [])):
        yield from schemas(inner, f"{at}/{index}")
    for name in ("items", "additionalProperties"):
        if isinstance(inner := schema.get(name), dict):
            yield from schemas(inner, f"{at}/{name}")


def all_schemas(whole):
    for name, schema in whole["components"]["schemas"].items():
        yield from schemas(schema, name)
    for at, value in parts({name: whole[name] for name in ("paths", "components")}):
        if isinstance(value, dict) and "schema" in value and isinstance(value["schema"], dict):
            yield from schemas(value["schema"], at)


# What it describes


def test_it_describes_every_route_of_the_app_and_nothing_else(whole, tmp_path):
    settings = load({"FAIRLEAD_DATA_DIR": str(tmp_path)}, cwd=tmp_path, is_terminal=False, cpu_count=1).settings
    app = Worker(settings, "unix:///nonexistent.sock", {}, *loggers(settings)).app
    cold = ((route.path.replace(":path}", "}"), method) for route in app._cold.routes for method in route.methods)
    served = {(path, method.lower()) for path, method in cold if method != "HEAD"}
    served |= {(path, "post") for path in app._hot}
    described = {
        (server["url"].rstrip("/") + path, method)
        for path, method, _ in operations(whole)
        for server in whole["paths"][path].get("servers", whole["servers"])
    }
    assert described == served


def test_the_servers_are_the_bases(whole):
    assert [server["url"] for server in whole["servers"]] == list(BASES)


def test_it_is_that_of_this_version(whole):
    assert whole["info"]["version"] == __version__


# Whether it is a valid one


def test_it_is_openapi_3_1(whole):
    assert re.fullmatch(r"3\.1\.\d", whole["openapi"])
    assert whole.keys() == {"openapi", "info", "servers", "tags", "paths", "components"}


def test_every_reference_leads_somewhere(whole):
    for at, value in parts(whole):
        if isinstance(value, dict) and isinstance(target := value.get("$ref"), str):
            _, kind, group, name = target.split("/")
            assert name in whole[kind][group], at


def test_no_component_is_left_over(whole):
    text = repr(whole)
    for group in ("schemas", "responses", "headers"):
        for name in whole["components"][group]:
            assert f"'#/components/{group}/{name}'" in text, name


def test_operations_have_names_of_their_own(whole):
    names = [operation["operationId"] for _, _, operation in operations(whole)]
    assert len(set(names)) == len(names)
    assert all(name.isalpha() for name in names)


def test_every_operation_has_what_it_needs(whole):
    tags = {tag["name"] for tag in whole["tags"]}
    for path, method, operation in operations(whole):
        assert set(operation["tags"]) <= tags, path
        assert operation["summary"], path
        assert all(name in whole["components"]["securitySchemes"] for one in operation["security"] for name in one)
        assert all(re.fullmatch("[2-5][0-9]{2}", status) for status in operation["responses"]), path
        assert all("$ref" in one or one["description"] for one in operation["responses"].values()), path
        assert ("requestBody" in operation) <= (method in ("post", "patch")), path


def test_parameters_of_the_path_are_those_in_it(whole):
    for path, _, operation in operations(whole):
        found = operation.get("parameters", [])
        assert len({(one["name"], one["in"]) for one in found}) == len(found), path
        in_path = {one["name"] for one in found if one["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path)), path
        assert all(one["required"] for one in found if one["in"] == "path"), path


def test_schemas_say_nothing_that_nobody_knows(whole):
    for at, schema in all_schemas(whole):
        assert schema.keys() <= KEYWORDS, at
        kinds = schema.get("type", [])
        assert set([kinds] if isinstance(kinds, str) else kinds) <= TYPES, at
        assert set(schema.get("required", ())) <= schema.get("properties", {}).keys(), at


def test_examples_have_what_is_required(whole):
    for path, _, operation in operations(whole):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "example" not in content:
                assert path == "/auth", path  # a form that only our page sends
                continue
            schema = content["schema"]
            if "$ref" in schema:
                schema = whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            assert (
                set(schema.get("required", ()))
                <= content["example"].keys()
                <= schema.get("properties", content["example"]).keys()
            ), path


def test_nothing_in_it_is_about_this_machine(whole):
    text = repr(whole)
    assert str(Path.home()) not in text
    assert "127.0.0.1" not in text
