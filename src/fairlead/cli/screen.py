"""The live view as lines of text, fitted to a terminal. Pure."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
"""An endpoint, as GET /admin/v1/endpoints tells of it."""

NONE = "–"
_GAP = "  "
_SHORTEST = 8
"""Characters to which a column that can be cut is cut at most, as long as it is there."""
_RED, _YELLOW, _DIM, _BOLD, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
_COLORS = {"ejected": _RED, "probing": _YELLOW, "cooling": _YELLOW}


@dataclass(frozen=True, slots=True)
class Column:
    """`rank`: the highest leave first when there is no room; 0 stays."""

    title: str
    text: Callable[[Row], str]
    rank: int = 0
    is_left: bool = False
    can_be_cut: bool = False


def percent(share: float | None) -> str:
    if share is None:
        return NONE
    return f"{share:.0%}" if share >= 0.1 or not share else f"{share:.1%}"


def milliseconds(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:.0f}ms" if value < 999.5 else f"{value / 1e3:.2f}s"


def duration(seconds: float) -> str:
    """Return a time that has passed or is left, to one unit."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    for limit, unit, size in ((99.5, "s", 1), (5970, "m", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds / 86_400:.0f}d"


def number(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}".removesuffix(".0")


def _state(row: Row) -> str:
    if row["unknown"] and row["state"] == "healthy":
        return "unused"
    left = f" {duration(row['seconds_left'])}" if row["seconds_left"] else ""
    why = f", {row['reason']}" if row["state"] == "cooling" else ""
    return f"{row['state']}{left}{why}"


def _last_ejection(row: Row) -> str:
    last = row["last_ejection"]
    return f"{duration(last['seconds_ago'])} ago: {last['why']}" if last else NONE


COLUMNS = (
    Column("model", lambda row: row["model"], is_left=True, can_be_cut=True),
    Column("provider", lambda row: row["provider"], is_left=True, can_be_cut=True),
    Column("state", _state, is_left=True),
    Column("p50", lambda row: milliseconds(row["first_token_ms"].get("p50"))),
    Column("p95", lambda row: milliseconds(row["first_token_ms"].get("p95")), 1),
    Column("tok/s", lambda row: number(row["tokens_per_s"]), 3),
    Column("errors", lambda row: percent(row["error_share"])),
    Column("cut", lambda row: percent(row["cut_share"]), 6),
    Column("in flight", lambda row: number(row["in_flight"]), 4),
    Column("per s", lambda row: number(row["attempts_per_s"]), 5),
    Column("share", lambda row: percent(row["share"]), 2),
    Column("last ejection", _last_ejection, 7, is_left=True, can_be_cut=True),
)


def selected(view: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return the view with those endpoints only whose model's name has `model` in it."""
    wanted = model.lower()
    return {**view, "endpoints": [row for row in view["endpoints"] if wanted in row["model"].lower()]}


def screen(
    view: Mapping[str, Any],
    events: Sequence[tuple[str, Row]] = (),
    *,
    title: str = "fairlead",
    width: int | None = None,
    height: int | None = None,
    use_color: bool = False,
) -> list[str]:
    """Return the lines of a screen: a summary, the table by model and share, the last events. None: no bound."""
    rows = sorted(view["endpoints"], key=lambda row: (row["model"], -(row["share"] or 0.0), row["provider"]))
    said = [event_line(kind, data) for kind, data in events]
    head = [_summary(view, title), ""]
    hidden = 0
    if height is not None:
        said = said[-max(0, height // 3 - 1) :] if height >= 6 else []
        room = max(1, height - len(head) - 1 - (len(said) + 1 if said else 0))
        if len(rows) > room:
            hidden = len(rows) - room + 1
            rows = rows[: len(rows) - hidden]
    body = _table(rows, width, use_color=use_color)
    if not rows:
        body = [_cut("No endpoint has been used within the last hour; --all shows those that could be.", width)]
    if hidden:
        body.append(_cut(f"… and {hidden} more: --model TEXT shows some of them", width))
    tail = ["", *said] if said else []
    return [_cut(line, width) for line in head] + body + [_cut(line, width) for line in tail]


def _summary(view: Mapping[str, Any], title: str) -> str:
    rows = view["endpoints"]
    well = sum(row["state"] == "healthy" for row in rows)
    rate = sum(row["attempts_per_s"] for row in rows)
    away = "   STORE AWAY: what one worker knows" if view["store"] != "ok" else ""
    at = _time(view["at"])
    return f"{title}   {at}   {well} of {len(rows)} endpoints healthy   {number(rate)} attempts/s{away}"


def event_line(kind: str, data: Row) -> str:
    """Return a change of state in words."""
    what = " ".join(str(data[name]) for name in ("endpoint", "count") if name in data)
    why = ", ".join(filter(None, (str(data.get("why") or ""), _for(data.get("seconds")))))
    return printable(f"{_time(data.get('at'))}  {kind:<9}  {what}  {why}".rstrip())


def _for(seconds: object) -> str:
    return f"for {duration(seconds)}" if isinstance(seconds, int | float) and seconds else ""


def _time(at_unix: object) -> str:
    if not isinstance(at_unix, int | float):
        return NONE
    return datetime.datetime.fromtimestamp(at_unix).astimezone().strftime("%H:%M:%S")


def _table(rows: Sequence[Row], width: int | None, *, use_color: bool) -> list[str]:
    cells = {column: [printable(column.text(row)) for row in rows] for column in COLUMNS}
    sizes = {column: max(map(len, [column.title, *cells[column]])) for column in COLUMNS}
    if width is not None:
        _fit(sizes, width)
    shown = list(sizes)
    head = _GAP.join(_padded(column.title, column, sizes[column]) for column in shown)
    lines = [_colored(_cut(head, width).rstrip(), _BOLD, use_color=use_color)]
    for place, row in enumerate(rows):
        line = _GAP.join(_padded(cells[column][place], column, sizes[column]) for column in shown)
        color = _DIM if row["unknown"] else ""
        color = _COLORS.get(row["state"], color)
        lines.append(_colored(_cut(line, width).rstrip(), color, use_color=use_color))
    return lines


def _fit(sizes: dict[Column, int], width: int) -> None:
    """Make room: cut what is long, leave out what matters least, cut more."""

    def over() -> int:
        return sum(sizes.values()) + len(_GAP) * (len(sizes) - 1) - width

    for column in sorted(sizes, key=lambda column: -column.rank):
        if column.can_be_cut and over() > 0:
            least = max(len(column.title), 2 * _SHORTEST)
            sizes[column] = min(sizes[column], max(least, sizes[column] - over()))
    for column in sorted(sizes, key=lambda column: -column.rank):
        if column.rank and over() > 0:
            del sizes[column]
    for column in sizes:
        if column.can_be_cut and over() > 0:
            sizes[column] = max(_SHORTEST, sizes[column] - over())


def _padded(text: str, column: Column, size: int) -> str:
    text = _cut(text, size)
    return text.ljust(size) if column.is_left else text.rjust(size)


def _cut(text: str, size: int | None) -> str:
    return text if size is None or len(text) <= size else f"{text[: max(size - 1, 0)]}…"


def printable(text: str) -> str:
    """Names come from providers and callers: none of them may speak to the terminal."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def _colored(text: str, color: str, *, use_color: bool) -> str:
    return f"{color}{text}{_PLAIN}" if use_color and color else text
