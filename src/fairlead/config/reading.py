"""Find a setting, convert it, remember where it came from, and note what is wrong."""

from dataclasses import dataclass, field
from typing import TypeVar

from fairlead.config.kinds import Kind, Unfit
from fairlead.config.sources import Sources, printable, quote

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a variable comes to, for people: secrets are masked."""

    value: str
    source: str
    """`flag`, `environment`, `.env`, `FAIRLEAD_CONFIG file` or `default`; the first four may go on with
    ` file /path (NAME_FILE)` or, when an alias gave the value, with ` (ALIAS)`."""


@dataclass(slots=True)
class Reader:
    """Reads variables one by one; problems gather in `sources.problems`."""

    sources: Sources
    origins: dict[str, Origin] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)
    """Variables that are set, but not to anything that can be used."""

    def read(
        self, variable: str, kind: Kind[T], *, example: str, aliases: tuple[str, ...] = (), is_file_allowed: bool = True
    ) -> T | None:
        """The converted value; None when it is not set, or wrong and now among the problems."""
        found = self.sources.find(variable, *aliases, is_file_allowed=is_file_allowed)
        if found is None:
            return None
        shown = kind.mask(found.text) if kind.mask else found.text.strip()
        try:
            value = kind.convert(found.text)
        except Unfit as unfit:
            self.wrong.add(variable)
            self.problem(f"{variable}={quote(shown)} ({found.source}): {unfit}; for example {variable}={example}")
            return None
        self.origins[variable] = Origin(printable(shown), found.source)
        return value

    def is_set(self, variable: str) -> bool:
        """Whether `variable` was read and found good."""
        return variable in self.origins

    def problem(self, text: str) -> None:
        self.sources.problems.append(text)

    def told(self, variable: str) -> str:
        """`FAIRLEAD_PORT="8420" (environment)`, to begin a problem with a value that was good by itself."""
        origin = self.origins.get(variable)
        return variable if origin is None else f'{variable}="{origin.value}" ({origin.source})'
