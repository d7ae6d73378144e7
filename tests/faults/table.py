"""The matrix as a table for people: `PYTHONPATH=tests python -m faults.table > tests/faults/README.md`."""

from .matrix import BREAKS, CONNECTION, CONTENT, SILENCE, STATUSES, Fate

HEAD = """# What becomes of a request when its provider fails

Each line is tested four times on a real gateway: by stream and not, with another provider behind the faulty one and
without (`tests/faults/test_matrix.py`). This page is made from the same lines (`tests/faults/matrix.py`).

- *next*: the caller gets the next provider's answer and notices nothing; if there is no other, the error named last.
- *refused*: the caller gets the refusal, since every provider would say the same.
- *broken*: the caller gets the beginning, then an error with `finish_reason: "error"`, and no `[DONE]`.
- *told*: the caller gets the beginning, then the provider's own error event as it came, without a finish reason.
- *torn*: the caller gets the beginning, then the connection breaks: half an event cannot be taken back.
- *whole*: the caller gets the answer.

*On record* is the verdict on the attempt (`src/fairlead/health/outcome.py`), where the reply has not been broken, told
or torn: that is `cut`.
"""
_COLUMNS = "| fault | stream | no stream | on record | error if alone |"
_PARTS = {
    "The connection": CONNECTION,
    "Silence": SILENCE,
    "Replies that break off": BREAKS,
    "Replies that are wrong": CONTENT,
    "Refusals": STATUSES,
}
_WORDS = {
    Fate.FAILOVER: "next",
    Fate.REFUSED: "refused",
    Fate.BROKEN: "broken",
    Fate.TOLD: "told",
    Fate.TORN: "torn",
    Fate.WHOLE: "whole",
}


def page():
    lines = [HEAD]
    for title, faults in _PARTS.items():
        lines += [
            f"## {title}\n",
            "| fault | stream | no stream | on record | error if alone |",
            "|---|---|---|---|---|",
        ]
        for fault in faults:
            fates = {fault.stream, fault.plain}
            error = f"{fault.status} `{fault.error_type}`" if fates & {Fate.FAILOVER, Fate.REFUSED} else ""
            lines.append(
                f"| {fault.name} | {_WORDS[fault.stream]} | {_WORDS[fault.plain]} | {fault.verdict} | {error} |"
            )
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - that is what it is for
