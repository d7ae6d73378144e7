"""Which providers are on, and how they differ from what is built in.

A built-in provider is on when its vendor's key is set (`OPENAI_API_KEY`), or, where it needs none, its base URL. The
tree `FAIRLEAD_PROVIDERS__<NAME>__<MEMBER>` declares others and changes built-in ones; `<NAME>` becomes the slug in
lower case with `-` for `_`.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from fairlead.catalog.dialects import DIALECTS, PLAIN
from fairlead.catalog.model import FREE, Price, Provider, Timeouts
from fairlead.catalog.providers import BUILTIN, BY_SLUG, BuiltinProvider
from fairlead.config.kinds import SECRET, Unfit
from fairlead.config.members import HEADER, HEADERS, MEMBERS, base_url, header_name
from fairlead.config.reading import Reader
from fairlead.config.settings import ProviderSettings

TREE = "FAIRLEAD_PROVIDERS__"

_BY_MEMBER = {member.variable: member for member in MEMBERS}
_NAME = re.compile(rf"{TREE}([A-Z0-9]+(?:_[A-Z0-9]+)*)__({'|'.join(_BY_MEMBER)}|{HEADERS}[A-Z0-9]+(?:_[A-Z0-9]+)*)")

Off = tuple[tuple[str, str], ...]
"""Slugs of built-in providers that are off, each with the variable that would turn it on."""


def split_name(variable: str) -> tuple[str, str] | None:
    """(`MY_LAB`, `BASE_URL`) of a variable in the tree, also for its `_FILE` form; None for any other name."""
    found = _NAME.fullmatch(variable.removesuffix("_FILE"))
    return (found[1], found[2]) if found else None


def names_near(variable: str) -> Iterator[str]:
    """Names in the tree that a wrong `variable` may have been meant for."""
    parts = variable.upper().split("__")
    if len(parts) > 1:
        yield from (f"{TREE}{parts[1]}__{member}" for member in _BY_MEMBER)


def vendor_variables() -> Iterator[str]:
    """The names that turn built-in providers on, and those of their base URLs."""
    for builtin in BUILTIN:
        yield from (*builtin.key_variables, builtin.base_url_variable)


def base_url_variable(reader: Reader, slug: str) -> str:
    """The variable that gave the provider's base URL."""
    variable = f"{TREE}{_name_of(slug)}__BASE_URL"
    return variable if reader.is_set(variable) or slug not in BY_SLUG else BY_SLUG[slug].base_url_variable


def _slug_of(name: str) -> str:
    return name.lower().replace("_", "-")


def read_providers(reader: Reader, timeouts: Timeouts) -> tuple[tuple[ProviderSettings, ...], Off]:
    """The providers that are on, and the built-in ones that are off. `timeouts` hold where a provider has none."""
    declared = _declared(reader)
    on: list[ProviderSettings] = []
    off: list[tuple[str, str]] = []
    for builtin in BUILTIN:
        values = _values(reader, declared.pop(builtin.slug, ()), builtin.root_path)
        missing = _complete(reader, builtin, values)
        if missing is None:
            on.append(_finish(reader, _start(builtin, values["BASE_URL"]), values, timeouts))
        else:
            off.append((builtin.slug, missing))
    for slug, variables in sorted(declared.items()):
        values = _values(reader, variables)
        if "BASE_URL" in values:
            start = Provider(slug=slug, name=slug, base_url=values["BASE_URL"])
            on.append(_finish(reader, start, values, timeouts))
        else:
            _no_base_url(reader, slug, variables)
    return tuple(on), tuple(off)


def _declared(reader: Reader) -> dict[str, tuple[str, ...]]:
    """The variables of the tree that are set, by slug, without `_FILE`."""
    declared: dict[str, set[str]] = {}
    for layer in reader.sources.layers:
        for variable in layer.values:
            if (parts := split_name(variable)) is not None:
                declared.setdefault(_slug_of(parts[0]), set()).add(variable.removesuffix("_FILE"))
    return {slug: tuple(sorted(variables)) for slug, variables in declared.items()}


def _values(reader: Reader, variables: tuple[str, ...], root_path: str = "/v1") -> dict[str, Any]:
    """The good values by member; `HEADERS__…` together under `HEADERS`."""
    values: dict[str, Any] = {}
    headers: dict[str, str] = {}
    for variable in variables:
        _, _, member = variable.removeprefix(TREE).partition("__")
        if member.startswith(HEADERS):
            try:
                name = header_name(member.removeprefix(HEADERS))
            except Unfit as unfit:
                reader.problem(f"{variable}: {unfit}")
                continue
            if (text := reader.read(variable, HEADER, example=HEADER.example)) is not None:
                headers[name] = text
        else:
            setting = _BY_MEMBER[member]
            kind = base_url(root_path) if member == "BASE_URL" else setting.kind
            if (value := reader.read(variable, kind, example=setting.example)) is not None:
                values[member] = value
    values["HEADERS"] = headers
    return values


def _complete(reader: Reader, builtin: BuiltinProvider, values: dict[str, Any]) -> str | None:
    """Add key and base URL from the vendor's own variables; return the variable that is missing to turn it on."""
    if "API_KEY" not in values:
        first, *others = builtin.key_variables
        key = reader.read(first, SECRET, example=SECRET.example, aliases=tuple(others))
        if key is not None:
            values["API_KEY"] = key
    if "BASE_URL" in values:
        return None
    # Without a key a hosted provider stays off, whatever its base URL: shells set OPENAI_BASE_URL for clients.
    if not builtin.is_local and "API_KEY" not in values and builtin.key_variables[0] not in reader.wrong:
        return builtin.key_variables[0]
    kind = base_url(builtin.root_path)
    found = reader.read(builtin.base_url_variable, kind, example=builtin.base_url or kind.example)
    if (root := found or builtin.base_url) is None:
        return builtin.base_url_variable
    values["BASE_URL"] = root
    return None


def _start(builtin: BuiltinProvider, base_url: str) -> Provider:
    return Provider(
        slug=builtin.slug,
        name=builtin.name,
        base_url=base_url,
        auth_header=builtin.auth_header,
        is_stream_usage_on_request=builtin.is_stream_usage_on_request,
        speaks=DIALECTS.get(builtin.slug, PLAIN),
        price=FREE if builtin.is_local else None,
    )


def _no_base_url(reader: Reader, slug: str, variables: tuple[str, ...]) -> None:
    missing = f"{TREE}{_name_of(slug)}__BASE_URL"
    if reader.sources.is_named(missing):
        return  # it is there but wrong, and that is told already
    close = difflib.get_close_matches(slug, [builtin.slug for builtin in BUILTIN], n=1, cutoff=0.7)
    meant = f" (did you mean {TREE}{_name_of(close[0])}__…?)" if close else ""
    reader.problem(
        f"{reader.told(variables[0])}: {slug} is not a built-in provider{meant} and has no base URL; "
        f"set {missing}={base_url().example}"
    )


def _finish(reader: Reader, start: Provider, values: Mapping[str, Any], timeouts: Timeouts) -> ProviderSettings:
    """`start` with everything that is said in `values`."""
    key = values.get("API_KEY")
    tree = f"{TREE}{_name_of(start.slug)}__"
    if key is not None and start.auth_header in values["HEADERS"]:
        variable = f"{tree}{HEADERS}{start.auth_header.upper().replace('-', '_')}"
        reader.problem(f"{reader.told(variable)}: the key of {start.slug} goes into this header; remove one of the two")
    provider = replace(
        start,
        api_key=None if key is None else key.reveal(),
        # A plain dict: the default, a mapping proxy, cannot be pickled.
        headers=values["HEADERS"],
        weight=values.get("WEIGHT", start.weight),
        max_concurrency=values.get("MAX_CONCURRENCY"),
        price=_price(reader, tree, values) or start.price,
        quantization=values.get("QUANTIZATION"),
        data_collection=values.get("DATA_COLLECTION", start.data_collection),
        is_zdr=values.get("ZDR", start.is_zdr),
        timeouts=_timeouts(values, timeouts),
        resume_tokens=values.get("RESUME_TOKENS"),
    )
    return ProviderSettings(provider=provider, declared_models=values.get("MODELS"))


def _price(reader: Reader, tree: str, values: Mapping[str, Any]) -> Price | None:
    prompt, completion = values.get("PRICE_PROMPT"), values.get("PRICE_COMPLETION")
    if prompt is not None and completion is not None:
        return Price(prompt=prompt, completion=completion)
    for given, missing in (("PRICE_PROMPT", "PRICE_COMPLETION"), ("PRICE_COMPLETION", "PRICE_PROMPT")):
        if given in values and not reader.sources.is_named(f"{tree}{missing}"):
            reader.problem(f"{reader.told(tree + given)}: a price has two halves; set {tree}{missing}=0.25 too")
    return None


def _timeouts(values: Mapping[str, Any], timeouts: Timeouts) -> Timeouts:
    return replace(
        timeouts,
        **{
            limit: values[f"TIMEOUT_{limit.upper()}"]
            for limit in ("connect_s", "first_byte_s", "idle_s", "total_s")
            if f"TIMEOUT_{limit.upper()}" in values
        },
    )


def _name_of(slug: str) -> str:
    return slug.upper().replace("-", "_")
