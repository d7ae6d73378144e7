"""`plan/breaker.svg`: the states of an endpoint, and an outage as the code that judges it goes through it."""

from docs.drawing import Panel, svg, text
from fairlead.health.breaker import BreakerLimits, eject, grant, is_probe_due, recover
from fairlead.health.record import Record, State, Why

LIMITS = BreakerLimits()
OUTAGE_S = 20.0
STEP_S = 0.05
PROBE_S = 0.4
"""What a probe takes that fails."""
MOST_S = 32.0
COLOURS = {State.HEALTHY: "good", State.EJECTED: "bad", State.PROBING: "asked"}


def outage():
    """Spans of time with the state in them: (from, to, state). It fails from 2 s on, for `OUTAGE_S`."""
    record, spans, since, now = Record(born=1.0, at=0.0), [], 0.0, 0.0
    while now < MOST_S:
        before = State(int(record.state))
        _go_on(record, now, since, is_failing=2.0 <= now < 2.0 + OUTAGE_S)
        if record.state != before:
            spans.append((since, now, before))
            since = now
        now = round(now + STEP_S, 6)
    return [*spans, (since, MOST_S, State(int(record.state)))]


def _go_on(record, now, since, *, is_failing):
    """Do what is due at `now`, in a state that began at `since`."""
    if record.state == State.HEALTHY and is_failing:
        eject(record, Why.IN_A_ROW, now, 0.0, LIMITS)
    elif record.state == State.EJECTED and is_probe_due(record, now):
        grant(record, now, LIMITS)
    elif record.state == State.PROBING and now >= since + PROBE_S:
        if is_failing:
            eject(record, Why.PROBE, now, 0.0, LIMITS)
        else:
            recover(record, now, LIMITS)


def _box(x, name, said, kind):
    return [
        f'<rect class="box" x="{x}" y="46" width="150" height="60" rx="8"/>',
        f'<circle class="{kind}" cx="{x + 16}" cy="68" r="5"/>',
        text(x + 28, 72, name, "title"),
        text(x + 14, 94, said, "quiet"),
    ]


def states():
    return [
        *_box(30, "HEALTHY", "gets its share", "good"),
        *_box(370, "EJECTED", f"nothing, for {LIMITS.min_s:g} to {LIMITS.max_s:g} s", "bad"),
        *_box(690, "PROBING", "one request", "asked"),
        '<path class="arrow" d="M180 66H366"/>',
        text(273, 24, f"{LIMITS.in_a_row:g} failures in a row · {LIMITS.share:.0%} of attempts fail", "middle"),
        text(273, 40, f"replies broken off · first tokens {LIMITS.slow_factor:g} × slower", "middle"),
        '<path class="arrow" d="M520 66H686"/>',
        text(603, 38, "time is over:", "middle"),
        text(603, 54, "one lease in the fleet", "middle"),
        '<path class="arrow" d="M690 92H524"/>',
        text(607, 110, "it fails: twice as long", "middle"),
        '<path class="arrow" d="M765 106V136H105V110"/>',
        text(435, 131, "it succeeds", "middle"),
    ]


def picture(_=""):
    panel = Panel(40, 196, 810, 26, (0.0, MOST_S), (0.0, 1.0))
    title = f"An outage of {OUTAGE_S:g} s, from 2 s on: each probe that fails doubles the rest"
    seconds = range(0, int(MOST_S) + 1, 4)
    parts = [text(panel.at(second, 0.0)[0], 240, f"{second} s", "quiet middle") for second in seconds]
    for begins, ends, state in outage():
        (left, top), (right, _bottom) = panel.at(begins, 1.0), panel.at(ends, 0.0)
        width = max(right - left - 1.0, 1.0)
        parts.append(
            f'<rect class="{COLOURS[state]}" x="{left:.1f}" y="{top:g}" width="{width:.1f}" height="26" rx="2"/>'
        )
    label = "The states of an endpoint, healthy, ejected, probing, and how it goes through them in an outage"
    return svg(890, 256, label, *states(), text(40, 184, title, "title"), *parts)
