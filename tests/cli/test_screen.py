import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.cli import screen as module
from fairlead.cli.screen import COLUMNS, duration, event_line, milliseconds, number, percent, screen, selected


def row(provider="lab", model="acme/large", **members):
    return {
        "id": f"{provider}:{model}", "model": model, "provider": provider, "unknown": False, "state": "healthy",
        "reason": None, "seconds_left": None, "first_token_ms": {"mean": 200.0, "p50": 180.0, "p95": 900.0},
        "tokens_per_s": 51.25, "error_share": 0.004, "cut_share": 0.0, "in_flight": 12.0, "waiting": 1.0,
        "attempts_per_s": 3.14, "share": 0.5, "level": 0, "last_ejection": None, **members,
    }  # fmt: skip


def view(*rows, store="ok"):
    return {"at": 1_700_000_000.0, "store": store, "endpoints": list(rows), "providers": []}


def table(*rows, **options):
    """The lines of the table: its head, then a line for each endpoint."""
    return screen(view(*rows), **options)[2:]


EJECTED = row(
    "bad", state="ejected", reason="failures in a row", seconds_left=3.2,
    last_ejection={"seconds_ago": 4.0, "why": "failures in a row"},
)  # fmt: skip


def test_a_line_for_each_endpoint():
    head, line = table(row())
    assert head.split("  ")[0] == "model"
    assert line.split() == [
        "acme/large", "lab", "healthy", "180ms", "900ms", "51.2", "0.4%", "0%", "12", "3.1", "50%", "–",
    ]  # fmt: skip


def test_sorted_by_model_then_share():
    rows = [
        row("a", "z/z", share=0.9),
        row("b", "a/a", share=0.1),
        row("c", "a/a", share=0.6),
        row("d", "a/a", share=None),
    ]
    assert [line.split()[1] for line in table(*rows)[1:]] == ["c", "b", "d", "a"]


@pytest.mark.parametrize(
    ("members", "shown"),
    [
        ({}, "healthy"),
        ({"unknown": True}, "unused"),
        ({"state": "ejected", "reason": "x", "seconds_left": 3.2}, "ejected 3.2s"),
        ({"state": "ejected", "reason": "x", "seconds_left": 0.0}, "ejected"),
        ({"state": "probing", "reason": "x", "seconds_left": 12.6}, "probing 13s"),
        ({"state": "cooling", "reason": "limit", "seconds_left": 0.4}, "cooling 0.4s, limit"),
        ({"state": "cooling", "reason": "its account: auth", "seconds_left": 61, "unknown": True},
         "cooling 61s, its account: auth"),
    ],
)  # fmt: skip
def test_states(members, shown):
    assert f"  {shown}  " in table(row(**members))[1]


def test_the_last_ejection_and_why():
    assert table(EJECTED)[1].endswith("  4.0s ago: failures in a row")


def test_what_is_not_known_is_a_dash():
    nothing = dict.fromkeys(["tokens_per_s", "error_share", "cut_share", "share"])
    line = table(row(**nothing, first_token_ms={"mean": None, "p50": None, "p95": None}))[1]
    assert line.split().count("–") == 7


def test_colours():
    lines = table(EJECTED, row("p", state="probing"), row("c", state="cooling"), row(), use_color=True)
    colors = {line.split()[1]: line[: line.index("m") + 1] for line in lines[1:] if line.startswith("\x1b")}
    assert colors == {"bad": "\x1b[31m", "p": "\x1b[33m", "c": "\x1b[33m"}
    assert all(line.endswith("\x1b[0m") for line in lines if line.startswith("\x1b"))
    assert not any("\x1b" in line for line in table(EJECTED, row("p", state="probing")))


def test_a_summary_comes_first():
    first, second, *_ = screen(view(row(), EJECTED), title="fairlead http://x")
    assert first.startswith("fairlead http://x   ")
    assert first.endswith("   1 of 2 endpoints healthy   6.3 attempts/s")
    assert second == ""
    assert "STORE AWAY" in screen(view(row(), store="away"))[0]


def test_nothing_to_show():
    assert "--all" in screen(view())[-1]


class TestRoom:
    @pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, 200])
    def test_no_line_is_wider_than_the_terminal(self, width):
        rows = [
            EJECTED,
            row(
                "a-provider-with-a-name",
                "an-author/and-a-model-with-a-long-name",
                state="cooling",
                reason="limit",
                seconds_left=9,
            ),
        ]
        events = [("ejected", {"at": 1.0, "endpoint": "lab:" + "x" * 300, "why": "w", "seconds": 1.0})]
        lines = screen(view(*rows), events, width=width, title="t" * 300)
        assert all(len(line) <= width for line in lines)

    def test_in_80_columns_the_most_important_ones_stand(self):
        head, line, *_ = table(EJECTED, row(), width=80)
        for title in ("model", "provider", "state", "p50", "p95", "errors", "share"):
            assert f" {title} " in f" {head} "
        assert "ejected 3.2s" in line
        assert "acme/large" in line

    def test_with_room_nothing_is_cut(self):
        assert table(EJECTED, width=1_000) == table(EJECTED)
        assert not any("…" in line for line in table(EJECTED))

    def test_rows_below_the_terminal_are_counted(self):
        lines = screen(view(*(row(f"p{n}") for n in range(50))), width=100, height=20)
        assert len(lines) == 20
        assert lines[-1] == "… and 34 more: --model TEXT shows some of them"

    def test_events_have_a_third_of_the_height_and_the_last_ones_are_shown(self):
        events = [("ejected", {"at": 1.0, "endpoint": f"e{n}"}) for n in range(50)]
        lines = screen(view(*(row(f"p{n}") for n in range(50))), events, width=100, height=30)
        assert len(lines) == 30
        assert lines[-1].endswith("e49")
        assert sum("  ejected    e" in line for line in lines) == 9

    @given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 60), st.integers(1, 200))
    def test_it_fits_whatever_there_is(self, height, rows, events, width):
        said = [("ejected", {"at": 1.0, "endpoint": "lab:acme/large", "seconds": 2.0})] * events
        lines = screen(view(*(row(f"p{n}") for n in range(rows))), said, width=width, height=height)
        assert all(len(line) <= width for line in lines)
        assert len(lines) <= max(height, 5)


def test_events():
    data = {"at": 1_700_000_000.0, "endpoint": "lab:acme/large", "why": "far slower than usual", "seconds": 1.5}
    assert event_line("ejected", data)[8:] == "  ejected    lab:acme/large  far slower than usual, for 1.5s"
    assert event_line("recovered", data | {"why": "", "seconds": 0.0})[8:] == "  recovered  lab:acme/large"
    assert event_line("dropped", {"at": 1_700_000_000.0, "count": 12})[8:] == "  dropped    12"
    assert event_line("ejected", {}).startswith("–")


def test_names_do_not_speak_to_the_terminal():
    lines = screen(view(row("\x1b]0;evil\x07", "a\nb")), [("ejected", {"endpoint": "\x1b[2J"})])
    assert all(line.isprintable() for line in lines)


def test_models_are_chosen_by_a_part_of_their_name():
    found = selected(view(row(), row(model="other/Small")), "small")
    assert [row["model"] for row in found["endpoints"]] == ["other/Small"]
    assert selected(view(row()), "") == view(row())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0s"),
        (3.24, "3.2s"),
        (9.96, "10s"),
        (99, "99s"),
        (120, "2m"),
        (5_000, "83m"),
        (7_200, "2h"),
        (864_000, "10d"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_figures():
    assert [percent(x) for x in (None, 0.0, 0.004, 0.0951, 0.1, 1.0)] == ["–", "0%", "0.4%", "9.5%", "10%", "100%"]
    assert [milliseconds(x) for x in (None, 0.4, 999.4, 999.5, 12_345)] == ["–", "0ms", "999ms", "1.00s", "12.35s"]
    assert [number(x) for x in (None, 0.0, 3.14, 12.0)] == ["–", "0", "3.1", "12"]


def test_each_column_leaves_at_a_turn_of_its_own():
    ranks = [column.rank for column in COLUMNS if column.rank]
    assert len(ranks) == len(set(ranks))
    assert module.NONE == "–"
