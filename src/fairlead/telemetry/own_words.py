"""What went wrong with a request, in words of ours: for the log and for traces. Pure.

What providers say may quote the prompt, and is told to the caller only.
"""

from fairlead.telemetry.record import STREAM_ERROR, AttemptRecord, ExchangeRecord

MAX_TEXT_CHARS = 500
"""Of a name or text that a caller may have written."""


def cut(text: str) -> str:
    """Return no more of `text` than is told."""
    return text if len(text) <= MAX_TEXT_CHARS else f"{text[:MAX_TEXT_CHARS]}…"


def reason_of(attempt: AttemptRecord) -> str:
    """Return why there was no reply; empty if there was one, with or without success."""
    return cut(attempt.message) if attempt.status == 0 and attempt.verdict != "gone" else ""


def error_of(record: ExchangeRecord) -> str:
    """Return what the request failed for."""
    for attempt in record.attempts:
        if attempt.message == record.error and attempt.status >= 400:
            return f"{attempt.provider} refused the request"
        if attempt.message == record.error and attempt.message.startswith(STREAM_ERROR):
            return STREAM_ERROR
    return cut(record.error)
