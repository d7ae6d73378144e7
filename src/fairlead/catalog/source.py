"""Where the catalogue's endpoints come from."""

from dataclasses import dataclass

from fairlead.catalog.model import Provider


@dataclass(frozen=True, slots=True)
class Source:
    """A provider that is on. `declared` (canonical id, upstream id) is the operator's word, and ends all questions."""

    provider: Provider
    declared: tuple[tuple[str, str], ...] | None = None
    is_discoverable: bool = True
