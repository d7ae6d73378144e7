"""The scorecard of a drill, for people and for machines. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from fairlead.config.settings import Settings
from fairlead.drill.expect import Wrong
from fairlead.drill.faults import WAYS, Fate
from fairlead.drill.run import Result

_RED, _GREEN, _BOLD, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[1m", "\x1b[0m"
_TITLES = {"stream": "stream", "plain": "no stream", "stream-alone": "stream, alone", "plain-alone": "no stream, alone"}
_BAR = 24
REPORT = "nothing: no setting leads to this; please report it with this scorecard"
SECOND = "the key of a second provider that serves the same models, so that there is somebody to go on with"


@dataclass(frozen=True, slots=True)
class Card:
    """The results; `notes` are what has to be said about them, `untried` the faults that could not be tried."""

    settings: Settings
    results: Sequence[Result]
    notes: Sequence[str] = ()
    untried: Sequence[str] = ()
    took_s: float = 0.0

    @property
    def has_pairs(self) -> bool:
        """Whether anywhere there was another provider to go on with."""
        return any(not result.row.is_alone for result in self.results)

    @property
    def has_passed(self) -> bool:
        return self.has_pairs and not any(result.wrongs for result in self.results)


def remedy(result: Result, settings: Settings) -> str:
    """Return what an operator can set so that a row passes."""
    row = result.row
    is_next = row.fault.fate(row.way) is Fate.FAILOVER and not row.is_alone
    if is_next and settings.max_attempts < 2:
        return "FAIRLEAD_MAX_ATTEMPTS=2 or more, so that another provider may be asked"
    if is_next and settings.timeouts.total_s <= 2 * row.timeouts.first_byte_s and row.fault.verdict == "timeout":
        return (
            "FAIRLEAD_TIMEOUT_TOTAL_S to more than twice FAIRLEAD_TIMEOUT_FIRST_BYTE_S, so that there is time for two"
        )
    return REPORT


def lines(card: Card, *, use_color: bool = False) -> list[str]:
    """Return the scorecard as lines of text."""
    marks: dict[str, dict[str, bool]] = {}
    for result in card.results:
        marks.setdefault(result.row.fault.name, {})[result.row.way] = not result.wrongs
    size = max(map(len, [*marks, "fault"]))
    head = "  ".join(["fault".ljust(size), *(_TITLES[way] for way in WAYS)])
    told = [_colored(head, _BOLD, use_color=use_color)]
    for name, ways in marks.items():
        cells = [_mark(ways.get(way), len(_TITLES[way]), use_color=use_color) for way in WAYS]
        told.append("  ".join([name.ljust(size), *cells]).rstrip())
    for result in card.results:
        if result.wrongs:
            told += ["", *_failure(result, card.settings)]
    if not card.has_pairs:
        told += ["", "no row could go on with another provider", f"  set: {SECOND}"]
    told += ["", *(f"note: {note}" for note in card.notes)]
    if card.untried:
        told.append(f"not tried: {', '.join(card.untried)}")
    passed = sum(not result.wrongs for result in card.results)
    told.append(f"{passed} of {len(card.results)} passed in {card.took_s:.0f} s")
    return told


def _mark(has_passed: bool | None, size: int, *, use_color: bool) -> str:
    if has_passed is None:
        return "–".ljust(size)
    word, color = ("ok", _GREEN) if has_passed else ("FAILED", _RED)
    return _colored(word, color, use_color=use_color) + " " * (size - len(word))


def _failure(result: Result, settings: Settings) -> list[str]:
    row = result.row
    told = [f"{row.fault.name} ({_TITLES[row.way]}; in the place of {row.provider.slug})"]
    told += [f"  {wrong.what}: expected {wrong.expected}, seen {wrong.seen}" for wrong in result.wrongs]
    return [*told, f"  set: {remedy(result, settings)}"]


def members(card: Card) -> dict[str, object]:
    """Return the scorecard as JSON has it."""
    return {
        "passed": card.has_passed,
        "seconds": round(card.took_s, 1),
        "rows": [_row(result, card.settings) for result in card.results],
        "gaps": [] if card.has_pairs else [asdict(Wrong("another provider", "one at least", "none")) | {"set": SECOND}],
        "notes": list(card.notes),
        "untried": list(card.untried),
    }


def _row(result: Result, settings: Settings) -> dict[str, object]:
    row, seen = result.row, result.seen
    return {
        "fault": row.fault.name,
        "way": row.way,
        "provider": row.provider.slug,
        "model": row.model,
        "passed": not result.wrongs,
        "status": seen.status if seen else None,
        "attempts": seen.verdicts if seen else [],
        "requests": seen.bad if seen else None,
        "end": seen.log.get("end") if seen else None,
        "cost_usd": seen.ledger.get("total_cost") if seen else None,
        "state": seen.endpoint.get("state") if seen else None,
        "wrong": [asdict(wrong) for wrong in result.wrongs],
        "set": remedy(result, settings) if result.wrongs else None,
    }


def progress(done: int, total: int, name: str, width: int) -> str:
    """Return a line that shows how far a drill is, for a terminal of so many columns."""
    full = _BAR * done // max(total, 1)
    return f"[{'#' * full}{'.' * (_BAR - full)}] {done}/{total} {name}"[: max(width - 1, 0)]


def _colored(text: str, color: str, *, use_color: bool) -> str:
    return f"{color}{text}{_PLAIN}" if use_color else text
