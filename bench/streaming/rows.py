"""The lines of the table."""

from collections.abc import Sequence

from bench.report import Row
from bench.streaming.figures import FIRST_HZ, READERS, Sizes


def _number(value: int) -> str:
    return f"{value:,}".replace(",", " ")


def rows(sizes: Sizes) -> Sequence[Row]:
    """One for each number, in the order of the figures."""
    flood = f"flood of {sizes.flood_bytes // 1_000_000} MB"
    found = [Row(f"kb_per_stream_{count}", f"KB per idle stream, {_number(count)} open", 1) for count in sizes.held]
    found += [
        Row(f"held_{count}", f"idle streams open, of {_number(count)}", 0, is_compared=False) for count in sizes.held
    ]
    for count in sizes.paced:
        of = f", {_number(count)} streams"
        found += [
            Row(f"cpu_us_per_event_{count}", f"CPU µs per event{of}", 1),
            Row(f"events_per_s_{count}", f"events/s delivered{of}", 0, is_compared=False),
            Row(f"busy_percent_{count}", f"target's core busy, %{of}", 0, is_compared=False),
            Row(f"gap_p99_ms_{count}", f"gap between events p99, ms{of}", 1, is_compared=False),
        ]
    for part in ("p50", "p99"):
        text = f"first event {part}"
        found.append(Row(f"first_{part}_ms", f"{text}, ms, {FIRST_HZ} begun/s", 2, is_compared=False))
        found.append(Row(f"first_{part}_ms", f"{text} added, ms, {FIRST_HZ} begun/s", 2, is_added=True))
        for reader in READERS:
            found.append(Row(f"beside_{reader}_{part}_ms", f"{text}, ms, beside a flood to a {reader} reader", 2))
    for reader in READERS:
        found.append(Row(f"flood_first_{reader}_ms", f"first byte of a flood to a {reader} reader, ms", 2))
    for reader in READERS:
        found += [
            Row(f"cpu_us_per_mb_{reader}", f"CPU µs per MB, {flood}, {reader} reader", 0),
            Row(f"mb_per_s_{reader}", f"MB/s, {flood}, {reader} reader", 0, is_compared=False),
            Row(f"grown_mb_{reader}", f"resident memory grown by at most, MB, {flood}, {reader} reader", 1),
        ]
    for what in ("request", "reply"):
        found += [
            Row(f"cpu_us_per_mb_{what}", f"CPU µs per MB, {what} bodies of 1 MB", 0),
            Row(f"mb_per_s_{what}", f"MB/s, {what} bodies of 1 MB", 0, is_compared=False),
        ]
    return found
