import errno
import io
import json
import logging
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fairlead.catalog.pricing import Usage
from fairlead.telemetry.log import RequestLog, make_logger
from fairlead.telemetry.own_words import MAX_TEXT_CHARS
from fairlead.telemetry.record import STREAM_ERROR, AttemptRecord, ExchangeRecord
from fairlead.telemetry.sampling import Sampler
from fairlead.telemetry.trace import begin

PROMPT = "what the caller said"
SECRET = "sk-fl-v1-0123456789abcdef"
RECORD = ExchangeRecord(
    id="gen-1700000000-abc0",
    request_id="req-7",
    started_unix=1_700_000_000.25,
    started_at=100.0,
    key_hash="0123456789abcdef" * 4,
    model="acme/large",
    provider="acme",
    is_stream=True,
    status=200,
    end="ok",
    attempts=[
        AttemptRecord("slow", "timeout", 0, 0.25, "connect time limit of 5 s ran out"),
        AttemptRecord("loud", "limit", 429, 0.1, SECRET),
        AttemptRecord("acme", "ok", 200, 0.5),
    ],
    first_content_at=100.3,
    ended_at=100.75,
    usage=Usage(190, 24),
    cost_usd_nanos=1_234_567,
    reply_bytes=999,
)
REFUSED = ExchangeRecord(
    "gen-2", "gen-2", 1_700_000_000.0, 5.0, status=401, end="error", error="Unknown API key", ended_at=5.001
)

names = st.text(max_size=30) | st.sampled_from(["a\nb", "\x1b[2J", "\r200 ok", "\u2028", "\x9b31m", "\x00", "\u202e"])


class Disk(io.StringIO):
    is_full = False

    def write(self, text):
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def written(log_format, *records):
    stream = io.StringIO()
    log = RequestLog(log_format, stream)
    for record in records:
        log.keep(record)
    log.flush()
    return stream.getvalue()


class TestJson:
    def test_a_line(self):
        line = written("json", RECORD)
        assert line.endswith("}\n")
        assert json.loads(line) == {
            "event": "request",
            "id": "gen-1700000000-abc0",
            "request_id": "req-7",
            "time": 1_700_000_000.25,
            "model": "acme/large",
            "provider": "acme",
            "stream": True,
            "status": 200,
            "end": "ok",
            "attempts": [
                {
                    "provider": "slow",
                    "verdict": "timeout",
                    "status": 0,
                    "duration_s": 0.25,
                    "reason": "connect time limit of 5 s ran out",
                },
                {"provider": "loud", "verdict": "limit", "status": 429, "duration_s": 0.1},
                {"provider": "acme", "verdict": "ok", "status": 200, "duration_s": 0.5},
            ],
            "ttft_s": 0.3,
            "duration_s": 0.75,
            "key": "0123456789ab",
            "prompt_tokens": 190,
            "completion_tokens": 24,
            "cost_usd": 0.001234567,
        }

    def test_a_refusal(self):
        line = json.loads(written("json", REFUSED))
        assert (line["status"], line["end"], line["error"]) == (401, "error", "Unknown API key")
        assert (line["attempts"], line["ttft_s"], line["key"]) == ([], None, "")
        assert "cost_usd" not in line

    def test_it_names_the_trace(self):
        trace = begin([(b"traceparent", b"00-%032x-%016x-00" % (0xABC, 1))], Sampler(), random.Random(1))
        assert json.loads(written("json", replace(RECORD, trace=trace)))["trace_id"] == f"{0xABC:032x}"

    def test_a_price_that_nobody_knows(self):
        assert json.loads(written("json", replace(RECORD, cost_usd_nanos=None)))["cost_usd"] is None

    @given(names, names)
    def test_one_record_one_line(self, model, error):
        text = written("json", replace(RECORD, model=model, error=error, end="error"))
        assert text[-1] == "\n"
        assert text[:-1].isprintable()
        assert json.loads(text)["model"] == model

    def test_what_prints_stays_readable(self):
        told = written("json", replace(RECORD, model="größe/大\u2028\x85😀\U000e0001\x7f"))
        assert r'"model":"größe/大\u2028\u0085😀\udb40\udc01\u007f"' in told


class TestText:
    def test_a_line(self):
        assert written("text", RECORD) == (
            "200 acme/large slow→loud→acme · 750 ms · first content 300 ms · 190+24 tokens · $0.001235"
            " · slow: connect time limit of 5 s ran out · gen-1700000000-abc0\n"
        )

    def test_a_refusal(self):
        assert written("text", REFUSED) == "401 - - · 1 ms · error: Unknown API key · gen-2\n"

    def test_without_an_error_text(self):
        gone = replace(REFUSED, status=499, end="gone", error="", model="acme/large")
        assert written("text", gone) == "499 acme/large - · 1 ms · gone · gen-2\n"

    def test_control_characters_are_escaped(self):
        forged = replace(REFUSED, model="x\n200 acme/large", error="\x1b[2J\r\x9b\u202e")
        assert written("text", forged) == (
            r"401 x\n200 acme/large - · 1 ms · error: \x1b[2J\r\x9b\u202e · gen-2" + "\n"
        )

    @given(names, names)
    def test_one_record_one_line_and_nothing_for_the_terminal(self, model, error):
        text = written("text", replace(RECORD, model=model, error=error, end="error"))
        assert text[-1] == "\n"
        assert text[:-1].isprintable()


@pytest.mark.parametrize("log_format", ["json", "text"])
class TestBoth:
    def test_no_secrets(self, log_format):
        text = written(log_format, replace(RECORD, key_hash="f" * 64))
        assert SECRET not in text
        assert "f" * 13 not in text

    @pytest.mark.parametrize(
        ("attempt", "told"),
        [
            (AttemptRecord("loud", "client", 400, 0.1, PROMPT), "loud refused the request"),
            (AttemptRecord("loud", "cut", 200, 0.1, f"{STREAM_ERROR}: {PROMPT}"), STREAM_ERROR),
            (AttemptRecord("loud", "cut", 200, 0.1, "the connection broke off"), "the connection broke off"),
        ],
    )
    def test_what_providers_say_is_not_told(self, log_format, attempt, told):
        """It may quote the prompt."""
        failed = replace(RECORD, attempts=[*RECORD.attempts, attempt], end="error", error=attempt.message)
        text = written(log_format, failed)
        assert PROMPT not in text
        assert told in text

    def test_what_others_wrote_is_cut(self, log_format):
        text = written(log_format, replace(RECORD, model="m" * 4_000_000, error="e" * 2_000, end="error"))
        assert len(text) < len(written(log_format, RECORD)) + 3 * MAX_TEXT_CHARS
        assert "m" * MAX_TEXT_CHARS + "…" in text
        assert "e" * MAX_TEXT_CHARS + "…" in text

    def test_lines_are_written_at_the_flush_in_order_and_once(self, log_format):
        stream = io.StringIO()
        log = RequestLog(log_format, stream)
        log.keep(RECORD)
        log.keep(REFUSED)
        assert stream.getvalue() == ""
        log.flush()
        log.flush()
        first, second = stream.getvalue().splitlines()
        assert RECORD.id in first
        assert REFUSED.id in second

    def test_what_waits_is_bounded(self, log_format, monkeypatch):
        monkeypatch.setattr(RequestLog, "MAX_WAITING", 3)
        stream = io.StringIO()
        log = RequestLog(log_format, stream)
        for _ in range(5):
            log.keep(RECORD)
        assert log.dropped == 2
        log.flush()
        assert stream.getvalue().count("\n") == 3
        log.keep(RECORD)
        log.flush()
        assert stream.getvalue().count("\n") == 4

    def test_switched_off_nothing_is_kept(self, log_format):
        log = RequestLog(log_format, None)
        log.keep(RECORD)
        log.flush()
        assert (log.dropped, log._waiting) == (0, [])

    def test_a_full_disk_costs_the_lines_and_nothing_more(self, log_format):
        disk = Disk()
        log = RequestLog(log_format, disk)
        log.keep(RECORD)
        disk.is_full = True
        log.flush()
        disk.is_full = False
        log.keep(REFUSED)
        log.flush()
        assert log.dropped == 1
        assert REFUSED.id in disk.getvalue()

    def test_a_terminal_that_knows_no_unicode(self, log_format):
        raw = io.BytesIO()
        log = RequestLog(log_format, io.TextIOWrapper(raw, encoding="ascii", write_through=True))
        log.keep(replace(RECORD, model="😀/large"))
        log.flush()
        assert rb"\U0001f600/large" in raw.getvalue()


@pytest.fixture
def make():
    """A function that makes a logger and the stream it writes to; the library's own logging is put back afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level

    def make(log_format="json", level="info"):
        stream = io.StringIO()
        return make_logger(log_format, level, use_color=False, stream=stream), stream

    yield make
    root.handlers[:], root.level = before


class TestLogger:
    def test_json(self, make):
        log, stream = make()
        log.warning("models not listed", provider="acme", n=5)
        line = json.loads(stream.getvalue())
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("timestamp"))
        assert line == {"event": "models not listed", "level": "warning", "provider": "acme", "n": 5}

    def test_text(self, make):
        log, stream = make("text")
        log.warning("models not listed", provider="acme")
        assert re.fullmatch(r"\d\d:\d\d:\d\d \[warning  \] models not listed provider=acme\n", stream.getvalue())

    @pytest.mark.parametrize("log_format", ["json", "text"])
    @pytest.mark.parametrize("text", ["a\n12:00:00 [info     ] forged", "\x1b[2J", "\r", "\x9b31m", "\u2028", "\x7f"])
    def test_a_line_cannot_be_forged(self, make, log_format, text):
        log, stream = make(log_format)
        log.warning(text, error=text)
        assert stream.getvalue().count("\n") == 1
        assert stream.getvalue()[:-1].isprintable()
        assert log_format == "text" or json.loads(stream.getvalue())["event"] == text

    def test_the_level_is_a_floor(self, make):
        log, stream = make(level="warning")
        log.info("no")
        log.debug("no")
        log.error("yes")
        assert stream.getvalue().count("\n") == 1

    def test_errors_come_with_their_traceback(self, make):
        log, stream = make()
        log.error("request failed", exc_info=ValueError("why"))
        assert "ValueError: why" in json.loads(stream.getvalue())["exception"]

    @pytest.mark.parametrize(
        ("level", "told"),
        [(10, None), (20, None), (30, "warning"), (35, "warning"), (40, "error"), (50, "critical"), (60, "critical")],
    )
    def test_libraries_are_heard_from_warnings_on(self, make, level, told):
        _, stream = make()
        logging.getLogger("some.library").log(level, "%s\nsaid", "it")
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert [(line["level"], line["event"], line["source"]) for line in lines] == (
            [(told, "it\nsaid", "some.library")] if told else []
        )

    def test_a_librarys_exception(self, make):
        _, stream = make()
        try:
            raise ValueError("why")
        except ValueError:
            logging.getLogger("some.library").exception("it failed")
        assert "ValueError: why" in json.loads(stream.getvalue())["exception"]
