"""Content of a Responses item as chat completions has it: a string, or parts (wire-api, sections 3.3 and 9.2)."""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Raw

from fairlead.errors import ApiError
from fairlead.wire.openrouter_shape import EMPTY, Members, encode
from fairlead.wire.responses_read import first_byte, given, needed, object_of, objects_of, string, text_of, wrong

_CACHE: Final = ("cache_control", "prompt_cache_breakpoint")
"""Marks that a part of any kind may have, here and there."""
TEXTS: Final = ("input_text", "output_text", "text")


def joined(texts: list[Raw]) -> Raw:
    """Return JSON strings as one, without a look at what is in them."""
    if len(texts) == 1:
        return texts[0]
    return Raw(b'"%b"' % b"".join(bytes(text)[1:-1] for text in texts)) if texts else EMPTY


def content_of(told: Raw, where: str) -> Raw:
    """Return chat's content (JSON): text as a string where it is one piece, else as parts."""
    if first_byte(told) == b'"':
        return told
    parts = [_part(part, f"{where}[{index}]") for index, part in enumerate(objects_of(told, where))]
    if not parts:
        return EMPTY
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return Raw(bytes(parts[0]["text"]))
    return Raw(encode(parts))


def texts_of(told: Raw, where: str) -> tuple[list[Raw], list[Raw]]:
    """Return what an assistant has said, and how it has refused; each as JSON strings."""
    if first_byte(told) == b'"':
        return [told], []
    texts, refusals = [], []
    for index, part in enumerate(objects_of(told, where)):
        place = f"{where}[{index}]"
        kind = _kind(part, place)
        if kind == "refusal":
            refusals.append(string(needed(part, "refusal", place), f"{place}.refusal"))
        elif kind in TEXTS:
            texts.append(string(needed(part, "text", place), f"{place}.text"))
        else:
            text = f"an assistant's content has parts of type 'output_text' or 'refusal', not {kind[:100]!r}"
            raise wrong(f"{place}.type", text)
    return texts, refusals


def _kind(part: Members, where: str) -> str:
    return text_of(needed(part, "type", where), f"{where}.type")


def _part(part: Members, where: str) -> Members:
    kind = _kind(part, where)
    translate = _PARTS.get(kind)
    if translate is None:
        raise wrong(f"{where}.type", f"content has parts of type {', '.join(_PARTS)}, not {kind[:100]!r}")
    return {**translate(part, where), **{name: part[name] for name in _CACHE if given(part, name) is not None}}


def _text(part: Members, where: str) -> Members:
    return {"type": "text", "text": string(needed(part, "text", where), f"{where}.text")}


def _image(part: Members, where: str) -> Members:
    if given(part, "image_url") is None and given(part, "file_id") is not None:
        text = f"'{where}.file_id' is of no use: files are not kept here, so send the image itself in 'image_url'"
        raise ApiError(400, text, param=f"{where}.file_id")
    image = {"url": string(needed(part, "image_url", where), f"{where}.image_url")}
    if (detail := given(part, "detail")) is not None:
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def _file(part: Members, where: str) -> Members:
    """`file_data` in chat is a data URL or an address. A `file_id` is its provider's, who may know it."""
    file = {name: part[name] for name in ("filename", "file_data", "file_id") if given(part, name) is not None}
    if "file_data" not in file and (address := given(part, "file_url")) is not None:
        file["file_data"] = address
    if not file.keys() & {"file_data", "file_id"}:
        raise ApiError(400, f"'{where}' is a file without content: send 'file_data' or 'file_url'", param=where)
    return {"type": "file", "file": file}


def _audio(part: Members, where: str) -> Members:
    object_of(needed(part, "input_audio", where), f"{where}.input_audio")
    return {"type": "input_audio", "input_audio": part["input_audio"]}


def _video(part: Members, where: str) -> Members:
    video = {"url": string(needed(part, "video_url", where), f"{where}.video_url")}
    if (processing := given(part, "processing")) is not None:
        video["processing"] = processing
    return {"type": "video_url", "video_url": video}


_PARTS: Final[Mapping[str, Callable[[Members, str], Members]]] = {
    "input_text": _text,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
    "input_video": _video,
    "output_text": _text,
    "text": _text,
}
