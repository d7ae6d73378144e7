"""Where values come from: flags, the environment, `.env`, the file behind FAIRLEAD_CONFIG.

Each source becomes a layer of texts by variable name; a look-up goes through the layers from strong to weak. An empty
value counts as unset, since `NAME: ${NAME:-}` in a compose file cannot leave a variable out. What is wrong is collected
as lines of text, so that all of it can be told at once.
"""

import io
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import parse_stream

from fairlead.config.secret import mask

_MOST_BYTES = 1024 * 1024
"""Of a file that is read here: guards against a device or a data file named by mistake."""
_DEEPEST = 8
"""Tables within tables; no setting lies deeper than four."""


@dataclass(frozen=True, slots=True)
class Found:
    """The text of a variable and where it stood."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Layer:
    """One source. `values` holds no empty text."""

    source: str
    values: Mapping[str, str] = field(repr=False)


@dataclass(slots=True)
class Sources:
    """All layers, the strongest first, and the list that problems are added to."""

    layers: tuple[Layer, ...]
    problems: list[str]
    cwd: Path
    home: Path | None

    def path(self, text: str) -> Path:
        """An absolute path: from the working directory, or from home after `~/`, which only a shell would expand."""
        if self.home is not None and (text == "~" or text.startswith("~/")):
            return self.home / text[2:]
        return self.cwd / text

    def is_named(self, name: str) -> bool:
        """Whether `name` is given anywhere, be it wrongly."""
        return any(name in layer.values or f"{name}_FILE" in layer.values for layer in self.layers)

    def find(self, *names: str, is_file_allowed: bool = True) -> Found | None:
        """The value of the first of `names` that is set anywhere, as text or as `<name>_FILE`."""
        for name in names:
            for layer in self.layers:
                text = layer.values.get(name)
                file = layer.values.get(f"{name}_FILE") if is_file_allowed else None
                if text is not None and file is not None:
                    self.problems.append(f"{name} ({layer.source}): {name}_FILE is set too; remove one of the two")
                    return None
                if text is not None:
                    return Found(text, layer.source if name == names[0] else f"{layer.source} ({name})")
                if file is not None:
                    return self._from_file(f"{name}_FILE", file, layer.source)
        return None

    def _from_file(self, name: str, path: str, source: str) -> Found | None:
        try:
            text = _read(self.path(path.strip()))
        except (OSError, ValueError) as error:
            # A key put here by mistake must not be printed; it seldom looks like a path.
            shown = path if "/" in path or "." in path else mask(path)
            self.problems.append(
                f"{name}={quote(shown)} ({source}): cannot be read: {_reason(error)}; name a readable text file"
            )
            return None
        text = text.removesuffix("\n").removesuffix("\r")
        if not text.strip():
            self.problems.append(f"{name}={quote(path)} ({source}): the file is empty; write the value into it")
            return None
        return Found(text, f"{source} file {printable(path)} ({name})")


def read_sources(environ: Mapping[str, str], overrides: Mapping[str, str], cwd: Path) -> Sources:
    """Read what there is. `.env` is looked for in `cwd` only: it is a convenience of development."""
    layers = [Layer("flag", _set_ones(overrides)), Layer("environment", _set_ones(environ))]
    home = Path(environ["HOME"]) if environ.get("HOME") else None
    problems: list[str] = []
    layers.append(Layer(".env", _set_ones(_read_dotenv(cwd / ".env", problems))))
    strong = Sources(tuple(layers), problems, cwd, home)
    config = strong.find("FAIRLEAD_CONFIG", is_file_allowed=False)
    if config is None:
        return strong
    layers.append(
        Layer("FAIRLEAD_CONFIG file", _set_ones(_read_toml(config, strong.path(config.text.strip()), problems)))
    )
    return Sources(tuple(layers), problems, cwd, home)


def _set_ones(values: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in values.items() if text.strip()}


def _read_dotenv(path: Path, problems: list[str]) -> dict[str, str]:
    """The assignments in `path`. `${…}` is left as it stands: a key may contain it."""
    if not os.path.isfile(path):
        return {}
    try:
        bindings = list(parse_stream(io.StringIO(_read(path))))
    except (OSError, ValueError) as error:
        problems.append(f".env: cannot be read: {_reason(error)}; fix or remove {printable(str(path))}")
        return {}
    problems.extend(
        f".env line {binding.original.line}: not an assignment; write NAME=value"
        for binding in bindings
        if binding.error
    )
    return {binding.key: binding.value for binding in bindings if binding.key and binding.value}


def _read_toml(config: Found, path: Path, problems: list[str]) -> dict[str, str]:
    place = f"FAIRLEAD_CONFIG={quote(config.text)} ({config.source})"
    try:
        tree = tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{place}: not valid TOML: {printable(str(error))}")
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{place}: cannot be read: {_reason(error)}; name a readable TOML file")
    else:
        return _flat(tree, place, problems)
    return {}


def _flat(tree: Mapping[str, object], place: str, problems: list[str]) -> dict[str, str]:
    """The tree as texts by variable. `place` begins the problems."""
    values: dict[str, str] = {}
    for keys, value in _leaves(tree):
        name = _variable(keys)
        key = printable(".".join(keys))
        if name == "FAIRLEAD_CONFIG":
            problems.append(f"{place}: {key} cannot be set in the file itself; remove it there")
        elif name in values:
            problems.append(f"{place}: {key} is a second spelling of {printable(name)}; remove one of the two")
        else:
            try:
                values[name] = _text(value)
            except (TypeError, ValueError):
                problems.append(
                    f"{place}: {key} must be text, a number, true, false, or a list of texts without commas"
                )
    return values


def _leaves(tree: Mapping[str, object], keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for key, value in tree.items():
        if isinstance(value, dict) and len(keys) < _DEEPEST:
            yield from _leaves(value, (*keys, key))
        else:
            yield (*keys, key), value


def _variable(keys: tuple[str, ...]) -> str:
    """The variable that a place in the file stands for.

    `timeout.connect_s` → `FAIRLEAD_TIMEOUT_CONNECT_S`; below `providers` the name of the provider and that of a header
    are set off by two underscores: `providers.my-lab.headers.x-team` → `FAIRLEAD_PROVIDERS__MY_LAB__HEADERS__X_TEAM`.
    """
    parts = [key.upper().replace("-", "_") for key in keys]
    if parts[0] != "PROVIDERS":
        return "FAIRLEAD_" + "_".join(parts)
    member = "__".join(parts[2:]) if parts[2:3] == ["HEADERS"] else "_".join(parts[2:])
    return "__".join(["FAIRLEAD_PROVIDERS", *parts[1:2], *([member] if member else [])])


def _text(value: object) -> str:
    """As the value would be written in the environment. Raises TypeError or ValueError when it cannot be."""
    match value:
        case str():
            return value
        case bool():
            return "on" if value else "off"
        case int() | float():
            return str(value)
        case list() if all(isinstance(item, str) and "," not in item for item in value):
            return ",".join(value)
    raise TypeError


def _read(path: Path) -> str:
    """The UTF-8 text of `path`, without a byte order mark. Raises OSError or ValueError."""
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"longer than {_MOST_BYTES} bytes")
    return content.decode("utf-8-sig")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def printable(text: str) -> str:
    """`text` on one line, at most 200 characters of it."""
    text = text if len(text) <= 200 else text[:199] + "…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def quote(text: str) -> str:
    """`text` in double quotes, on one line."""
    return f'"{printable(text)}"'
