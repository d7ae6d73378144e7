import gc
import json

import litellm
from answering import QUESTION, TOOL, answer, weather

# A stream that broke off is left to the garbage collector. Should that come to it while httpcore holds the lock of its
# connections, httpcore waits for itself, for ever.
gc.disable()

HELLO = [{"role": "user", "content": QUESTION}]


def _ask(asked, messages, **members):
    if "preferences" in asked:
        members["extra_body"] = {"provider": asked["preferences"]}
    return litellm.completion(
        model=f"{asked['provider']}/{asked['model']}",
        api_base=asked["base_url"],
        api_key=asked["key"],
        messages=messages,
        max_retries=0,
        num_retries=0,
        **members,
    )


def plain(asked, _):
    return _shown(_ask(asked, HELLO))


def stream(asked, hear):
    return _shown(_heard(asked, HELLO, hear))


def _heard(asked, messages, hear, **members):
    chunks = []
    for chunk in _ask(asked, messages, stream=True, stream_options={"include_usage": True}, **members):
        chunks.append(chunk)
        if chunk.choices and chunk.choices[0].delta.content:
            hear(chunk.choices[0].delta.content)
    return litellm.stream_chunk_builder(chunks, messages=messages)


def tools(asked, hear):
    def said(messages):
        if asked["streamed"]:
            return _heard(asked, messages, hear, tools=[TOOL])
        return _ask(asked, messages, tools=[TOOL])

    message = said(HELLO).choices[0].message
    [call] = message.tool_calls
    arguments = json.loads(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": weather(**arguments)}
    return {"called": call.function.name, "arguments": arguments, **_shown(said([*HELLO, message, result]))}


def _shown(reply):
    [choice] = reply.choices
    return {
        "text": choice.message.content,
        "finish": choice.finish_reason,
        "prompt_tokens": reply.usage.prompt_tokens,
        "completion_tokens": reply.usage.completion_tokens,
        "cost": getattr(reply.usage, "cost", None),
        "reasoning": getattr(choice.message, "reasoning_content", None),
    }


def models(asked, _):
    """With the provider's own list; for `openrouter` there is none in LiteLLM."""
    return {
        "ids": litellm.get_valid_models(
            check_provider_endpoint=True,
            custom_llm_provider=asked["provider"],
            api_key=asked["key"],
            api_base=asked["base_url"],
        )
    }


answer({"plain": plain, "stream": stream, "tools": tools, "models": models})
