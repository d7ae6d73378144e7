import json

from answering import QUESTION, TOOL, answer, weather
from openrouter import OpenRouter


def _client(asked):
    return OpenRouter(api_key=asked["key"], server_url=asked["base_url"], retry_config=None)


def _ask(client, asked, messages, **members):
    if "preferences" in asked:
        members["provider"] = asked["preferences"]
    return client.chat.send(model=asked["model"], messages=messages, **members)


HELLO = [{"role": "user", "content": QUESTION}]


def plain(asked, _):
    with _client(asked) as client:
        return _shown(_ask(client, asked, HELLO))


def _shown(reply):
    [choice] = reply.choices
    return {
        "text": choice.message.content,
        "finish": choice.finish_reason,
        "reasoning": choice.message.reasoning,
        **_used(reply.usage),
    }


def _used(usage):
    told = usage.model_dump()
    return {name: told.get(name) for name in ("prompt_tokens", "completion_tokens", "cost")}


def stream(asked, hear):
    shown = {"reasoning": ""}
    with _client(asked) as client, _ask(client, asked, HELLO, stream=True) as chunks:
        for chunk in chunks:
            for choice in chunk.choices:
                if choice.delta.content:
                    hear(choice.delta.content)
                shown["reasoning"] += choice.delta.reasoning or ""
                if choice.finish_reason:
                    shown["finish"] = choice.finish_reason
            if chunk.usage:
                shown |= _used(chunk.usage)
    return shown


def tools(asked, _):
    with _client(asked) as client:
        message = _ask(client, asked, HELLO, tools=[TOOL]).choices[0].message
        [call] = message.tool_calls
        arguments = json.loads(call.function.arguments)
        result = {"role": "tool", "tool_call_id": call.id, "content": weather(**arguments)}
        last = _ask(client, asked, [*HELLO, message, result], tools=[TOOL])
    return {"called": call.function.name, "arguments": arguments, **_shown(last)}


def models(asked, _):
    listed = {}
    with _client(asked) as client:
        page = client.models.list()
        while page is not None:
            listed |= {model.id: model for model in page.result.data}
            page = page.next()
    return {"ids": list(listed), "prompt_price": listed[asked["model"]].pricing.prompt}


def endpoints(asked, _):
    author, _, slug = asked["model"].partition("/")
    with _client(asked) as client:
        data = client.endpoints.list(author=author, slug=slug).data
    return {"id": data.id, "providers": [endpoint.provider_name for endpoint in data.endpoints]}


answer({"plain": plain, "stream": stream, "tools": tools, "models": models, "endpoints": endpoints})
