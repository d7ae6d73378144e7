"""Changes of state in the fleet, counted: once, though every worker hears of them."""

from fairlead.health.record import Change, Why
from fairlead.telemetry import metrics
from fairlead.telemetry.heard import Heard
from fairlead.telemetry.meter import NONE, Meter

WITHIN_S = 30.0
"""In which all workers hear of a change: one that is that late has stood still."""


def count_change(meter: Meter, heard: Heard, change: Change) -> None:
    """Count a change that this worker has heard of, unless another has counted it."""
    # The epoch grows with each change but a cool-down, of which the next can follow when this one is over.
    within_s = min(WITHIN_S, 0.5 * change.seconds) if change.kind == "cooling" else WITHIN_S
    if not heard.is_first(f"{change.endpoint} {change.kind} {change.epoch} {change.why} {change.seconds}", within_s):
        return
    provider, _, model = change.endpoint.removeprefix("@").partition(":")
    labels = (provider, model or NONE)
    meter.count(metrics.TRANSITIONS, *labels, change.kind)
    if change.kind == "probing":
        meter.count(metrics.PROBES, *labels, "begun")
    elif change.kind == "recovered":
        meter.count(metrics.PROBES, *labels, "ok")
    elif change.kind == "ejected" and change.seconds <= 0.0:  # the probe has told nothing; the next may go at once
        meter.count(metrics.PROBES, *labels, "void")
    elif change.kind == "ejected":
        meter.count(metrics.EJECTIONS, *labels, Why(int(change.why)).name.lower())
        if change.why == Why.PROBE:
            meter.count(metrics.PROBES, *labels, "failed")
