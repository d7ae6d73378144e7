from answering import answer
from langchain_chat import commands_of
from langchain_openai import ChatOpenAI


def model_of(asked):
    return ChatOpenAI(model=asked["model"], base_url=asked["base_url"], api_key=asked["key"], max_retries=0)


answer(commands_of(model_of))
