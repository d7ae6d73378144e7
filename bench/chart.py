"""Plain charts as SVG, readable on a light and on a dark page. Nothing is drawn that was not measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH = 760
_LABELS = 130
_ROW = 26
_OURS, _OTHERS, _TEXT, _FAINT = "#2a6fdb", "#8a94a6", "#6b7280", "#9ca3af"
_LINES = ("#2a6fdb", "#d9822b", "#2f9e6e", "#b5489a", "#8a94a6", "#a8563a", "#5c6ac4")


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; without a `value` only the `note` is shown in its place. `low` and `high` draw the range."""

    label: str
    value: float | None
    low: float = 0.0
    high: float = 0.0
    note: str = ""
    is_ours: bool = False


def bars(title: str, subtitle: str, rows: Sequence[Bar], digits: int = 0) -> str:
    """Horizontal bars on a logarithmic scale, since what is compared differs by powers of ten."""
    values = [value for row in rows if row.value for value in (row.value, row.low, row.high) if value > 0]
    first = math.floor(math.log10(0.8 * min(values))) if values else 0
    last = math.log10(max(values)) if values else 1.0
    room = _WIDTH - _LABELS - 200
    height = 64 + _ROW * len(rows)

    def along(value: float) -> float:
        share = (math.log10(max(value, 1e-9)) - first) / max(last - first, 1e-9)
        return _LABELS + room * min(max(share, 0.0), 1.0)

    parts = [_text(0, 16, title, size=15, weight="bold"), _text(0, 34, subtitle, fill=_FAINT)]
    for power in range(first, math.floor(last) + 1):
        x = along(10.0**power)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="46" y2="{height - 16}" stroke="{_FAINT}" opacity="0.3"/>')
        parts.append(_text(x, height - 3, f"{10.0**power:,g}", size=10, anchor="middle", fill=_FAINT))
    for place, row in enumerate(rows):
        y = 48 + _ROW * place
        parts.append(_text(_LABELS - 8, y + 14, row.label, anchor="end"))
        if row.value is None:
            parts.append(_text(_LABELS + 4, y + 14, row.note, fill=_FAINT))
            continue
        end, color = along(row.value), _OURS if row.is_ours else _OTHERS
        parts.append(
            f'<rect x="{_LABELS}" y="{y + 3}" width="{max(end - _LABELS, 1):.1f}" height="15" fill="{color}"/>'
        )
        low, high = along(row.low), along(row.high)
        parts.append(f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + 10}" y2="{y + 10}" stroke="{_TEXT}"/>')
        parts.append(_text(max(end, high) + 6, y + 14, f"{row.value:,.{digits}f} {row.note}".strip()))
    return _page(height, title, parts)


@dataclass(frozen=True, slots=True)
class Line:
    """Points that belong together."""

    label: str
    points: Sequence[tuple[float, float]]


def lines(title: str, subtitle: str, across: str, found: Sequence[Line], marked: float | None = None) -> str:
    """Lines over a common axis; `marked` is a place on it that deserves a rule: the value in use."""
    xs = sorted({x for line in found for x, _ in line.points})
    ys = [y for line in found for _, y in line.points]
    low, high = min(ys), max(ys)
    low, high = (low, high) if high - low > 1e-9 else (low - 0.5, high + 0.5)
    left, right, top, bottom = 60, _WIDTH - 150, 50, 230

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (right - left) * xs.index(x) / max(len(xs) - 1, 1), bottom - (bottom - top) * (y - low) / (
            high - low
        )

    parts = [_text(0, 16, title, size=15, weight="bold"), _text(0, 34, subtitle, fill=_FAINT)]
    for step in range(5):
        y = low + (high - low) * step / 4
        _, at = place(xs[0], y)
        parts.append(f'<line x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}" stroke="{_FAINT}" opacity="0.3"/>')
        parts.append(_text(left - 6, at + 4, f"{y:.3g}", size=10, anchor="end", fill=_FAINT))
    for x in xs:
        at, _ = place(x, low)
        parts.append(_text(at, bottom + 16, f"{x:g}", size=10, anchor="middle", fill=_FAINT))
        if x == marked:
            parts.append(
                f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{bottom}" stroke="{_TEXT}" stroke-dasharray="3 3"/>'
            )
    parts.append(_text((left + right) / 2, bottom + 34, across, anchor="middle"))
    for number, line in enumerate(found):
        color = _LINES[number % len(_LINES)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line.points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(_text(right + 14, top + 6 + 17 * number, line.label, fill=color))
    return _page(bottom + 44, title, parts)


def _text(
    x: float, y: float, text: str, *, size: int = 12, anchor: str = "start", fill: str = _TEXT, weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" font-weight="{weight}">'
        f"{escape(text)}</text>"
    )


def _page(height: float, title: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:g}" width="{_WIDTH}" '
        f'height="{height:g}" role="img" aria-label="{escape(title, quote=True)}" font-family="system-ui, sans-serif">'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"
