"""Every error of ours, one tree.

    FairleadError
    ├── ConfigError            the operator: a setting is missing or wrong; the text names the remedy
    ├── ApiError               the caller: answered with `status` in the caller's dialect
    ├── ClientGone             the caller left; nobody's failure, answered to nobody
    ├── Unreadable             the store holds what no fairlead has written; the text says where, and the remedy
    └── UpstreamError          the provider's side of one attempt
        ├── ConnectError       no connection: DNS, refused, reset, TLS, proxy; the request was not sent
        ├── ConnectionsUsed    as many connections there as a worker may have are in use; nothing was asked of it
        ├── StaleConnection    a kept connection had died; no byte of the request can have been acted on
        ├── UpstreamTimeout    `phase` says which limit ran out
        ├── ProtocolError      what came back is not HTTP, or breaks our limits
        ├── Oversize           the reply has more than is held of one that has to be
        ├── Truncated          the reply ended before its framing, or it itself, said so
        └── Diverged           asked again after a break, the answer was another one

Library errors are translated where the socket is read (`upstream/`), nowhere else.
"""

from collections.abc import Mapping
from typing import Literal

Phase = Literal["connect", "first_byte", "idle", "total"]


class FairleadError(Exception):
    """Base of the tree."""


class ConfigError(FairleadError):
    """A setting is missing or wrong. The message names the setting, its value and what to do."""


class ApiError(FairleadError):
    """The request cannot be served as it is; `status` and the text go to the caller.

    `error_type` is the vocabulary of OpenRouter's `error.metadata.error_type`; `param` names the offending member of
    the body; `headers` are added to the reply (`retry-after`, `allow`); `availability` is OpenRouter's object of that
    name, of errors that say who could not answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error_type: str = "invalid_request",
        param: str | None = None,
        metadata: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        availability: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.error_type = error_type
        self.param = param
        self.metadata = metadata or {}
        self.headers = headers or {}
        self.availability = availability


class ClientGone(FairleadError):
    """The caller closed its connection before the reply was complete."""


class Unreadable(FairleadError):
    """The store holds what no fairlead has written. The text names the place, and how to be rid of it."""


class UpstreamError(FairleadError):
    """One attempt failed on the provider's side, before or during its reply."""


class ConnectError(UpstreamError):
    """No usable connection could be made, so nothing of the request was sent."""


class ConnectionsUsed(UpstreamError):
    """No connection became free in time: a limit of ours, and no fault of the provider's, which has heard nothing."""

    def __init__(self, authority: str, most: int) -> None:
        super().__init__(
            f"all {most} connections of this worker to {authority} are in use: raise FAIRLEAD_UPSTREAM_MAX_CONNECTIONS,"
            " or start more workers"
        )


class StaleConnection(UpstreamError):
    """A pooled connection turned out to be closed before the first byte of a reply.

    Raised only when the peer had closed before it can have read the request, so that sending it again is safe.
    """


class UpstreamTimeout(UpstreamError):
    """A time limit of the attempt ran out."""

    def __init__(self, phase: Phase, limit_s: float) -> None:
        super().__init__(f"{phase.replace('_', ' ')} time limit of {limit_s:g} s ran out")
        self.phase: Phase = phase
        self.limit_s = limit_s


class ProtocolError(UpstreamError):
    """The reply is not valid HTTP/1.1, or larger than our limits allow."""


class Oversize(UpstreamError):
    """Of a reply that has to be held whole there is more than that. The caller may have asked for so much."""


class Truncated(UpstreamError):
    """The reply ended before it was complete, by its framing or by what a stream says of itself."""


class Diverged(UpstreamError):
    """Asked again for a reply that had broken off, the model gave another answer: no fault of its provider's."""
