"""Bodies of chat requests that are no honest JSON, or JSON at its edges, as data.

`REFUSED`: the body, and words of the refusal. `PASSED`: the body, which goes to the provider byte for byte but for the
model's name.
"""

import codecs

MESSAGES = b'"messages": [{"role": "user", "content": "hello"}]'
DEPTH = 100_000


def chat(members=b"", messages=MESSAGES, model=b'"model": "lab/m"'):
    return b"{" + b", ".join(filter(None, (model, messages, members))) + b"}"


def said(text):
    """What the user says, as JSON."""
    return chat(messages=b'"messages": [{"role": "user", "content": ' + text + b"}]")


DEEP = {
    "lists": b"[" * DEPTH + b"]" * DEPTH,
    "objects": b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
    "both": b'[{"a":' * DEPTH + b"1" + b"}]" * DEPTH,
    "lists without an end": b"[" * DEPTH,
}
TOO_DEEP = "nested too deeply"
NO_JSON = "not valid JSON"
NO_UTF8 = "not valid UTF-8"

REFUSED = {
    # nesting
    **{f"{kind}, {DEPTH} deep, in {place}": (chat(b'"%b": ' % place.encode() + deep), TOO_DEEP)
       for kind, deep in DEEP.items()
       for place in ("x", "provider", "plugins", "stream_options", "debug", "tools", "n", "max_tokens", "preset")},
    "deep messages": (chat(messages=b'"messages": ' + DEEP["lists"]), TOO_DEEP),
    "deep content": (said(DEEP["both"]), TOO_DEEP),
    "nothing but depth": (DEEP["objects"], TOO_DEEP),
    # what is no text
    **{f"no UTF-8: {bad!r}": (chat(model=b'"model": "lab/' + bad + b'"'), NO_UTF8)
       for bad in (b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80")},
    "no UTF-8 in a name": (chat(b'"\xff": 1'), NO_UTF8),
    "lone surrogate": (chat(model=b'"model": "lab/\\ud800"'), NO_JSON),
    "low surrogate first": (chat(model=b'"model": "\\udc00\\ud800"'), NO_JSON),
    "lone surrogate in a name": (chat(b'"\\ud800": 1'), NO_JSON),
    "high surrogate and no escape": (chat(model=b'"model": "\\ud800x"'), NO_JSON),
    "escape that there is not": (chat(model=b'"model": "\\x41"'), NO_JSON),
    "half an escape": (chat(model=b'"model": "\\u00'), NO_JSON),
    "control character": (chat(model=b'"model": "lab\n/m"'), NO_JSON),
    "NUL in a string": (chat(model=b'"model": "lab\x00/m"'), NO_JSON),
    # byte order marks, and other encodings
    "mark of UTF-8": (codecs.BOM_UTF8 + chat(), "byte order mark"),
    "UTF-16": (chat().decode().encode("utf-16"), "byte order mark"),
    "UTF-16, big end first": (codecs.BOM_UTF16_BE + chat().decode().encode("utf-16-be"), "byte order mark"),
    "UTF-32": (chat().decode().encode("utf-32"), "byte order mark"),
    "UTF-16 without a mark": (chat().decode().encode("utf-16-le"), NO_JSON),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", NO_JSON),
    # what other parsers take for JSON
    **{f"{member} is {value.decode()}": (chat(b'"%b": %b' % (member.encode(), value)), NO_JSON)
       for member in ("temperature", "max_tokens", "x")
       for value in (b"NaN", b"Infinity", b"-Infinity", b"nan", b"01", b"+1", b".5", b"1.", b"0x1", b"1_0", b"None",
                     b"undefined", b"True", b"'x'", b"`x`")},
    "comma at the end": (chat()[:-1] + b",}", NO_JSON),
    "comma at the end of a list": (chat(b'"x": [1,]'), NO_JSON),
    "comment": (chat(b'/* "stream": true, */ "x": 1'), NO_JSON),
    "line comment": (chat() + b" // behind", NO_JSON),
    "name without quotes": (chat(b"x: 1"), NO_JSON),
    "two objects": (chat() * 2, NO_JSON),
    "half an object": (chat()[:-1], NO_JSON),
    "half a string": (chat()[:-20], NO_JSON),
    "NUL behind": (chat() + b"\x00", NO_JSON),
    "vertical tab for white space": (b"\x0b" + chat(), NO_JSON),
    "no-break space for white space": ("\xa0".encode() + chat(), NO_JSON),
    "nothing": (b"", "empty"),
    "white space": (b" \r\n\t", "empty"),
    **{f"just {value.decode()}": (value, "must be a JSON object") for value in (b"null", b"1", b"[]", b'"x"', b"true")},
    "a list of it": (b"[" + chat() + b"]", "must be a JSON object"),
    # names that stand twice
    "two models": (chat(b'"model": "lab/m"'), "'model' more than once"),
    "two models, of which one is escaped": (chat(b'"mod\\u0065l": "good/m"'), "'model' more than once"),
    "two lists of messages": (chat(MESSAGES), "'messages' more than once"),
    "two unknown members": (chat(b'"x": 1, "x": 2'), "'x' more than once"),
    "two switches": (chat(b'"stream": false, "stream": true'), "'stream' more than once"),
    # types, and sizes
    "model is a number": (chat(model=b'"model": 1'), "'model' is wrong"),
    "model is a list": (chat(model=b'"model": ["lab/m"]'), "'model' is wrong"),
    "model is nothing": (chat(model=b'"model": null'), "'model' is required"),
    "no messages": (chat(messages=b""), "'messages' is required"),
    "messages are an object": (chat(messages=b'"messages": {}'), "'messages' must be a list"),
    "messages are a string": (chat(messages=b'"messages": "hello"'), "'messages' must be a list"),
    "stream is a string": (chat(b'"stream": "true"'), "'stream' is wrong"),
    "limit of 5 000 digits": (chat(b'"max_tokens": ' + b"9" * 5_000), "'max_tokens' is wrong"),
    "limit below 0": (chat(b'"max_tokens": -1'), "'max_tokens' is wrong"),
    "limit with a fraction": (chat(b'"max_tokens": 1.5'), "'max_tokens' is wrong"),
    "limit beyond any float": (chat(b'"max_tokens": 1e400'), "'max_tokens' is wrong"),
    "a long name of a model": (chat(model=b'"model": "' + b"x" * 300 + b'"'), "more than 256 characters"),
    "many models": (chat(b'"models": [' + b", ".join(b'"m%d"' % n for n in range(50)) + b"]"), "more than 32 models"),
    "preferences of 10 000 providers": (
        chat(b'"provider": {"order": [' + b", ".join([b'"good"'] * 10_000) + b"]}"), "'provider' is wrong"
    ),
}  # fmt: skip

PASSED = {
    "escapes of any kind": said(b'"\\u0068\\u00E9\\ud83d\\ude00\\/\\b\\f\\n\\r\\t\\"\\\\"'),
    "NUL that is escaped": said(b'"\\u0000"'),
    "line ends of Unicode": said('"\x85\u2028\u2029"'.encode()),
    "what is no character": said('"\uffff\U0010ffff"'.encode()),
    "numbers of any size": chat(b'"seed": 123456789012345678901234567890, "x": -0.0, "y": 1E-2, "z": 1e308'),
    "white space of any kind": b" \r\n\t" + chat(b'"x"\t:\r\n[ ]') + b"\r\n",
    "a name twice further in": said(b'"hello", "content": "hello"'),
    "names from the wrong language": chat(b'"__proto__": {"x": 1}, "constructor": 1, "__class__": "x"'),
    "an empty name": chat(b'"": 1'),
    "a body within a body": said(b'"{\\"model\\": \\"good/m\\", \\"messages\\": []}"'),
    "a key within a body": said(b'"Authorization: Bearer sk-x\\r\\n\\r\\nPOST / HTTP/1.1\\r\\n\\r\\n"'),
    "nesting that can be borne": chat(b'"x": ' + b"[" * 200 + b"]" * 200),
}
