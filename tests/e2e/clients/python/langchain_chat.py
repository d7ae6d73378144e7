"""What is asked of any chat model of LangChain's."""

import functools
import operator

from answering import QUESTION, TOOL, weather
from langchain_core.messages import HumanMessage, ToolMessage


def commands_of(model_of):
    """The commands; `model_of` makes the chat model from the members of a command."""

    def plain(asked, _):
        return _shown(model_of(asked).invoke(QUESTION))

    def stream(asked, hear):
        return _shown(_heard(model_of(asked).stream(QUESTION), hear))

    def tools(asked, hear):
        model = model_of(asked).bind_tools([TOOL])
        turns = [HumanMessage(QUESTION)]
        turns.append(_heard(model.stream(turns), hear) if asked["streamed"] else model.invoke(turns))
        [call] = turns[-1].tool_calls
        turns.append(ToolMessage(weather(**call["args"]), tool_call_id=call["id"]))
        last = _heard(model.stream(turns), hear) if asked["streamed"] else model.invoke(turns)
        return {"called": call["name"], "arguments": call["args"], **_shown(last)}

    return {"plain": plain, "stream": stream, "tools": tools}


def _heard(chunks, hear):
    """The whole message; empty pieces are not heard."""

    def each():
        for chunk in chunks:
            if chunk.text:
                hear(chunk.text)
            yield chunk

    return functools.reduce(operator.add, each())


def _shown(message):
    told = message.response_metadata
    usage = message.usage_metadata or {}
    return {
        "text": message.text,
        "finish": told.get("finish_reason"),
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "cost": told.get("cost") or told.get("token_usage", {}).get("cost"),
        "provider": told.get("provider"),
        "reasoning": message.additional_kwargs.get("reasoning_content"),
    }
