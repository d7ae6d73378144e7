from fairlead.health.board import HealthBoard
from fairlead.health.record import Record, State, Why
from fairlead.plan.outlook import board_outlook
from fairlead.plan.score import Ask
from plan.rosters import catalog_of, model

NOW = 1000.0
CATALOG = catalog_of(model("a/x"), providers=("one", "two"))


def outlook(board, catalog=CATALOG):
    return board_outlook(catalog, board, Ask(), NOW)("a/x")


def eject(board, provider):
    board.of(f"{provider}:a/x", NOW).record = Record(NOW, NOW, state=State.EJECTED, why=Why.IN_A_ROW, until=NOW + 8.0)


def test_the_fastest_counts_and_any_may_answer():
    board = HealthBoard()
    board.of("one:a/x", NOW).estimate.first_token_s = 9.0
    board.of("two:a/x", NOW).estimate.first_token_s = 0.5
    for provider in ("one", "two"):
        board.of(f"{provider}:a/x", NOW).estimate.failure = 0.5
    seconds, availability = outlook(board)
    assert 0.5 < seconds < 9.0
    assert availability == 0.75


def test_what_is_out_does_not_count_and_is_watched():
    board = HealthBoard()
    eject(board, "one")
    known, _ = outlook(board)
    eject(board, "two")
    assert known > 0.0
    assert outlook(board) == (0.0, 0.0)
    assert board.group("a/x").asked_at == NOW


def test_what_is_well_is_not_watched():
    board = HealthBoard()
    outlook(board)
    assert board.group("a/x").asked_at < NOW


def test_who_is_drained_or_unknown_has_none():
    assert outlook(HealthBoard(), catalog_of(model("a/x"), weight=0.0)) == (0.0, 0.0)
    assert outlook(HealthBoard(), catalog_of()) == (0.0, 0.0)
