"""Pieces of JSON Schema, as OpenAPI 3.1 has it (draft 2020-12)."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

Json = Mapping[str, object]

ANYTHING: Final[Json] = {}
TEXT: Final[Json] = {"type": "string"}
FLAG: Final[Json] = {"type": "boolean"}
NUMBER: Final[Json] = {"type": "number"}
COUNT: Final[Json] = {"type": "integer", "minimum": 0}
NULL: Final[Json] = {"type": "null"}
OBJECT: Final[Json] = {"type": "object"}
TIME: Final[Json] = {"type": "string", "format": "date-time"}
USD: Final[Json] = {"type": "number", "description": "USD"}


def text_of(least: int, most: int, description: str = "") -> Json:
    """A text of so many characters."""
    return says({"type": "string", "minLength": least, "maxLength": most}, description)


def whole_of(least: int, most: int) -> Json:
    return {"type": "integer", "minimum": least, "maximum": most}


def words(known: Iterable[str]) -> Json:
    """One of these words."""
    return {"type": "string", "enum": list(known)}


def listed(items: Json, description: str = "") -> Json:
    return says({"type": "array", "items": items}, description)


def says(schema: Json, description: str) -> Json:
    """Return the schema with a description, if there is any."""
    return {**schema, "description": description} if description else schema


def or_null(schema: Json) -> Json:
    """Return the schema of what may be null as well."""
    if "const" in schema:
        return {"anyOf": [schema, NULL]}
    if isinstance(kind := schema.get("type"), str):
        known = schema.get("enum")
        enum = {"enum": [*known, None]} if isinstance(known, list) else {}
        return {**schema, "type": [kind, "null"], **enum}
    return {"anyOf": [schema, NULL]}


def ref(name: str) -> Json:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def told(members: Mapping[str, Json], optional: Collection[str] = ()) -> Json:
    """Return the schema of an object in a reply, which has all members but the `optional`, and may have others."""
    required = [name for name in members if name not in optional]
    return {"type": "object", "required": required, "properties": dict(members)}


def asked(members: Mapping[str, Json], required: Collection[str] = (), *, is_closed: bool = False) -> Json:
    """Return the schema of an object in a request; `is_closed`: a member of another name is refused."""
    found: dict[str, object] = {"type": "object", "properties": dict(members)}
    if required:
        found["required"] = list(required)
    if is_closed:
        found["additionalProperties"] = False
    return found


def data(schema: Json) -> Json:
    """Return the schema of a reply that has all within `data`."""
    return told({"data": schema})


def event(says: str, schema: Json, last: str = "") -> Json:
    """Return the schema of each event of a stream; its data is JSON of that `schema`, and `says` what that is.

    `last` is what the last event has instead, which is no JSON.
    """
    data: Json = {**TEXT, "contentMediaType": "application/json", "contentSchema": schema}
    if last:
        data = {"anyOf": [data, {"const": last}]}
    return {
        "type": "object",
        "description": "Each event",
        "required": ["data"],
        "properties": {"event": {**TEXT, "description": "Its kind"}, "data": {**data, "description": says}},
    }
