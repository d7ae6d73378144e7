"""What a caller saw and what the gateway wrote down, held against what the matrix says. Pure."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from fairlead.drill.faults import BAD_TEXT, GOOD_TEXT, Fate, Fault

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that was not as it is to be."""

    what: str
    expected: str
    seen: str


@dataclass(slots=True)
class Seen:
    """One request: the reply as it came, its line in the log, its entry in the ledger, the endpoint afterwards.

    `slug` is of the faulty provider, `id` the generation's. `endpoint` is its row of GET /admin/v1/endpoints, `cooling`
    the log's lines of what has cooled down, `bad` and `good` how many requests reached the faulty provider and others.
    """

    slug: str
    status: int
    body: bytes
    is_torn: bool = False
    id: str = ""
    encoding: str = ""
    log: Row = field(default_factory=dict)
    ledger: Row = field(default_factory=dict)
    endpoint: Row = field(default_factory=dict)
    cooling: list[Row] = field(default_factory=list)
    bad: int = 0
    good: int = 0

    @property
    def content(self) -> bytes:
        """The body as a client reads it; raises ValueError for one that cannot be: nobody asked for an encoding."""
        if self.encoding:
            raise ValueError(f"encoded unasked: {self.encoding}")
        return self.body

    @property
    def events(self) -> list[Row]:
        """Those that can be read; of one that is torn nothing can."""
        found = []
        for line in self.content.split(b"\n\n"):
            with contextlib.suppress(ValueError):
                found.append(orjson.loads(line.removeprefix(b"data: ")))
        return [event for event in found if isinstance(event, dict)]

    @property
    def choices(self) -> list[Row]:
        return [choice for event in self.events for choice in event.get("choices", [])]

    @property
    def is_done(self) -> bool:
        return b"[DONE]" in self.content

    @property
    def text(self) -> str:
        """What of the answer can be read, of the first choice."""
        with contextlib.suppress(ValueError, KeyError):
            return str(orjson.loads(self.content)["choices"][0]["message"]["content"])
        return "".join(choice["delta"].get("content") or "" for choice in self.choices if choice["index"] == 0)

    @property
    def finish_reasons(self) -> set[str]:
        return {choice["finish_reason"] for choice in self.choices if choice.get("finish_reason")}

    @property
    def error(self) -> tuple[int, int, str]:
        """Status, and of the error code and type: in a body of its own, or behind signs of life in a stream."""
        told: Row = {}
        with contextlib.suppress(ValueError, AttributeError):
            told = orjson.loads(self.body).get("error", {})
        is_early = not told and self.status == 200 and self.body.startswith(b":")
        if is_early and self.events and not self.text:
            told = self.events[-1].get("error", {})
        code = told.get("code", 0)
        return code if is_early else self.status, code, told.get("metadata", {}).get("error_type", "")

    @property
    def verdicts(self) -> list[str]:
        return [attempt["verdict"] for attempt in self.log.get("attempts", ())]


class _Check:
    def __init__(self) -> None:
        self.wrongs: list[Wrong] = []

    def same(self, what: str, seen: object, expected: object) -> None:
        if seen != expected:
            self.wrongs.append(Wrong(what, str(expected), str(seen)))


def wrongs(fault: Fault, way: str, seen: Seen) -> list[Wrong]:
    """Return what of a row is not as it is to be; nothing if it has passed."""
    check, fate, is_alone = _Check(), fault.fate(way), "alone" in way
    is_next = fate is Fate.FAILOVER and not is_alone
    if is_next and not fault.is_everywhere:
        _next(check, fault, seen)
    elif fate in (Fate.FAILOVER, Fate.REFUSED):
        _error(check, fault, seen, 2 if is_next else 1)
    elif fate is Fate.BLIND:
        _blind(check, seen)
    elif fate is Fate.WHOLE:
        _whole(check, fault, seen, is_stream="stream" in way)
    else:
        _begun(check, fault, fate, seen)
    check.same("requests that reached the provider", seen.bad, fault.requests)
    # The other has the same fault: what reaches the one reaches the other.
    check.same("requests that reached others", seen.good, (fault.requests if fault.is_everywhere else 1) * is_next)
    _written(check, seen)
    _health(check, fault, seen)
    return check.wrongs


def _next(check: _Check, fault: Fault, seen: Seen) -> None:
    check.same("status", seen.status, 200)
    if seen.status == 200:
        check.same("answer", seen.text, GOOD_TEXT)
    check.same("attempts", seen.verdicts, [fault.verdict, "ok"])
    check.same("end on record", seen.log.get("end"), "ok")


def _error(check: _Check, fault: Fault, seen: Seen, attempts: int) -> None:
    check.same("error", seen.error, (fault.status, fault.status, fault.error_type))
    check.same("attempts", seen.verdicts, [fault.verdict] * attempts)
    check.same("cost", seen.log.get("cost_usd", 0), 0)
    check.same("end on record", seen.log.get("end"), "error")


def _begun(check: _Check, fault: Fault, fate: Fate, seen: Seen) -> None:
    check.same("status", seen.status, 200)
    check.same("attempts", seen.verdicts, ["cut"])
    check.same("end on record", seen.log.get("end"), "cut")
    check.same("the beginning of the answer", bool(seen.text) and BAD_TEXT.startswith(seen.text), True)
    check.same("broken connection", seen.is_torn, fate is Fate.TORN)
    is_adapted = fault.base == "/api/v1"  # there [DONE] follows an error, as OpenRouter has it
    check.same("[DONE]", seen.is_done, is_adapted)
    if not seen.is_torn:
        is_told = any("error" in event for event in seen.events[-1:])
        check.same("error at the end", is_told, True)
    finish = {"error"} if fate is Fate.BROKEN else set()
    if fault.asks:  # of several answers one may have come to its end
        finish |= {"stop"}
    check.same("finish reasons", seen.finish_reasons, finish)
    check.same("charged", seen.log.get("cost_usd", 0) > 0, True)


def _whole(check: _Check, fault: Fault, seen: Seen, *, is_stream: bool) -> None:
    check.same("status", seen.status, 200)
    check.same("attempts", seen.verdicts, ["ok"])
    check.same("end on record", seen.log.get("end"), "ok")
    if fault.text is None:
        check.same("an answer", bool(seen.text), True)
    else:
        check.same("answer", seen.text, fault.text if is_stream else BAD_TEXT)
    check.same("broken connection", seen.is_torn, False)
    check.same("charged", seen.log.get("cost_usd", 0) > 0, True)


def _blind(check: _Check, seen: Seen) -> None:
    check.same("status", seen.status, 200)
    check.same("attempts", seen.verdicts, ["ok"])
    check.same("content-encoding", seen.encoding, "br")


def _written(check: _Check, seen: Seen) -> None:
    """The ledger says what the log says."""
    attempts = [attempt["verdict"] for attempt in seen.ledger.get("provider_responses", ())]
    check.same("attempts in the ledger", attempts, seen.verdicts)
    check.same("end in the ledger", seen.ledger.get("end"), seen.log.get("end"))
    check.same("status in the ledger", seen.ledger.get("status"), seen.log.get("status"))
    check.same("cost in the ledger", float(seen.ledger.get("total_cost") or 0), float(seen.log.get("cost_usd") or 0))


def _health(check: _Check, fault: Fault, seen: Seen) -> None:
    """What was counted against the endpoint, and what cools down."""
    if not seen.verdicts:
        return
    verdict = seen.verdicts[0]
    counted = "failure" if seen.endpoint.get("error_share") else "nothing"
    counted = "break" if seen.endpoint.get("cut_share") else counted
    check.same("counted by the breaker", counted, fault.counts(verdict))
    cool = fault.cools(verdict)
    # The same cool-down may be told twice: by the worker that began it, and by the store to all of them.
    cooled = {"account" if line["endpoint"].startswith("@") else "endpoint" for line in seen.cooling}
    check.same("what cools down", cooled, {"account" if cool.is_account else "endpoint"} if cool else set())
    if cool is not None and seen.cooling:
        seconds, why = seen.cooling[0]["seconds"], seen.cooling[0]["why"]
        check.same("why it cools down", why, verdict)
        if not 0.8 * cool.seconds <= seconds <= 1.2 * cool.seconds:
            check.same("seconds it cools down", seconds, cool.seconds)
    if cool is not None and cool.is_long:
        check.same("state of the endpoint", seen.endpoint.get("state"), "cooling")
    elif cool is None:
        check.same("state of the endpoint", seen.endpoint.get("state"), "healthy")
