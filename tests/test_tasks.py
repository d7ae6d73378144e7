import asyncio
import gc

import pytest

from fairlead.tasks import Tasks

pytestmark = pytest.mark.anyio


class Reports(list):
    def __call__(self, name, error):
        self.append((name, repr(error)))


async def wait(event):
    await event.wait()


def named(name):
    return [task for task in asyncio.all_tasks() if task.get_name() == name]


async def ended(name):
    """Return when the tasks of that name have ended, and what follows from it has happened."""
    await asyncio.wait(named(name))
    await asyncio.sleep(0)


async def test_a_crash_is_reported_once():
    reports = Reports()
    tasks = Tasks(reports)

    async def crash():
        raise ValueError("no")

    tasks.start("probe", crash())
    await ended("probe")
    assert reports == [("probe", "ValueError('no')")]
    await tasks.close()
    assert len(reports) == 1


async def test_an_ordinary_end_is_not():
    reports = Reports()
    tasks = Tasks(reports)
    tasks.start("probe", asyncio.sleep(0, "done"))
    await ended("probe")
    await tasks.close()
    assert reports == []


async def test_it_is_held_while_it_runs_and_has_its_name():
    event = asyncio.Event()
    tasks = Tasks(Reports())
    tasks.start("probe", wait(event))
    await asyncio.sleep(0)
    gc.collect()
    assert len(named("probe")) == 1
    event.set()
    await ended("probe")
    await tasks.close()


async def test_close_cancels_and_waits_for_the_end():
    reports, ended = Reports(), []
    tasks = Tasks(reports)

    async def tidy():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    for _ in range(3):
        tasks.start("tidy", tidy())
    await asyncio.sleep(0)
    await tasks.close()
    assert ended == [True] * 3
    assert reports == []


async def test_a_crash_while_closing_is_reported():
    reports = Reports()
    tasks = Tasks(reports)

    async def fall():
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("at the end")

    tasks.start("fall", fall())
    await asyncio.sleep(0)
    await tasks.close()
    assert reports == [("fall", "ValueError('at the end')")]


async def test_what_is_started_while_closing_is_closed_too():
    tasks = Tasks(Reports())

    async def heir():
        try:
            await asyncio.Event().wait()
        finally:
            tasks.start("heir", asyncio.Event().wait())

    tasks.start("first", heir())
    await asyncio.sleep(0)
    await tasks.close()
    assert named("heir") == []


async def test_to_close_nothing_is_no_trouble():
    tasks = Tasks(Reports())
    await tasks.close()
    await tasks.close()


async def test_a_cancellation_that_was_lost_is_made_again(monkeypatch):
    """As `asyncio.wait_for` of Python 3.11 loses one."""
    monkeypatch.setattr("fairlead.tasks.AGAIN_S", 0.001)
    tasks = Tasks(lambda name, error: None)
    started, lost = asyncio.Event(), []

    async def deaf():
        while len(lost) < 2:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost.append(1)

    tasks.start("deaf", deaf())
    await started.wait()
    async with asyncio.timeout(5):
        await tasks.close()
    assert len(lost) == 2
