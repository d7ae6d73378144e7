"""An endpoint that passed the filters, and what was found when it was weighed."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from fairlead.catalog.model import Endpoint
from fairlead.health.endpoint import EndpointHealth


class Terms(NamedTuple):
    """The parts of one candidate's score, in the order of the formula; the sum is the score. For the explanation."""

    score: float
    seconds: float
    """J, before logarithm."""
    price: float
    weight: float
    load: float
    draw: float


class Candidate(msgspec.Struct):
    """An endpoint that may be asked, and what is known of it. A Struct is made in a fifth of a dataclass' time."""

    endpoint: Endpoint
    health: EndpointHealth
    scored: tuple[float, float, float, float, float, float] | None = None
    note: str = ""
    """Why it comes first, if not for its score: `probe`, `look`, `sticky`."""
    adds: Mapping[str, bytes] | None = None
    """Members (JSON) that its request gets unless the caller has said them: by a variant, by `provider.options`."""

    @property
    def terms(self) -> Terms | None:
        """Of its score; None where there was nothing to choose."""
        return None if self.scored is None else Terms(*self.scored)
