import asyncio

from answering import QUESTION, answer, weather
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openrouter import OpenRouterModel, OpenRouterModelSettings
from pydantic_ai.providers.openrouter import OpenRouterProvider


def _agent(asked):
    client = AsyncOpenAI(base_url=asked["base_url"], api_key=asked["key"], max_retries=0)
    settings = {"openrouter_provider": asked["preferences"]} if "preferences" in asked else {}
    model = OpenRouterModel(asked["model"], provider=OpenRouterProvider(openai_client=client))
    return Agent(model, model_settings=OpenRouterModelSettings(**settings))


def plain(asked, _):
    run = _agent(asked).run_sync(QUESTION)
    return _shown(run.output, run.all_messages()[-1])


def _shown(text, response):
    told = response.provider_details or {}
    return {
        "text": text,
        "reasoning": response.thinking,
        "finish": response.finish_reason,
        "prompt_tokens": response.usage.input_tokens,
        "completion_tokens": response.usage.output_tokens,
        "cost": told.get("cost"),
        "provider": told.get("downstream_provider"),
    }


def stream(asked, hear):
    return asyncio.run(_stream(_agent(asked), hear))


async def _stream(agent, hear):
    async with agent.run_stream(QUESTION) as run:
        async for piece in run.stream_text(delta=True, debounce_by=None):
            hear(piece)
        return _shown(await run.get_output(), run.all_messages()[-1])


def tools(asked, hear):
    called = []

    def ask_weather(town: str) -> str:
        """The weather of a town."""
        called.append({"town": town})
        return weather(town)

    agent = _agent(asked)
    agent.tool_plain(ask_weather, name="weather")
    if asked["streamed"]:
        shown = asyncio.run(_stream(agent, hear))
    else:
        run = agent.run_sync(QUESTION)
        shown = _shown(run.output, run.all_messages()[-1])
    [arguments] = called
    return {"called": "weather", "arguments": arguments, **shown}


answer({"plain": plain, "stream": stream, "tools": tools})
