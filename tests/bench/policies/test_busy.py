"""Whose work it was, and that it is told apart from that of others."""

import os
import time

from bench.policies.busy import Meter


def test_what_a_process_has_run_is_its_own():
    meter = Meter({"worker": os.getpid(), "gone": 2**22 + 1})
    meter.begin()
    before = time.process_time()
    while time.process_time() < before + 0.05:
        pass
    busy = meter.end()
    assert busy.ran["worker"] > 0.0
    assert busy.waited["worker"] >= 0.0
    assert busy.ran["gone"] == busy.waited["gone"] == 0.0
    assert len(busy.cores) == os.cpu_count()
    assert busy.others >= 0.0
