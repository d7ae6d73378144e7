"""A conversation stays where its prompt is cached: seen by which simulator is asked next."""

import pytest

from fairlead.catalog.model import Model, Price
from fairlead.demo.script import Script
from harness.gateway import gateway
from harness.http import ask, chat_body

pytestmark = pytest.mark.anyio

CHEAPER = Price(prompt=1_000_000, completion=2_000_000, cache_read=100_000)
CACHED = Script(usage={"prompt_tokens": 1000, "completion_tokens": 8, "prompt_tokens_details": {"cached_tokens": 900}})
ELSEWHERE = {"provider": {"only": ["sim1"]}}
"""The first one is asked unless something speaks for the second."""
LONG = [{"role": "system", "content": "word " * 1000}, {"role": "user", "content": "hello"}]
FAILING = Script(status=500)


def serve(*scripts, price=CHEAPER, **options):
    return gateway(*(scripts or (Script(), Script())), price=price, **options)


async def turn(served, *, headers=(), **members):
    """Ask, and return the number of the simulator that answers; None if none does."""
    before = len(served.records)
    answer = await ask(served, chat_body(**members), headers=headers)
    await served.until(lambda: len(served.records) > before)  # and settled
    return int(answer.headers["x-fairlead-provider"][-1]) if answer.status == 200 else None


class TestSession:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_after_its_first_success_it_stays(self, stream):
        async with serve() as served:
            assert await turn(served, stream=stream) == 0
            assert await turn(served, stream=stream, session_id="s", **ELSEWHERE) == 1
            assert await turn(served, stream=stream, session_id="s") == 1
            assert await turn(served, stream=stream, session_id="t") == 0
            assert await turn(served, stream=stream) == 0

    async def test_the_head_may_name_it(self):
        async with serve() as served:
            assert await turn(served, headers=[("x-session-id", "s")], **ELSEWHERE) == 1
            assert await turn(served, headers=[("x-session-id", "s")]) == 1
            assert await turn(served, headers=[("x-session-id", "s")], session_id="t") == 0

    async def test_an_order_goes_before_it_and_leaves_it_alone(self):
        async with serve() as served:
            assert await turn(served, session_id="s", **ELSEWHERE) == 1
            assert await turn(served, session_id="s", provider={"order": ["sim0"]}) == 0
            assert await turn(served, session_id="s") == 1

    async def test_it_does_not_keep_a_request_from_where_it_may_go(self):
        async with serve() as served:
            assert await turn(served, session_id="s", **ELSEWHERE) == 1
            assert await turn(served, session_id="s", provider={"ignore": ["sim1"]}) == 0
            assert await turn(served, session_id="s") == 0

    async def test_a_failure_sends_it_on_and_it_stays_there(self):
        async with serve() as served:
            assert await turn(served, session_id="s", **ELSEWHERE) == 1
            served.simulators[1].script = FAILING
            assert await turn(served, session_id="s") == 0
            served.simulators[1].script = Script()
            assert await turn(served, session_id="s") == 0
            assert len(served.simulators[1].requests) == 2

    async def test_a_failure_ends_it_also_where_nobody_else_answers(self):
        async with serve() as served:
            assert await turn(served, session_id="s", **ELSEWHERE) == 1
            served.simulators[1].script = FAILING
            assert await turn(served, session_id="s", **ELSEWHERE) is None
            assert await turn(served, session_id="s") == 0

    async def test_a_request_that_was_at_fault_says_nothing_of_the_provider(self):
        async with serve() as served:
            assert await turn(served, session_id="s", **ELSEWHERE) == 1
            served.simulators[1].script = Script(status=400)
            assert await turn(served, session_id="s") is None
            served.simulators[1].script = Script()
            assert await turn(served, session_id="s") == 1

    async def test_never_to_one_that_is_ejected(self):
        async with serve() as served:
            assert await turn(served, session_id="s", **ELSEWHERE) == 1
            served.simulators[1].script = FAILING
            for _ in range(6):
                await turn(served, **ELSEWHERE)
            served.simulators[1].script = Script()
            before = len(served.simulators[1].requests)
            assert await turn(served, session_id="s") == 0
            assert len(served.simulators[1].requests) == before

    @pytest.mark.parametrize("price", [None, Price(1_000_000, 2_000_000), Price(1_000, 2_000, cache_read=1_000)])
    async def test_not_where_nothing_is_saved(self, price):
        async with serve(price=price) as served:
            assert await turn(served, session_id="s", **ELSEWHERE) == 1
            assert await turn(served, session_id="s") == 0


class TestCacheUse:
    async def test_a_reply_that_shows_it_makes_the_conversation_stay(self):
        async with serve(Script(), CACHED) as served:
            for n in range(12):
                begin = [LONG[0], {"role": "user", "content": f"and {n}?"}]
                assert await turn(served, messages=begin, **ELSEWHERE) == 1
                more = [*begin, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "more"}]
                assert await turn(served, messages=more) == 1

    async def test_without_it_each_has_its_home_from_the_first_turn_on(self):
        async with serve() as served:
            homes = []
            for n in range(12):
                begin = [LONG[0], {"role": "user", "content": f"and {n}?"}]
                homes.append(await turn(served, messages=begin))
                assert await turn(served, messages=[*begin, LONG[1]]) == homes[-1]
            assert set(homes) == {0, 1}

    async def test_one_that_shows_none_does_not(self):
        async with serve() as served:
            assert await turn(served, prompt_cache_key="k", **ELSEWHERE) == 1
            assert await turn(served, prompt_cache_key="k") == 0

    async def test_a_cache_key_names_the_conversation(self):
        async with serve(Script(), CACHED) as served:
            assert await turn(served, prompt_cache_key="k", **ELSEWHERE) == 1
            assert await turn(served, prompt_cache_key="k", messages=LONG) == 1
            assert await turn(served, prompt_cache_key="l") == 0


async def test_auto_keeps_its_model():
    models = {Model(f"{author}/near", f"{author}: Near", 8192): [0, 1] for author in "abcdef"}
    async with serve(models=models) as served:

        async def model(session_id, **members):
            answer = await ask(served, chat_body(model="auto", session_id=session_id, **members))
            return answer.json["model"], int(answer.headers["x-fairlead-provider"][-1])

        for n in range(5):
            chosen, _ = await model(f"s{n}", **ELSEWHERE)
            assert [await model(f"s{n}", messages=LONG) for _ in range(3)] == [(chosen, 1)] * 3
