"""Text that must not be printed by accident."""

import re
from dataclasses import dataclass

_SHOWN_FROM = 20
"""A shorter secret is hidden whole: seven known characters would leave too little to guess."""
_SECRET_PARAMETER = re.compile(r"([?&;][^=&;]*(?:pass|secret|token|key|user)[^=&;]*=)[^&;#]*", re.IGNORECASE)


def mask(text: str) -> str:
    """`sk-…wxyz` for a long secret, `…` for a short one: enough to tell two keys apart."""
    return f"{text[:3]}…{text[-4:]}" if len(text) >= _SHOWN_FROM else "…"


def mask_url(text: str) -> str:
    """The URL without user, password and the query parameters that look like them.

    All up to the last `@` goes, since a password that was not percent-encoded may hold any other delimiter.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    _, at, place = rest.rpartition("@")
    return scheme + separator + ("…@" if at else "") + _SECRET_PARAMETER.sub(r"\1…", place)


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A credential. It prints masked; `reveal` is the only way to the text."""

    _text: str

    def reveal(self) -> str:
        return self._text

    def masked(self) -> str:
        return mask(self._text)

    def __str__(self) -> str:
        return self.masked()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.masked()!r})"


@dataclass(frozen=True, slots=True, repr=False)
class SecretUrl(Secret):
    """A URL that may carry a user and a password; it prints without them."""

    def masked(self) -> str:
        return mask_url(self._text)
