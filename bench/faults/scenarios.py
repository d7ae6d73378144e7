"""What goes wrong. Each is told how long, and marks when it begins and when all is well again."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from bench.faults.fleet import Fleet
from fairlead import clock

FLAP_DOWN_S, FLAP_UP_S = 4.0, 5.0


@dataclass(slots=True)
class Course:
    """When the fault began and ended. Unix seconds; 0 before it has."""

    begun_at: float = 0.0
    ended_at: float = 0.0

    def begin(self) -> None:
        self.begun_at = clock.wall()

    def end(self) -> None:
        self.ended_at = clock.wall()


Fault = Callable[[Fleet, float, Course], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault, and the number of models that the callers ask for."""

    what: str
    fault: Fault
    models: int = 1


async def nothing(fleet: Fleet, seconds: float, course: Course) -> None:
    course.begin()
    await asyncio.sleep(seconds)
    course.end()


async def kill(fleet: Fleet, seconds: float, course: Course) -> None:
    course.begin()
    fleet.bad.signal(signal.SIGKILL)
    await asyncio.sleep(seconds)
    await fleet.restart(fleet.bad)
    course.end()


async def hang(fleet: Fleet, seconds: float, course: Course) -> None:
    course.begin()
    fleet.bad.signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    fleet.bad.signal(signal.SIGCONT)
    course.end()


async def brown_out(fleet: Fleet, seconds: float, course: Course) -> None:
    course.begin()
    fleet.bad.signal(signal.SIGUSR1)
    await asyncio.sleep(seconds)
    fleet.bad.signal(signal.SIGUSR2)
    course.end()


async def flap(fleet: Fleet, seconds: float, course: Course) -> None:
    course.begin()
    ends_at = course.begun_at + seconds
    while True:
        fleet.bad.does(reset_on_accept=True)
        await asyncio.sleep(FLAP_DOWN_S)
        fleet.bad.does()
        if clock.wall() + FLAP_UP_S >= ends_at:
            break
        await asyncio.sleep(FLAP_UP_S)
    course.end()


async def storm(fleet: Fleet, seconds: float, course: Course) -> None:
    course.begin()
    fleet.bad.does(status=429, retry_after="2")
    await asyncio.sleep(seconds)
    fleet.bad.does()
    course.end()


async def stall(fleet: Fleet, seconds: float, course: Course) -> None:
    course.begin()
    fleet.bad.does(head_then_hang=True)
    await asyncio.sleep(seconds)
    fleet.bad.does()
    course.end()


async def errors(fleet: Fleet, seconds: float, course: Course) -> None:
    course.begin()
    fleet.bad.does(status=500)
    await asyncio.sleep(seconds)
    fleet.bad.does()
    course.end()


async def store_frozen(fleet: Fleet, seconds: float, course: Course) -> None:
    course.begin()
    fleet.signal_store(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    fleet.signal_store(signal.SIGCONT)
    course.end()


async def killed_while_store_frozen(fleet: Fleet, seconds: float, course: Course) -> None:
    fleet.signal_store(signal.SIGSTOP)
    await asyncio.sleep(3.0)
    await kill(fleet, seconds, course)
    await asyncio.sleep(3.0)
    fleet.signal_store(signal.SIGCONT)


SCENARIOS: Mapping[str, Scenario] = {
    "kill": Scenario("a provider is killed, and started again", kill),
    "hang": Scenario("it is stopped: connections are taken, nothing is answered", hang),
    "stall": Scenario("it answers 200 at once, and then nothing", stall),
    "brown-out": Scenario("its first tokens take six times as long", brown_out),
    "flap": Scenario(f"{FLAP_DOWN_S:g} s of resets, {FLAP_UP_S:g} s of health, by turns", flap),
    "storm": Scenario("it answers 429, Retry-After: 2", storm),
    "errors": Scenario("it answers 500", errors),
    "store": Scenario("Redis is stopped; the providers are well", store_frozen),
    "store+kill": Scenario("a provider is killed while Redis is stopped", killed_while_store_frozen),
    "many": Scenario("nothing; 102 endpoints", nothing, models=34),
}
