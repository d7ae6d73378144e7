"""JSON as any client may write it: the same values in many spellings."""

import json

from hypothesis import strategies as st

WHITE_SPACE = " \t\n\r"
_SHORT = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}

TRICKY_NAMES = ("model", "messages", "stream", "stream_options", "tools", "", "a", 'a":1,"b', "mod\\u0065l", "é", "😀")
TRICKY_TEXTS = ('"model":"x"', '{"model":"x"}', '\\"model\\":1,', "}", '"', "\\", "  ", ',"a":1', "usage\\")

names = st.sampled_from(TRICKY_NAMES) | st.text(max_size=8)
texts = st.sampled_from(TRICKY_TEXTS) | st.text(max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**25, max_value=10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def gap(random):
    """White space, mostly none."""
    return "".join(random.choices(WHITE_SPACE, k=random.choice((0, 0, 0, 1, 3))))


def string_text(text, random):
    """A JSON string in which any character may be escaped, in any of the ways there are."""
    return f'"{"".join(_char_text(char, random) for char in text)}"'


def _char_text(char, random):
    style = random.random()
    if style < 0.7 and char >= " " and char not in '"\\':
        return char
    if style < 0.85 and char in _SHORT:
        return _SHORT[char]
    units = char.encode("utf-16-be")
    return "".join(
        f"\\u{random.choice((str.lower, str.upper))(units[i : i + 2].hex())}" for i in range(0, len(units), 2)
    )


def value_text(value, random):
    """Any value, with white space wherever it may stand (but not around the whole)."""
    if isinstance(value, str):
        return string_text(value, random)
    if isinstance(value, list):
        return f"[{','.join(_spaced(value_text(one, random), random) for one in value) or gap(random)}]"
    if isinstance(value, dict):
        members = ",".join("".join(member_text(*member, random)) for member in value.items())
        return f"{{{members or gap(random)}}}"
    return json.dumps(value)


def member_text(name, value, random):
    """A member in three parts: what comes before its value, the value, what comes after."""
    before = f"{gap(random)}{string_text(name, random)}{gap(random)}:{gap(random)}"
    return before, value_text(value, random), gap(random)


def _spaced(text, random):
    return gap(random) + text + gap(random)


_STRANGE = (
    b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\\ud800", b"\\u", b"1e999", b"NaN", b"null", b"\xff", b"\xc3",
    b"\x00", b"\n", b"\r\n", b" ", b"9" * 30, b"-", b".", b"\xef\xbb\xbf",
)  # fmt: skip


@st.composite
def damaged(draw, wires=None):
    """Bytes that somebody has been at: those of a JSON value, or of `wires`. They may still be whole."""
    if wires is None:
        raw = bytearray(value_text(draw(values), draw(st.randoms(use_true_random=False))).encode())
    else:
        raw = bytearray(draw(wires))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3) | st.sampled_from(_STRANGE))
    return bytes(raw)
