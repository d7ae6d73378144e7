"""`plan/routing.svg`: what the score makes of time, price, failures and news, asked of the code that scores."""

from random import Random
from types import SimpleNamespace

from docs.drawing import Panel, svg
from fairlead.health import sums as ix
from fairlead.health.estimate import Estimate, Prior, estimate
from fairlead.health.sums import LN2, decayed, zeros
from fairlead.plan.candidate import Candidate
from fairlead.plan.score import Ask, Crowd, Weights, expected_s, score

DRAWS = 2_000
MEASURED = Estimate(doubt=0.07)
"""Two hundred first tokens: what is well known."""
USUAL_S, SLOW_S = 0.3, 0.9
RATE = 10.0
"""Attempts per second of an endpoint that is in use."""


def share(seconds, price):
    """Of the traffic that one endpoint gets, at so many times the other's time and price."""
    rng, won = Random(7), 0
    pair = [_candidate(), _candidate()]
    for _ in range(DRAWS):
        score(pair, [seconds, 1.0], [price, 1.0], Ask().gamma, Crowd(1.0, 2.0, 2.0), Weights(), rng)
        won += pair[0].scored < pair[1].scored
    return won / DRAWS


def _candidate():
    health = SimpleNamespace(estimate=MEASURED, in_flight=0, sent_in_flight=0, waiting=(), sent_waiting=0)
    return Candidate(SimpleNamespace(provider=SimpleNamespace(ln_weight=0.0)), health)


def expected_at(failing):
    """Expected seconds of a request to an endpoint of which so many attempts fail, for as long as anybody knows."""
    sums = zeros()
    for index in (ix.A2, ix.A20):
        sums[index] = RATE * ix.HALF_LIVES_S[index] / LN2
    for index, attempts in ((ix.F2, ix.A2), (ix.F20, ix.A20)):
        sums[index] = failing * sums[attempts]
    _first_tokens(sums, (1.0 - failing) * RATE, USUAL_S)
    return expected_s(estimate(sums, Prior(USUAL_S)), Ask())


def _first_tokens(sums, rate, seconds):
    """Let them have come at that rate for ever."""
    for index in (ix.N1, ix.N5, ix.N20, ix.N120):
        sums[index] = rate * ix.HALF_LIVES_S[index] / LN2
    for index, count in ((ix.E1, ix.N1), (ix.E5, ix.N5), (ix.E20, ix.N20), (ix.E120, ix.N120), (ix.U120, ix.N120)):
        sums[index] = seconds * sums[count]


def believed(rate, seconds=20.0):
    """The first-token time that is expected, at each moment after it has tripled; `rate` first tokens per second."""
    sums = zeros()
    _first_tokens(sums, rate, USUAL_S)
    found, now = [(0.0, estimate(sums, Prior(USUAL_S)).first_token_s)], 0.0
    while now < seconds:
        now += 1.0 / rate
        sums = decayed(sums, 1.0 / rate)
        for index in (ix.N1, ix.N5, ix.N20, ix.N120):
            sums[index] += 1.0
        for index in (ix.E1, ix.E5, ix.E20, ix.E120, ix.U120):
            sums[index] += SLOW_S
        found.append((now, estimate(sums, Prior(USUAL_S)).first_token_s))
    return found


def picture(_=""):
    ratios = [0.5 + 0.05 * step for step in range(41)]
    one = Panel(56, 48, 240, 170, (0.5, 2.5), (0.0, 1.0))
    one.axes(
        "share of the traffic, beside another",
        "its time, as a multiple of the other's",
        [(0.5, "½"), (1.0, "1"), (1.5, "1½"), (2.0, "2"), (2.5, "2½")],
        [(0.0, "0"), (0.5, "50 %"), (1.0, "100 %")],
    )
    legend = (("a", 1.0, "as dear", 0.3), ("b", 0.5, "half", 0.2), ("c", 0.25, "a quarter", 0.1))
    for kind, price, name, height in legend:
        one.line([(ratio, share(ratio, price)) for ratio in ratios], kind)
        one.name(0.54, height, name, kind)
    two = Panel(366, 48, 200, 170, (0.0, 0.2), (0.0, 1.0))
    two.axes(
        "share, beside one that never fails",
        "attempts that fail",
        [(0.0, "0"), (0.05, "5 %"), (0.1, "10 %"), (0.2, "20 %")],
        [(0.0, "0"), (0.5, "50 %"), (1.0, "100 %")],
    )
    well_s = expected_at(0.0)
    two.line([(0.01 * step, share(expected_at(0.01 * step) / well_s, 1.0)) for step in range(21)], "a")
    three = Panel(640, 48, 220, 170, (0.0, 20.0), (0.0, 1.5))
    three.axes(
        "expected, when 0.3 s become 0.9 s",
        "seconds after the change",
        [(0.0, "0"), (5.0, "5"), (10.0, "10"), (20.0, "20")],
        [(0.0, "0"), (0.3, "0.3 s"), (0.9, "0.9 s"), (1.5, "1.5 s")],
    )
    for kind, rate, name, at in (("a", 10.0, "10 requests/s", (6.0, 1.2)), ("b", 1.0, "1 request/s", (9.0, 0.5))):
        three.line(believed(rate), kind)
        three.name(*at, name, kind)
    label = "How time, price, failures and a slow-down move the choice of an endpoint; the text below says it in words"
    return svg(890, 270, label, *one.parts, *two.parts, *three.parts)
