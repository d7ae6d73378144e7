"""The matrix as a table for people: `PYTHONPATH=tests:src python -m faults.table > tests/faults/README.md`."""

from fairlead.drill.faults import PARTS, Fate

HEAD = """# What becomes of a request when its provider fails

Each line is tested four times on a real gateway: by stream and not, with another provider behind the faulty one and
without (`tests/faults/test_matrix.py`). This page is made from the same lines (`src/fairlead/drill/faults.py`), which
`fairlead drill` tries on a configuration of one's own.

*Stream* and *no stream*: what the caller gets, and what the ledger and the log keep of it.

| word | the caller gets | the ledger and the log keep |
|---|---|---|
| next | the next provider's answer, and notices nothing; if there is no other, the error named last | both attempts, `ok`, its cost; alone: one attempt, `error`, no cost |
| all | the error named last: the other provider has the fault too | both attempts, `error`, no cost |
| refused | the refusal, since every provider would say the same (a content filter's can be routed around: `FAIRLEAD_FALLBACK_ON_CONTENT_FILTER`) | one attempt, `error`, no cost |
| broken | the beginning, then an error with `finish_reason: "error"`, and no `[DONE]` but on /api/v1, which has it after errors too | one attempt, `cut`, the cost of what came |
| told | the beginning, then the provider's own error event as it came, without a finish reason | the same |
| torn | the beginning, then the connection breaks: half an event cannot be taken back | the same |
| whole | the answer | one attempt, `ok`, its cost |
| blind | the bytes as they came, in an encoding that nobody asked for and that is not read along (gzip and deflate are, and passed on plain) | one attempt, `ok`, a cost reckoned from their number |

*Verdict*: on the attempt, in log and ledger (`src/fairlead/health/outcome.py`), where the reply has not been broken,
told or torn: that is `cut`. *Breaker*: what the attempt counts as, by stream and without if they differ: a *failure*
(before content), a *break* (after it), or nothing (–); five in a row eject an endpoint. *Cools down*: who gets no
traffic for how long, the endpoint or the provider's whole account. *Asked*: requests that reach the faulty provider.
"""  # noqa: E501 - rows of a table
COLUMNS = ("fault", "stream", "no stream", "verdict", "breaker", "cools down", "asked", "error if alone")
_WORDS = {
    Fate.FAILOVER: "next",
    Fate.REFUSED: "refused",
    Fate.BROKEN: "broken",
    Fate.TOLD: "told",
    Fate.TORN: "torn",
    Fate.WHOLE: "whole",
    Fate.BLIND: "blind",
}
_CUT = (Fate.BROKEN, Fate.TOLD, Fate.TORN)


def page():
    lines = [HEAD]
    for title, faults in PARTS.items():
        lines += [f"## {title}\n", _row(COLUMNS), _row(["---"] * len(COLUMNS)).replace(" ", "")]
        lines += [_row(_cells(fault)) for fault in faults]
        lines.append("")
    return "\n".join(lines)


def _row(cells):
    return f"| {' | '.join(cells)} |"


def _cells(fault):
    fates = {fault.stream, fault.plain}
    error = f"{fault.status} `{fault.error_type}`" if fates & {Fate.FAILOVER, Fate.REFUSED} else ""
    return [
        fault.name,
        _word(fault, fault.stream),
        _word(fault, fault.plain),
        "ok" if fates <= {Fate.WHOLE, Fate.BLIND, *_CUT} and fault.plain not in _CUT else fault.verdict,
        _breaker(fault),
        _cool(fault),
        str(fault.requests),
        error,
    ]


def _word(fault, fate):
    return "all" if fault.is_everywhere else _WORDS[fate]


def _breaker(fault):
    counted = [_counted(fault, fault.stream), _counted(fault, fault.plain)]
    return counted[0] if counted[0] == counted[1] else ", ".join(counted)


def _counted(fault, fate):
    verdict = "cut" if fate in _CUT else "ok" if fate in (Fate.WHOLE, Fate.BLIND) else fault.verdict
    return fault.counts(verdict).replace("nothing", "–")


def _cool(fault):
    if (cool := fault.cools(fault.verdict)) is None:
        return "–"
    return f"{'account' if cool.is_account else 'endpoint'}, {cool.seconds:g} s"


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - that is what it is for
