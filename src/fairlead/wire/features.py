"""What can be told of a chat request without decoding it: the ground on which `auto` chooses a model.

Read are sizes, the names of content parts, and at most 3 KiB of text: both ends of what the user said last, and the
beginning of what the user said first. The text stays JSON as it was sent, escapes and all. Whatever the bytes are,
nothing here raises: who sends nonsense gets features of nonsense, and the provider's opinion of it.

Two facts about JSON make that possible. A quote within a string is escaped, so `"user"`, quotes included, stands for
nothing but a whole string. And escapes of text are known beforehand, so a word is looked for in both of its spellings.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from fairlead.wire.conversation import MOST_TRIES, MemberOf, number_of, opening, text_end
from fairlead.wire.keywords import ABOUT_CODE, NO_KEYWORDS, REASONING, Keywords, Text
from fairlead.wire.tokens import text_bytes

PROMPT_END_BYTES = 1_024
"""Of either end of the last message: what is wanted stands before or behind what it is wanted of."""
OPENING_BYTES = 1_024
TURNS_BYTES = 16_384
_BYTES_PER_TOKEN = 4


@dataclass(slots=True)
class Features:
    """What `auto` knows of a request. Tokens are rough: four bytes of JSON each."""

    prompt: bytes = b""
    """What the user said last, and first if that was another message: a piece of JSON, in lower case as far as ASCII
    goes, and cut. For who judges it by its words."""
    prompt_tokens: int = 0
    """Of messages and tools together; attachments as `text_bytes` has them."""
    user_tokens: int = 0
    """Of what the user said last."""
    output_tokens: int = 0
    """Most that the reply may have; 0: the caller does not say."""
    turns: int = 0
    """Messages of the user, in the last 16 KiB."""
    has_code: bool = False
    """Code in it, or words about code."""
    script: str = "latin"
    """In which most of it is written: latin, han, kana (Japanese), hangul, cyrillic, greek, arabic, hebrew, devanagari,
    thai, other."""
    reasoning_words: int = 0
    """Different words that ask for thought, counted up to REASONING_MOST."""
    inputs: frozenset[str] = frozenset()
    """Modalities beside text: image, audio, file, video."""
    outputs: frozenset[str] = frozenset()
    """The same of the reply: image, audio."""
    needs: frozenset[str] = frozenset()
    """Parameters without which the answer would be another one: tools, response_format, structured_outputs."""
    effort: str = ""
    """Of reasoning, as the caller has it: none, minimal, low, medium, high, xhigh, max."""
    hits: tuple[str, ...] = ()
    """Those of the operator's keywords that occur."""
    conversation: int = 0
    """A number, not 0, of how the conversation began: the same in each of its turns."""


REASONING_MOST = 4


def features_of(member: MemberOf, keywords: Keywords = NO_KEYWORDS) -> Features:
    """Return the features of a chat request."""
    messages = member("messages") or b"[]"
    tools = member("tools") or b""
    begin, end = _last(messages)
    first, first_end = opening(messages)
    said = messages[begin:end]
    prompt = _ends(said)
    if first_end <= begin:
        prompt = b"%b\n%b" % (prompt, messages[first:first_end][:OPENING_BYTES])
    text = Text(prompt)
    script = _script(text)
    return Features(
        prompt=text.raw,
        prompt_tokens=(text_bytes(messages) + len(tools)) // _BYTES_PER_TOKEN,
        user_tokens=text_bytes(said) // _BYTES_PER_TOKEN,
        output_tokens=_whole(member("max_completion_tokens")) or _whole(member("max_tokens")),
        turns=messages.count(b'"user"', max(0, len(messages) - TURNS_BYTES)),
        has_code=_has_code(text, script),
        script=script,
        reasoning_words=_count(REASONING, text, script, REASONING_MOST),
        inputs=_inputs(messages),
        outputs=_outputs(member("modalities") or b""),
        needs=_needs(tools, member("response_format") or b""),
        effort=_effort(member("reasoning_effort") or member("reasoning") or b""),
        hits=keywords.found(text) if keywords.words else (),
        conversation=number_of(messages, first, first_end),
    )


# -- where things stand --------------------------------------------------------------------------------------------

_ROLE_BEFORE: Final = re.compile(rb'"role"[ \t\r\n]{0,8}:[ \t\r\n]{0,8}\Z')
_MORE: Final = re.compile(rb"[ \t\r\n]{0,8},")


def _last(messages: bytes) -> tuple[int, int]:
    """Return where the user's last message begins and ends, roughly: from its role on, or, where the role stands last,
    from the one before up to it. All of them if there is none."""
    end = len(messages)
    for _ in range(MOST_TRIES):
        at = messages.rfind(b'"user"', 0, end)
        if at < 0:
            break
        if _ROLE_BEFORE.search(messages, max(0, at - 24), at):
            if _MORE.match(messages, at + 6):
                return at + 6, text_end(messages, at + 6, len(messages))
            return max(messages.rfind(b'"role"', 0, messages.rfind(b'"role"', 0, at)), 0), at
        end = at
    return 0, len(messages)


def _ends(said: bytes) -> bytes:
    if len(said) <= 2 * PROMPT_END_BYTES:
        return said
    return b"%b\n%b" % (said[:PROMPT_END_BYTES], said[-PROMPT_END_BYTES:])


# -- what is asked for ---------------------------------------------------------------------------------------------

_PARTS: Final = (
    (b'"image_url"', "image"),
    (b'"input_image"', "image"),
    (b'"input_audio"', "audio"),
    (b'"file"', "file"),
    (b'"input_file"', "file"),
    (b'"video_url"', "video"),
    (b'"input_video"', "video"),
)
_PART_NAMES: Final = tuple(name for name, _ in _PARTS)
_MOST_PARTS = 2_048
"""Then it is quicker to look for each name, wherever it stands."""


def _inputs(messages: bytes) -> frozenset[str]:
    found: set[str] = set()
    at = -6
    for _ in range(_MOST_PARTS):
        at = messages.find(b'"type"', at + 6)
        if at < 0:
            return frozenset(found)
        value = messages[at + 6 : at + 32].lstrip(b": \t\r\n")
        if value.startswith(_PART_NAMES):
            found.add(next(modality for name, modality in _PARTS if value.startswith(name)))
    return frozenset(modality for name, modality in _PARTS if name in messages)


def _outputs(modalities: bytes) -> frozenset[str]:
    return frozenset(one for one, name in (("image", b'"image"'), ("audio", b'"audio"')) if name in modalities)


def _needs(tools: bytes, response_format: bytes) -> frozenset[str]:
    needs = set()
    if tools not in (b"", b"null", b"[]"):
        needs.add("tools")
    if b'"json_schema"' in response_format:
        needs.add("structured_outputs")
    elif b'"json_object"' in response_format:
        needs.add("response_format")
    return frozenset(needs)


_EFFORT: Final = re.compile(rb'"(none|minimal|low|medium|high|xhigh|max)"')
_THINKS: Final = re.compile(rb'"(?:enabled"\s{0,8}:\s{0,8}true|max_tokens"\s{0,8}:\s{0,8}[1-9])')


def _effort(said: bytes) -> str:
    """`reasoning_effort`, or what the `reasoning` object comes to."""
    found = _EFFORT.search(said, 0, 1_024)
    if found:
        return found[1].decode()
    return "medium" if _THINKS.search(said, 0, 1_024) else ""


def _whole(said: bytes | None) -> int:
    return int(said) if said and len(said) <= 9 and said.isdigit() else 0


# -- what it is about ----------------------------------------------------------------------------------------------

_CODE_WORDS: Final = frozenset((
    b"def", b"class", b"function", b"import", b"include", b"const", b"return", b"select", b"self", b"console", b"void",
    b"traceback", b"exception", b"fn", b"func", b"elif", b"async", b"await", b"null", b"var", b"struct", b"println",
))  # fmt: skip
_CODE_SIGNS: Final = (b"=>", b"();", b";\\n", b"{\\n", b"</", b"::", b"&&", b"):", b"==", b"+=", b"->")
"""Either may occur in prose; one of each, or two signs, seldom do."""
_SIGNS: Final = tuple((sign.rstrip(b"n"), sign) for sign in _CODE_SIGNS)
_NO_SIGNS: Final = bytes(set(range(256)) - set(b"".join(_CODE_SIGNS)) | {ord("n")})


def _has_code(text: Text, script: str) -> bool:
    if b"```" in text.raw:
        return True
    marks = 0 if _CODE_WORDS.isdisjoint(text.tokens) else 1
    signs = text.raw.translate(None, _NO_SIGNS)  # which are few, so most need not be looked for
    marks += sum(alone in signs and sign in text.raw for alone, sign in _SIGNS)
    return marks > 1 or _count(ABOUT_CODE, text, script, 1) > 0


def _count(words: Mapping[str, Keywords], text: Text, script: str, most: int) -> int:
    count = len(words[""].found(text, most))
    if count < most and (own := words.get(script)) is not None:
        count += len(own.found(text, most - count))
    return count


_ASCII: Final = bytes(range(128))
_ESCAPED: Final = re.compile(rb"\\u([0-9a-f]{4})")
_SAMPLE = 32
_SHARE = 0.1
"""A text is written in a script if so much of its bytes are; the rest is JSON, names, a quotation."""
_BLOCKS: Final = (
    (0x0000, "latin"), (0x0250, ""), (0x0370, "greek"), (0x0400, "cyrillic"), (0x0530, "other"), (0x0590, "hebrew"),
    (0x0600, "arabic"), (0x0780, "other"), (0x0900, "devanagari"), (0x0980, "other"), (0x0E00, "thai"),
    (0x0E80, "other"), (0x1100, "hangul"), (0x1200, "other"), (0x1E00, "latin"), (0x1F00, "greek"), (0x2000, ""),
    (0x3040, "kana"), (0x3100, "han"), (0x3130, "hangul"), (0x3190, "han"), (0xA000, "other"), (0xAC00, "hangul"),
    (0xD7B0, ""), (0xF900, "han"), (0xFB00, ""), (0xFB50, "arabic"), (0xFE00, ""), (0xFE70, "arabic"), (0xFF00, ""),
    (0xFF66, "kana"), (0xFFA0, ""), (0x20000, "han"), (0x32000, ""),
)  # fmt: skip
"""Where blocks of Unicode begin; "" for punctuation and signs, which any script may have."""
_STARTS: Final = [start for start, _ in _BLOCKS]


def _script(text: Text) -> str:
    raw = text.raw
    if text.is_ascii and not text.has_escapes:
        return "latin"
    if text.is_ascii:
        points = [int(found[1], 16) for found in islice(_ESCAPED.finditer(raw), _SAMPLE)]
        share = 6 * raw.count(b"\\u") / len(raw)
    else:
        rest = raw.translate(None, _ASCII)
        points = [ord(char) for char in rest[: 3 * _SAMPLE].decode(errors="ignore")]
        share = len(rest) / len(raw)
    if share < _SHARE or not points:
        return "latin"
    counts = Counter(_BLOCKS[bisect_right(_STARTS, point) - 1][1] for point in points)
    if counts["kana"] * 8 > len(points):  # Japanese has more Han than kana, Chinese has no kana
        return "kana"
    del counts[""]
    return counts.most_common(1)[0][0] if counts else "latin"
