"""`llm` as its documentation has it for servers that speak OpenAI's dialect: an entry in a file of its own."""

import json

import llm
from answering import QUESTION, answer, weather


def _model(asked):
    llm.user_dir().joinpath("keys.json").write_text(json.dumps({"fairlead": asked["key"]}))
    entry = {
        "model_id": "ours",
        "model_name": asked["model"],
        "api_base": asked["base_url"],
        "api_key_name": "fairlead",
        "supports_tools": True,
    }
    llm.user_dir().joinpath("extra-openai-models.yaml").write_text(json.dumps([entry]))  # which is YAML too
    return llm.get_model("ours")


def plain(asked, _):
    return _shown(_model(asked).prompt(QUESTION, stream=False))


def stream(asked, hear):
    response = _model(asked).prompt(QUESTION)
    for piece in response:
        hear(piece)
    return _shown(response)


def tools(asked, _):
    called = []

    def ask_weather(town: str) -> str:
        """The weather of a town."""
        called.append({"town": town})
        return weather(town)

    tool = llm.Tool.function(ask_weather, name="weather")
    text = _model(asked).chain(QUESTION, tools=[tool], stream=asked["streamed"]).text()
    [arguments] = called
    return {"called": "weather", "arguments": arguments, "text": text}


def _shown(response):
    usage = response.usage()
    told = response.response_json or {}
    return {
        "text": response.text(),
        "finish": told.get("finish_reason") or told["choices"][0]["finish_reason"],
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "cost": (told.get("usage") or {}).get("cost"),
    }


answer({"plain": plain, "stream": stream, "tools": tools})
