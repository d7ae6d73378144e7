"""Which traces are told: the samplers that OpenTelemetry has names for. Pure."""

from dataclasses import dataclass
from typing import Literal

from fairlead.telemetry.trace_context import SAMPLED, TraceParent

SamplerName = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]

_BY_PARENT = "parentbased_"
_LOTS = 1 << 64


@dataclass(frozen=True, slots=True)
class Sampler:
    """Decides once for each exchange. `ratio` (0 to 1) is what `traceidratio` takes of all."""

    name: SamplerName = "parentbased_always_on"
    ratio: float = 1.0

    def takes(self, trace_id: int, parent: TraceParent | None) -> bool:
        """Whether the exchange is told. By ratio it is as OpenTelemetry's SDKs draw: alike in every process."""
        if parent is not None and self.name.startswith(_BY_PARENT):
            return bool(parent.flags & SAMPLED)
        root = self.name.removeprefix(_BY_PARENT)
        if root == "traceidratio":
            return trace_id % _LOTS < round(self.ratio * _LOTS)
        return root == "always_on"
