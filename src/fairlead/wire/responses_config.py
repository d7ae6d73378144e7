"""What in a request to /responses configures, in the shapes that chat completions has for it.

Specification: wire-api, sections 3.1, 3.4 and 9.2.
"""

import msgspec
from msgspec import Raw


class _Format(msgspec.Struct):
    type: str = "text"
    name: str = "answer"
    schema: Raw | msgspec.UnsetType = msgspec.UNSET
    strict: bool | msgspec.UnsetType | None = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: str | None = None


_TEXT = msgspec.json.Decoder(_Text)


def chat_text(told: bytes | Raw) -> dict[str, bytes]:
    """Return what the member `text` (JSON) becomes: `response_format` and `verbosity`, as far as it says so.

    Raises msgspec's errors for what is no such member.
    """
    text = _TEXT.decode(told)
    found = {} if text.verbosity is None else {"verbosity": msgspec.json.encode(text.verbosity)}
    if text.format is None or text.format.type == "text":
        return found
    if text.format.type != "json_schema":
        return found | {"response_format": msgspec.json.encode({"type": text.format.type})}
    described = {name: value for name, value in msgspec.structs.asdict(text.format).items() if name != "type"}
    schema = {name: value for name, value in described.items() if value is not msgspec.UNSET}
    return found | {"response_format": msgspec.json.encode({"type": "json_schema", "json_schema": schema})}


def chat_function(tool: dict[str, Raw]) -> dict[str, Raw]:
    """Return the `function` object of a tool that has its members beside its type."""
    return {name: tool[name] for name in ("name", "description", "parameters", "strict") if name in tool}
