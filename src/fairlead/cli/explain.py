"""`fairlead explain`: who would answer a request, and why; or why one was answered as it was."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from fairlead.errors import ConfigError, FairleadError

Row = Mapping[str, Any]


@click.command()
@click.argument("request", metavar="REQUEST")
@click.option("--key", "key_hash", metavar="HASH", help="As a request with this key would fare")
@click.option("--json", "is_json", is_flag=True, help="Print JSON, as POST /admin/v1/explain answers")
def explain(request: str, key_hash: str | None, is_json: bool) -> None:
    """Show whom a gateway would ask for a request, and why.

    REQUEST is a file with the body of a chat request (- for standard input), of which nothing is sent to anybody; or
    the id of a request that has been (gen-…). The gateway is found as `fairlead top` finds it.
    """
    from fairlead.admin.key import find
    from fairlead.cli.gateway import LocalGateway
    from fairlead.cli.screen import printable
    from fairlead.config import load_process

    settings = load_process().settings
    key = find(settings.admin_key, settings.data_dir)
    if key.secret is None:
        raise ConfigError(f"no admin key: {key.problem}")
    gateway = LocalGateway(settings.host, settings.port, key=key.secret.reveal())
    if request.startswith("gen-"):
        told = gateway.get_json(f"/admin/v1/explain/{request}")
    else:
        query = f"?key={key_hash}" if key_hash else ""
        told = gateway.post_json(f"/admin/v1/explain{query}", _body(request))
    if is_json:
        click.echo(json.dumps(told, indent=2))
        return
    for line in lines(told):
        click.echo(printable(line))


def _body(path: str) -> bytes:
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise FairleadError(f"{path} cannot be read: {error.strerror}") from None


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a person reads of an explanation."""
    if told.get("error"):
        yield f"Refused with {told['error']['code']}: {told['error']['message']}"
        return
    if "id" in told:
        yield f"{told['id']}: {told['requested']} was answered by {told['provider'] or 'nobody'} ({told['end']})"
    else:
        panic = ", though none is fit" if told["is_panic"] else ""
        yield f"{told['model']}: asked in this order{panic}"
    if told["candidates"]:
        yield ""
        yield from _table(told["candidates"])
    if told["skipped"]:
        yield ""
        yield "Not asked"
        yield from _columns([[f"  {one['endpoint']}", one["reason"]] for one in told["skipped"]])
    if told.get("attempts"):
        yield ""
        yield "Tried"
        rows = [
            [f"  {one['provider']}", one["verdict"], str(one["status"] or "-"), f"{one['duration_ms']} ms"]
            for one in told["attempts"]
        ]
        yield from _columns(rows)


def _table(candidates: Sequence[Row]) -> Iterator[str]:
    """Now: the terms that add up to the score. Of a request that has been, what the ledger has kept."""
    if "share" not in candidates[0]:
        rows = [["", "endpoint", "score", "expected s", ""]]
        rows += [
            [str(one["place"]), one["endpoint"], f"{one['score']:.3f}", f"{one['expected_s']:.3f}", _note(one)]
            for one in candidates
        ]
    else:
        rows = [["", "endpoint", "share", "score", "expected s", "price", "weight", "load", ""]]
        rows += [
            [str(one["place"]), one["endpoint"], f"{one['share']:.0%}", *_terms(one), _note(one)] for one in candidates
        ]
    yield from _columns(rows)


def _terms(candidate: Row) -> list[str]:
    terms = candidate["terms"]
    if terms is None:
        return ["-"] * 5
    shown = [f"{terms['score']:.3f}", f"{terms['seconds']:.3f}"]
    return shown + [f"{terms[name]:+.3f}" for name in ("price", "weight", "load")]


def _note(candidate: Row) -> str:
    return str(candidate["comes_first_as"] or "")


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
