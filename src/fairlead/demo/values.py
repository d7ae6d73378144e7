"""Readers of the values in a script: decoded JSON in, the typed value out, or `ValueError` saying what it must be."""

import base64
import binascii
import importlib.util
from collections.abc import Callable, Mapping
from typing import TypeAlias

Pairs: TypeAlias = tuple[tuple[str, str], ...]


def flag(value: object) -> bool:
    """True or false."""
    if isinstance(value, bool):
        return value
    raise ValueError("must be true or false")


def whole(lowest: int, highest: int | None = None) -> Callable[[object], int]:
    """A whole number within limits, both included."""
    limits = f"of {lowest} or more" if highest is None else f"from {lowest} to {highest}"

    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= (highest or value):
            return value
        raise ValueError(f"must be a whole number {limits}")

    return read


def seconds(value: object) -> float:
    """Seconds, 0 or more."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    raise ValueError("must be seconds, 0 or more")


def text(value: object) -> str:
    """Any string."""
    if isinstance(value, str):
        return value
    raise ValueError("must be a string")


def header_value(value: object) -> str:
    """A string of one line; a number is taken for one."""
    written = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if isinstance(written, str) and not {"\r", "\n"} & set(written):
        return written
    raise ValueError("must be a string of one line")


def raw_bytes(value: object) -> bytes:
    """A string, sent as UTF-8, or {"base64": "…"}."""
    match value:
        case str():
            return value.encode()
        case {"base64": str(encoded), **rest} if not rest:
            try:
                return base64.b64decode(encoded, validate=True)
            except binascii.Error as error:
                raise ValueError(f"is not base64: {error}") from None
        case _:
            raise ValueError('must be a string or {"base64": "…"}')


def pairs(value: object) -> Pairs:
    """Names and values of headers: an object, or a list where a name comes twice."""
    listed = list(value.items()) if isinstance(value, dict) else value
    if isinstance(listed, list) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in listed):
        return tuple((header_value(name), header_value(content)) for name, content in listed)
    raise ValueError("must be an object, or a list of [name, value]")


def members(value: object) -> Mapping[str, object]:
    """An object."""
    if isinstance(value, dict):
        return value
    raise ValueError("must be an object")


def one_of(*allowed: str) -> Callable[[object], str]:
    """One of a few words."""

    def read(value: object) -> str:
        if isinstance(value, str) and value in allowed:
            return value
        raise ValueError(f"must be one of {', '.join(allowed)}")

    return read


def encoding(value: object) -> str:
    """A content coding that can be produced here."""
    name = one_of("gzip", "br")(value)
    if name == "br" and importlib.util.find_spec("brotli") is None:
        raise ValueError("needs the package brotli")
    return name
