"""`openrouter_metadata`: how a request was routed, for callers who ask for it (wire-api, section 5.4).

Of what the reference names, `params` and `pipeline` are left out, since nothing of that kind is done, and `region` is
null: a gateway of one's own stands where one has put it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from fairlead.catalog.model import Endpoint

_NAMES = (b"x-openrouter-metadata", b"x-openrouter-experimental-metadata")
"""The second is the older one."""


def wants_metadata(fields: Mapping[bytes, bytes]) -> bool:
    """Whether the headers of a request ask for it."""
    return any(fields.get(name, b"").strip().lower() == b"enabled" for name in _NAMES)


class Tried(Protocol):
    """One attempt; `provider` is a slug, a `status` of 0 means none: `@openrouter/sdk` takes nothing but numbers."""

    provider: str
    status: int


@dataclass(slots=True)
class Routing:
    """What is known of a request's way, filled while it goes on."""

    candidates: Sequence[Endpoint] = ()
    """Who could have answered, in the order of preference."""
    selected: Endpoint | None = None
    """Who does."""

    def json(self, asked: str, attempts: Sequence[Tried], generation_s: float | None = None) -> bytes:
        """Return the object; `asked` is the model as the caller named it."""
        told: dict[str, object] = {
            "requested": asked,
            "strategy": self._strategy(asked),
            "region": None,
            "summary": self._summary(),
            "attempt": len(attempts),
            "is_byok": False,
            "endpoints": {
                "total": len(self.candidates),
                "available": [
                    {"provider": one.provider.name, "model": one.model.id, "selected": one is self.selected}
                    for one in self.candidates
                ],
            },
            "attempts": list(self._attempts(attempts)),
        }
        if generation_s is not None:
            told["generation_time"] = round(generation_s * 1000)
        return orjson.dumps(told)

    def _summary(self) -> str:
        selected = f", selected={self.selected.provider.name}" if self.selected is not None else ""
        return f"available={len(self.candidates)}{selected}"

    def _attempts(self, attempts: Sequence[Tried]) -> Iterable[dict[str, object]]:
        """Of one provider's endpoints, that of the model named first is asked first."""
        left = list(self.candidates)
        for attempt in attempts:
            found = next((one for one in left if one.provider.slug == attempt.provider), None)
            if found is not None:
                left.remove(found)
            yield {
                "provider": found.provider.name if found is not None else attempt.provider,
                "model": found.model.id if found is not None else "",
                "status": attempt.status,
            }

    def _strategy(self, asked: str) -> str:
        """Say in OpenRouter's words how the model was found."""
        base = asked.partition(":")[0]
        if base.rpartition("/")[2] in ("auto", "auto-beta"):
            return "auto"
        if base == "openrouter/free":
            return "free"
        if asked.startswith("~"):
            return "latest"
        served = self.selected.model.id if self.selected is not None else ""
        if served and served != self.candidates[0].model.id:
            return "fallback"
        return "alias" if served and served not in (asked, base) else "direct"
