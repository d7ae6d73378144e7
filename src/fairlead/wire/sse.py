"""Server-sent events, as far as they must be told apart without being parsed."""

import re

_COMMENTS = re.compile(rb"(?:(?::[^\r\n]*)?(?:\r\n|\r|\n))*+(?::[^\r\n]*)?")


def is_only_comments(data: bytes) -> bool:
    """Whether the beginning of a stream holds nothing but comments and empty lines: signs of life, not content."""
    return data[:1] in (b":", b"\r", b"\n", b"") and _COMMENTS.fullmatch(data) is not None
