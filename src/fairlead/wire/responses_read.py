"""Reading what a translation has to look into, with errors that say where it stands: `input[3].content[0].text`.

Values stay the bytes that they came as, unless they are needed. The body that they come from must be UTF-8: msgspec
does not look at that in what it leaves as it is.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from fairlead.errors import ApiError
from fairlead.wire.openrouter_shape import MEMBERS, NULL, OBJECTS, UNREADABLE, Members

LIST = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)
_WHOLE = msgspec.json.Decoder(int)
_KINDS: Mapping[bytes, str] = {
    b'"': "a string",
    b"{": "an object",
    b"[": "a list",
    b"t": "true",
    b"f": "false",
    b"n": "null",
}


def wrong(where: str, what: str) -> ApiError:
    """Return the error for the member at `where`."""
    return ApiError(400, f"'{where}' is wrong: {what}", param=where)


def first_byte(told: Raw | bytes) -> bytes:
    return bytes(memoryview(told)[:1])


def kind_of(told: Raw) -> str:
    """Say in words what kind of JSON it is."""
    return _KINDS.get(first_byte(told), "a number")


def given(members: Members, name: str) -> Raw | None:
    """Return a member; None if there is none, or it is null."""
    found: Raw | None = members.get(name)
    return None if found is None or found == NULL else found


def needed(members: Members, name: str, where: str) -> Raw:
    """Return a member that has to be there."""
    found = given(members, name)
    if found is None:
        path = f"{where}.{name}" if where else name
        raise ApiError(400, f"'{path}' is required", param=path)
    return found


def string(told: Raw, where: str) -> Raw:
    """Return a JSON string as it is."""
    _expect(told, b'"', "a string", where)
    return told


def text_of(told: Raw, where: str) -> str:
    """Return what a JSON string says."""
    return _TEXT.decode(string(told, where))


def object_of(told: Raw, where: str) -> Members:
    _expect(told, b"{", "an object", where)
    try:
        return MEMBERS.decode(told)
    except UNREADABLE:
        raise wrong(where, "it is nested too deeply") from None


def list_of(told: Raw, where: str) -> list[Raw]:
    _expect(told, b"[", "a list", where)
    try:
        return LIST.decode(told)
    except UNREADABLE:
        raise wrong(where, "it is nested too deeply") from None


def objects_of(told: Raw, where: str) -> list[Members]:
    """Return the objects of a list."""
    try:
        return OBJECTS.decode(told)
    except UNREADABLE:
        return [object_of(one, f"{where}[{index}]") for index, one in enumerate(list_of(told, where))]


def flag_of(told: Raw, where: str) -> bool:
    if kind_of(told) not in ("true", "false"):
        raise wrong(where, f"it must be true or false, not {kind_of(told)}")
    return first_byte(told) == b"t"


def count_of(told: Raw, where: str, least: int) -> int:
    """Return a whole number of at least `least`."""
    try:
        count = _WHOLE.decode(told)
    except UNREADABLE:
        kind = kind_of(told)
        said = bytes(told)[:50].decode(errors="replace") if kind == "a number" else kind
        raise wrong(where, f"it must be a whole number, not {said}") from None
    if count < least:
        raise wrong(where, f"it must be {least} or more, not {count}")
    return count


def _expect(told: Raw, opening: bytes, kind: str, where: str) -> None:
    if first_byte(told) != opening:
        raise wrong(where, f"it must be {kind}, not {kind_of(told)}")
