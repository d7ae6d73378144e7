"""The loop of the programs in this folder: a command in a line of JSON in, what became of it in a line of JSON out."""

import json
import sys

QUESTION = "What is the weather in Köln?"
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a town.",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
    },
}


def weather(town):
    """What the tool of that name answers."""
    return f"Rain in {town}."


def answer(commands):
    """Do what is asked until there is nobody to ask. `commands` are functions by name.

    Each is given the members of the command, and a function to call with each piece of a stream; it returns a dict.
    """
    told, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    for line in sys.stdin:
        asked = json.loads(line)
        told.write(json.dumps(_done(commands[asked.pop("do")], asked)) + "\n")
        told.flush()


def _done(command, asked):
    heard = []
    try:
        return {"heard": heard, "result": command(asked, heard.append)}
    except Exception as error:  # noqa: BLE001 - which one it is, is what is asked
        return {
            "heard": heard,
            "raised": [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__],
            "status": getattr(error, "status_code", None),
            "said": str(error),
        }
