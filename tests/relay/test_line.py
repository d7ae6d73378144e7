import asyncio

import pytest

from fairlead.relay import line as lines
from fairlead.relay.line import Line

pytestmark = pytest.mark.anyio

LONG_S = 30.0


async def turns():
    for _ in range(5):
        await asyncio.sleep(0)


class Waiting:
    """Tasks that wait in a line; `got` are the names of those who have a place."""

    def __init__(self):
        self.line = Line()
        self.got = []
        self.tasks = {}

    async def _wait(self, name, rank, seconds):
        if await self.line.wait(rank, seconds):
            self.got.append(name)

    async def join(self, name, rank=1, seconds=LONG_S):
        self.tasks[name] = asyncio.ensure_future(self._wait(name, rank, seconds))  # noqa: TID251 - a test's own task
        await turns()


async def test_places_go_by_rank_then_by_arrival():
    waiting = Waiting()
    for name, rank in (("a", 1), ("b", 1), ("flex", 2), ("first", 0), ("c", 1)):
        await waiting.join(name, rank)
    assert len(waiting.line) == 5
    while waiting.line.give():
        await turns()
    assert waiting.got == ["first", "a", "b", "c", "flex"]
    assert waiting.line.is_empty


async def test_nobody_gets_a_place_who_has_left_or_whose_time_is_over():
    waiting = Waiting()
    await waiting.join("left")
    await waiting.join("late", seconds=0.0)
    await waiting.join("there")
    waiting.tasks["left"].cancel()
    await turns()
    assert len(waiting.line) == 1
    assert waiting.line.give()
    assert not waiting.line.give()
    await turns()
    assert waiting.got == ["there"]


async def test_a_place_given_to_one_who_leaves_in_that_moment_goes_to_the_next():
    waiting = Waiting()
    await waiting.join("leaves")
    await waiting.join("next")
    waiting.line.give()
    waiting.tasks["leaves"].cancel()
    await turns()
    assert waiting.got == ["next"]


async def test_it_has_an_end(monkeypatch):
    monkeypatch.setattr(lines, "MOST_WAITING", 2)
    waiting = Waiting()
    for name in "abc":
        await waiting.join(name)
    assert waiting.tasks["c"].done()
    assert len(waiting.line) == 2
    waiting.tasks["a"].cancel()
    await turns()
    await waiting.join("d")
    assert not waiting.tasks["d"].done()


async def test_how_long_it_takes_is_foretold_by_the_pace_of_late():
    waiting = Waiting()
    assert waiting.line.foretold_s(0.0) == 30.0
    for n in range(200):
        waiting.line.freed(n * 0.5)  # two a second
    assert waiting.line.foretold_s(100.0) == 1.0
    for n in range(9):
        await waiting.join(str(n))
    assert waiting.line.foretold_s(100.0) == pytest.approx(5.0, rel=0.15)
    assert waiting.line.foretold_s(200.0) == 30.0
