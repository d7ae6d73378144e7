"""What endpoints turn out not to understand: by which name they take the limit on a reply's length.

OpenAI's reasoning models refuse `max_tokens`, many others `max_completion_tokens` (wire-api, section 15.3). Of built-in
providers it is known (`catalog/dialects.py`); of the rest the refusal tells. It is not the caller's business: the
request is sent again by the other name, and the next ones are right at once.
"""

import re
from dataclasses import replace

from fairlead.catalog.dialects import Dialect, OutputLimit
from fairlead.wire.request import ChatRequest

MOST = 10_000
"""Endpoints remembered."""

_NAMES: tuple[OutputLimit, OutputLimit] = ("max_tokens", "max_completion_tokens")
_NAMED = re.compile(r"\bmax_(?:completion_)?tokens\b")
_UNKNOWN = re.compile(
    r"unsupported|(not|n't) supported|not permitted|extra_forbidden|extra inputs|unrecogni[sz]ed|unknown (param|field)",
    re.IGNORECASE,
)


class LearnedLimits:
    """What one worker has learned, by endpoint id."""

    def __init__(self) -> None:
        self.names: dict[str, OutputLimit] = {}

    def learn(self, endpoint_id: str, name: OutputLimit) -> None:
        """It has taken a request with the limit by that name, after it had refused one with the other."""
        if len(self.names) < MOST or endpoint_id in self.names:
            self.names[endpoint_id] = name


class RenamedLimits:
    """For the attempts of one request: what has been learned, and what is being tried.

    A caller can write what a provider then quotes; so nothing is learned from a refusal, but from the success after it.
    """

    __slots__ = ("_learned", "_tried")

    def __init__(self, learned: LearnedLimits) -> None:
        self._learned = learned
        self._tried: dict[str, OutputLimit] | None = None

    def applied(self, dialect: Dialect, endpoint_id: str) -> Dialect:
        """Return the dialect with what is known, or supposed, of an endpoint."""
        name = (self._tried or {}).get(endpoint_id) or self._learned.names.get(endpoint_id)
        return dialect if name is None else replace(dialect, output_limit=name)

    def try_other(self, endpoint_id: str, dialect: Dialect, request: ChatRequest, status: int, text: str) -> bool:
        """Take in a refusal; return whether it was for the name, so that the request may go again by the other one.

        `text`: the provider's error code, message and parameter. Only what was sent can have been refused, and each
        endpoint is asked again once.
        """
        if status not in (400, 422) or endpoint_id in (self._tried or ()):
            return False
        said = [name for name in _NAMES if request.has(name)]
        named = _NAMED.search(text)
        if not said or named is None:
            return False
        sent = self.applied(dialect, endpoint_id).output_limit or said[-1]
        if named[0] != sent:
            return False
        if _UNKNOWN.search(text) is None:
            return False
        self._tried = {**(self._tried or {}), endpoint_id: _NAMES[sent == _NAMES[0]]}
        return True

    def confirm(self, endpoint_id: str) -> None:
        """The endpoint has content to give."""
        if self._tried is not None and endpoint_id in self._tried:
            self._learned.learn(endpoint_id, self._tried[endpoint_id])
