from answering import answer
from langchain_chat import commands_of
from langchain_openrouter import ChatOpenRouter


def model_of(asked):
    return ChatOpenRouter(
        model=asked["model"],
        base_url=asked["base_url"],
        api_key=asked["key"],
        max_retries=0,
        openrouter_provider=asked.get("preferences"),
    )


answer(commands_of(model_of))
