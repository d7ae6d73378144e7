"""Logs: a line for each change of state (structlog), and a line for each request (written in batches).

JSON where a machine reads, plain text on a terminal. No bodies, no keys, and nothing that a provider says: it may quote
the prompt. What callers wrote (names of models) is cut to a bound, and what does not print in it is escaped, in JSON
too: it cannot pass for a line of ours, nor speak to the terminal.
"""

import logging
import re
from io import TextIOWrapper
from typing import Literal, TextIO

import orjson
import structlog

from fairlead.telemetry.own_words import cut, error_of, reason_of
from fairlead.telemetry.record import AttemptRecord, ExchangeRecord

Logger = structlog.typing.FilteringBoundLogger


def make_logger(log_format: Literal["json", "text"], level: str, *, use_color: bool, stream: TextIO) -> Logger:
    """Return the logger of this process. Libraries' warnings reach it through the standard `logging`."""
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if log_format == "json" else "%H:%M:%S", utc=log_format == "json"),
        structlog.processors.format_exc_info,
    ]
    if log_format == "json":
        processors.append(structlog.processors.JSONRenderer(serializer=_dumps))
    else:
        processors += [_with_plain_texts, structlog.dev.ConsoleRenderer(colors=use_color, pad_event_to=0)]
    _write_anything(stream)
    logger: Logger = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
    )
    # Libraries (uvicorn, asyncio) speak through `logging`: their warnings are worth hearing, their news is not.
    logging.basicConfig(handlers=[_ToStructlog(logger)], level=logging.WARNING, force=True)
    return logger


class _ToStructlog(logging.Handler):
    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        level = min(record.levelno // 10 * 10, logging.CRITICAL)  # structlog knows no levels in between
        self._logger.log(level, record.getMessage(), source=record.name, exc_info=record.exc_info)


def _with_plain_texts(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """(A traceback keeps its lines.)"""
    return {
        name: _plain(value) if isinstance(value, str) and name != "exception" else value
        for name, value in event.items()
    }


def _plain(text: str) -> str:
    """Return `text` on one line: what does not print is escaped, as in Python's own notation."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _write_anything(stream: TextIO) -> None:
    """Where the locale's encoding lacks a character, escape it: a strange name must not end the log."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def _dumps(value: object, **_: object) -> str:
    return _json_text(orjson.dumps(value, default=str))


def _json_text(encoded: bytes) -> str:
    """Return JSON as text on one line, whoever splits it: some take U+0085 and U+2028 for the end of one."""
    text = encoded.decode()
    if text.isascii() and "\x7f" not in text:
        return text
    return _UNPRINTABLE.sub(lambda found: _json_escape(found[0]), text)


_UNPRINTABLE = re.compile(r"[^ -~]")
"""Of these some print after all."""


def _json_escape(char: str) -> str:
    if char.isprintable():
        return char
    units = char.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


class RequestLog:
    """A line for each request, collected and written together: one `write` per flush, not per request."""

    MAX_WAITING = 50_000
    """Bound on lines waiting to be written; beyond it lines are dropped and counted rather than memory growing."""

    def __init__(self, log_format: Literal["json", "text"], stream: TextIO | None) -> None:
        self._render = _json_line if log_format == "json" else _text_line
        if stream is not None:
            _write_anything(stream)
        self._stream = stream
        self._waiting: list[str] = []
        self.dropped = 0

    def keep(self, record: ExchangeRecord) -> None:
        """Take a finished exchange; written at the next `flush`."""
        if self._stream is None:
            return
        if len(self._waiting) < self.MAX_WAITING:
            self._waiting.append(self._render(record))
        else:
            self.dropped += 1

    def flush(self) -> None:
        """Write what has been kept. What cannot be written (disk full, reader gone) is dropped and counted."""
        if self._waiting and self._stream is not None:
            waiting, self._waiting = self._waiting, []
            try:
                self._stream.write("".join(waiting))
                self._stream.flush()
            except OSError:
                self.dropped += len(waiting)


def _json_line(record: ExchangeRecord) -> str:
    line = {
        "event": "request",
        "id": record.id,
        "request_id": record.request_id,
        "time": record.started_unix,
        "model": cut(record.model),
        "provider": record.provider,
        "stream": record.is_stream,
        "status": record.status,
        "end": record.end,
        "attempts": [_attempt(attempt) for attempt in record.attempts],
        "ttft_s": _ttft_s(record),
        "duration_s": round(record.ended_at - record.started_at, 6),
        "key": record.key_hash[:12],
    }
    if record.trace is not None:
        line["trace_id"] = f"{record.trace.trace_id:032x}"
    if record.usage is not None:
        line["prompt_tokens"] = record.usage.prompt_tokens
        line["completion_tokens"] = record.usage.completion_tokens
        line["cost_usd"] = None if record.cost_usd_nanos is None else record.cost_usd_nanos / 1e9
    if record.error:
        line["error"] = error_of(record)
    return f"{_json_text(orjson.dumps(line))}\n"


def _attempt(attempt: AttemptRecord) -> dict[str, object]:
    told: dict[str, object] = {
        "provider": attempt.provider,
        "verdict": attempt.verdict,
        "status": attempt.status,
        "duration_s": round(attempt.duration_s, 6),
    }
    if reason := reason_of(attempt):
        told["reason"] = reason
    return told


def _text_line(record: ExchangeRecord) -> str:
    tried = "→".join(attempt.provider for attempt in record.attempts) or "-"
    parts = [
        f"{record.status} {_plain(cut(record.model)) or '-'} {tried}",
        f"{(record.ended_at - record.started_at) * 1000:.0f} ms",
    ]
    if (ttft_s := _ttft_s(record)) is not None and record.is_stream:
        parts.append(f"first content {ttft_s * 1000:.0f} ms")
    if record.usage is not None:
        parts.append(f"{record.usage.prompt_tokens}+{record.usage.completion_tokens} tokens")
        if record.cost_usd_nanos is not None:
            parts.append(f"${record.cost_usd_nanos / 1e9:.6f}")
    parts += (f"{attempt.provider}: {_plain(reason)}" for attempt in record.attempts if (reason := reason_of(attempt)))
    if record.end != "ok":
        parts.append(f"{record.end}: {_plain(error_of(record))}" if record.error else record.end)
    return " · ".join(parts) + f" · {record.id}\n"


def _ttft_s(record: ExchangeRecord) -> float | None:
    return round(record.first_content_at - record.started_at, 6) if record.first_content_at else None
