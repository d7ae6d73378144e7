"""What the gateway's log (JSON) tells: changes of endpoints' states, as each worker learned of them, and attempts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Heard:
    """A line of a worker about an endpoint, or about the store. `at` in Unix seconds."""

    at: float
    worker: int
    what: str
    """`ejected`, `probing`, `recovered`, `cooling`; `store away`, `store back`."""
    provider: str
    why: str


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt. `at` in Unix seconds."""

    at: float
    provider: str
    verdict: str
    duration_s: float

    @property
    def ended_at(self) -> float:
        return self.at + self.duration_s


@dataclass(slots=True)
class GatewayLog:
    """All of it, in the order of time."""

    heard: list[Heard] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    stories: dict[str, str] = field(default_factory=dict)
    """By request id, of those that did not end well: what was tried, and what the caller was told."""

    def of(self, provider: str, *what: str) -> list[Heard]:
        return [line for line in self.heard if line.provider == provider and line.what in what]

    def attempts_at(self, provider: str) -> list[Tried]:
        return [attempt for attempt in self.tried if attempt.provider == provider]


def read(text: str) -> GatewayLog:
    """Read a log; lines that are not JSON (the summary at the start) tell nothing."""
    log = GatewayLog()
    for written in text.splitlines():
        if not written.startswith("{"):
            continue
        line = json.loads(written)
        event = str(line["event"])
        if event == "request":
            _take_request(log, line)
        elif event.startswith("endpoint "):
            provider = str(line["endpoint"]).partition(":")[0].removeprefix("@")
            log.heard.append(Heard(_at(line), line["worker"], event.removeprefix("endpoint "), provider, line["why"]))
        elif event.startswith("health store "):
            what = " ".join(event.replace(",", "").split()[1:3])
            log.heard.append(Heard(_at(line), line["worker"], what, "", event))
    log.heard.sort(key=lambda heard: heard.at)
    log.tried.sort(key=lambda tried: tried.at)
    return log


def _at(line: dict[str, str]) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def _take_request(log: GatewayLog, line: dict[str, object]) -> None:
    at = line["time"]
    assert isinstance(at, float)
    attempts = line["attempts"]
    assert isinstance(attempts, Sequence)
    for attempt in attempts:
        log.tried.append(Tried(at, attempt["provider"], attempt["verdict"], attempt["duration_s"]))
        at += attempt["duration_s"]
    if line["end"] != "ok":
        told = [f"{a['provider']}: {a['verdict']} {a.get('reason', '')}".strip() for a in attempts]
        log.stories[str(line["request_id"])] = f"{line['status']} {line['end']}, after {' → '.join(told) or 'nothing'}"
