"""The document as a page: HTML that can be read without a script, every value escaped.

A script, where there is one, looks for words, copies commands and fills in the address. Commands have `$FAIRLEAD_URL`
instead, and the keys are variables of the shell in any case.
"""

import html
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any, Final
from urllib.parse import urlencode

from fairlead.openapi.kind import REF, kind_of, members_of

Part = Mapping[str, Any]

_CODE: Final = re.compile(r"`([^`]*)`")
_VARIABLES: Final = {"key": "FAIRLEAD_KEY", "management": "FAIRLEAD_MANAGEMENT_KEY", "admin": "FAIRLEAD_ADMIN_KEY"}
_DEPTH: Final = 4
"""So deep objects within objects are shown."""


def page(document: Part) -> bytes:
    """Return the page of a document, as `document.py` makes it."""
    template = Template(Path(__file__).with_name("docs.html").read_text(encoding="utf-8"))
    tags: dict[str, list[tuple[str, str, Part, Part]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "servers":
                tags[operation["tags"][0]].append((path, method, operation, item))
    info, servers = document["info"], document["servers"]
    bases = "".join(f"<li><code>{_text(one['url'])}</code> {_prose(one['description'])}</li>" for one in servers)
    parts = {
        "title": _text(info["title"]),
        "version": _text(info["version"]),
        "summary": _prose(info["summary"]),
        "description": _prose(info["description"]),
        "bases": bases,
        "contents": "\n".join(_contents(name, found, servers[0]["url"]) for name, found in tags.items()),
        "operations": "\n".join(
            f'<section class="tag" id="{_anchor(tag["name"])}"><h2>{_text(tag["name"])}</h2>'
            f"<p>{_prose(tag['description'])}</p>"
            + "\n".join(_operation(document, *one) for one in tags[tag["name"]])
            + "</section>"
            for tag in document["tags"]
        ),
        "schemas": "\n".join(_schema(name, one) for name, one in document["components"]["schemas"].items()),
        "replies": "\n".join(_shared_reply(name, one) for name, one in document["components"]["responses"].items()),
        "headers": _table(
            ("Header", "Says"),
            ((f"<code>{name}</code>", _prose(one["description"]))
             for name, one in document["components"]["headers"].items()),
        ),
        "keys": _table(
            ("Key", "Is"),
            ((f"<code>{name}</code>", _prose(one["description"]))
             for name, one in document["components"]["securitySchemes"].items()),
        ),
    }  # fmt: skip
    return template.substitute(parts).encode()


def command(document: Part, path: str, method: str, operation: Part, item: Part) -> str:
    """Return a command for the shell that asks for the operation, with its examples."""
    base = item.get("servers", document["servers"])[0]["url"].rstrip("/")
    query = {}
    for one in operation.get("parameters", ()):
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", str(one.get("example", one["name"])))
        elif "example" in one and one["in"] == "query":
            query[one["name"]] = one["example"]
    url = f"$FAIRLEAD_URL{base}{path}" + (f"?{urlencode(query)}" if query else "")
    words = ["curl", *(["-X", method.upper()] if method in ("patch", "delete") else []), f'"{url}"']
    lines = [" ".join(words)]
    named = [name for one in operation["security"] for name in one]
    if named:
        lines.append(f'-H "Authorization: Bearer ${_VARIABLES[named[0]]}"')
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        if "example" in content:
            lines.append(f'-H "Content-Type: {kind}"')
            lines.append(f"-d {shlex.quote(json.dumps(content['example'], ensure_ascii=False))}")
    if method == "post" and "requestBody" not in operation:
        lines[0] = lines[0].replace("curl", "curl -X POST", 1)
    return " \\\n  ".join(lines)


def _contents(name: str, found: list[tuple[str, str, Part, Part]], base: str) -> str:
    rows = "".join(
        f'<li><a href="#{operation["operationId"]}"><b class="{method}">{method.upper()}</b> '
        f"<code>{_text(_whole(path, item, base))}</code></a></li>"
        for path, method, operation, item in found
    )
    return f'<li><a href="#{_anchor(name)}">{_text(name)}</a><ul>{rows}</ul></li>'


def _whole(path: str, item: Part, base: str) -> str:
    return path if "servers" in item else base + path


def _operation(document: Part, path: str, method: str, operation: Part, item: Part) -> str:
    named = [name for one in operation["security"] for name in one if not name.endswith("Header")]
    key = f"With a key: <code>{_text(named[0])}</code>" if named else "Without a key"
    if named and {} in operation["security"]:
        key += ", or without one"
    shown = command(document, path, method, operation, item)
    parts = [
        f'<section class="operation" id="{operation["operationId"]}">',
        f'<h3><b class="{method}">{method.upper()}</b> '
        f"<code>{_text(_whole(path, item, document['servers'][0]['url']))}</code></h3>",
        f"<p><strong>{_prose(operation['summary'])}.</strong> {_prose(operation.get('description', ''))}</p>",
        f'<p class="key">{key}.</p>',
        f'<pre class="command"><code>{_command_markup(shown)}</code></pre>',
    ]
    if rows := [_parameter(one) for one in operation.get("parameters", ())]:
        parts.append("<h4>Parameters</h4>" + _table(("Name", "In", "Is", "Says"), rows))
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<h4>Body <small>{_text(kind)}</small></h4>{_shape(content['schema'])}")
    replies = [_reply(status, one) for status, one in operation["responses"].items()]
    parts.append("<h4>Replies</h4>" + _table(("Status", "Says", "Holds"), replies))
    return "\n".join((*parts, "</section>"))


def _command_markup(text: str) -> str:
    return _text(text).replace("$FAIRLEAD_URL", '<span class="origin">$FAIRLEAD_URL</span>')


def _parameter(one: Part) -> tuple[str, ...]:
    return (
        f"<code>{_text(one['name'])}</code>",
        _text(one["in"]),
        _kind(one["schema"]),
        _prose(one.get("description", "")),
    )


def _reply(status: str, reply: Part) -> tuple[str, ...]:
    if (target := REF.fullmatch(reply.get("$ref", ""))) is not None:
        name = _text(target[2])
        return _text(status), f'<a href="#reply-{name}">{name}</a>', ""
    return _text(status), _prose(reply["description"]), _content(reply)


def _content(reply: Part) -> str:
    return "".join(
        f"<p><code>{_text(kind)}</code></p>{_shape(content['schema'])}"
        for kind, content in reply.get("content", {}).items()
    )


def _shared_reply(name: str, reply: Part) -> str:
    headers = ", ".join(f"<code>{_text(one)}</code>" for one in reply.get("headers", ()))
    return (
        f'<section id="reply-{_text(name)}"><h3>{_text(name)}</h3><p>{_prose(reply["description"])}</p>'
        f"{_content(reply)}<p>Headers, where they apply: {headers}</p></section>"
    )


def _schema(name: str, schema: Part) -> str:
    return f'<section id="schema-{_text(name)}"><h3>{_text(name)}</h3>{_shape(schema)}</section>'


def _shape(schema: Part, depth: int = 0) -> str:
    """Return what a value is, with the members that it has."""
    rows = list(_members(schema, depth))
    about = _prose(schema.get("description", "")) if depth == 0 else ""
    head = f'<p class="shape">{_kind(schema)} {about}</p>'
    return head + (_table(("Member", "Is", "Says"), rows) if rows else "")


def _members(schema: Part, depth: int) -> Iterator[tuple[str, ...]]:
    for name, member, is_required in members_of(schema):
        more = ""
        if depth < _DEPTH and next(members_of(member), None) is not None:
            more = f"<details><summary>its members</summary>{_shape(member, depth + 1)}</details>"
        mark = ' <em class="required">required</em>' if is_required else ""
        yield f"<code>{_text(name)}</code>{mark}", _kind(member), _prose(member.get("description", "")) + more


def _kind(schema: Part) -> str:
    """Return what a value is in a few words, names of schemas as links."""
    return "".join(
        f'<a href="#schema-{_text(word[1:])}">{_text(word[1:])}</a>' if word.startswith("#") else _text(word)
        for word in kind_of(schema)
    )


def _table(heads: tuple[str, ...], rows: Any) -> str:
    head = "".join(f"<th>{one}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _anchor(name: str) -> str:
    return re.sub("[^a-z]+", "-", name.lower())


def _text(value: str) -> str:
    return html.escape(value)


def _prose(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", html.escape(text))
