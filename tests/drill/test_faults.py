from dataclasses import replace

from fairlead.catalog.model import Timeouts
from fairlead.demo.script import Script
from fairlead.drill.faults import BAD_TEXT, FAULTS, WAYS, Cool, Fate, Fault, refusal
from fairlead.health.outcome import Verdict

BRIEF = Timeouts(first_byte_s=0.6, idle_s=0.6)
LONG = Timeouts(first_byte_s=60.0, idle_s=60.0)


def test_each_has_a_name_of_its_own_and_a_verdict_that_there_is():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert {fault.verdict for fault in FAULTS} <= {str(verdict) for verdict in Verdict}


def test_what_is_slow_is_slower_than_the_limits():
    for limits in (BRIEF, LONG):
        (late,) = Fault("late", Script(first_token_delay_s=1), "timeout").played(limits, "stream")
        assert late.first_token_delay_s > limits.first_byte_s
        (slow,) = Fault("slow", Script(slow_headers=1), "timeout").played(limits, "plain")
        assert 0 < slow.slow_headers < limits.first_byte_s < 10 * slow.slow_headers


def test_what_comes_first_on_a_kept_connection_is_well():
    first, second, last = Fault("warm", Script(hang=True), "timeout", is_warm=True).played(BRIEF, "plain")
    assert (first, last) == (Script(text=BAD_TEXT), Script(text=BAD_TEXT))
    assert second.hang


def test_who_wants_no_stream_may_get_another_script():
    fault = Fault("both", Script(hang=True), "ok", plain_script=Script(empty=True))
    assert [fault.played(BRIEF, way)[0].hang for way in WAYS] == [True, False, True, False]
    assert [replace(fault, plain=Fate.WHOLE).fate(way) for way in WAYS] == [Fate.FAILOVER, Fate.WHOLE] * 2


def test_of_a_row_that_a_setting_decides_there_is_one_for_each():
    for is_on in (True, False):
        filtered = [fault for fault in FAULTS if fault.verdict == "filtered"]
        assert [fault.fate("stream") for fault in filtered if fault.is_for(fallback_on_content_filter=is_on)] == [
            Fate.FAILOVER if is_on else Fate.REFUSED
        ]
    assert sum(fault.is_for(fallback_on_content_filter=True) for fault in FAULTS) == len(FAULTS) - 1


def test_a_row_may_know_better_what_cools_down():
    plain = refusal(429, "limit", 429, "rate_limit_exceeded")
    assert plain.cools("limit") == Cool(1.0)
    assert plain.cools("ok") is None
    assert replace(plain, cool=Cool(7.0)).cools("limit") == Cool(7.0)
    assert [plain.counts(verdict) for verdict in ("cut", "timeout", "limit", "ok")] == [
        "break", "failure", "nothing", "nothing",
    ]  # fmt: skip
