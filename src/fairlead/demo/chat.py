"""Reads of a chat request what the simulation needs."""

from dataclasses import dataclass
from typing import Any

import orjson


class WrongChat(Exception):
    """The body is no chat request that can be served; `param` is the member that is wrong."""

    def __init__(self, message: str, param: str | None = None, *, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.status = status
        self.code = code


@dataclass(slots=True)
class Chat:
    """What the simulation reads of a chat request."""

    model: str
    messages: list[Any]
    is_stream: bool
    includes_usage: bool
    max_tokens: int | None

    def last_message(self) -> str:
        """The text of the user's last message, or nothing."""
        for message in reversed(self.messages):
            if isinstance(message, dict) and message.get("role") == "user":
                return _text_of(message.get("content"))
        return ""

    def prompt_tokens(self) -> int:
        """About a token for four bytes of the messages."""
        return max(1, len(orjson.dumps(self.messages)) // 4)


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return " ".join(text for text in texts if isinstance(text, str))


def read_chat(body: bytes) -> Chat:
    """The chat request in `body`, or `WrongChat`."""
    try:
        members = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise WrongChat(f"We could not parse the JSON body of your request: {error}") from None
    if not isinstance(members, dict):
        raise WrongChat("The body must be a JSON object.")
    model, messages = members.get("model"), members.get("messages")
    if not isinstance(model, str) or not model:
        raise WrongChat("you must provide a model parameter", "model")
    if not isinstance(messages, list) or not messages:
        raise WrongChat("'messages' must be a list of one message or more.", "messages")
    options = members.get("stream_options")
    return Chat(
        model=model,
        messages=messages,
        is_stream=members.get("stream") is True,
        includes_usage=isinstance(options, dict) and options.get("include_usage") is True,
        max_tokens=_limit_of(members),
    )


def _limit_of(members: dict[str, Any]) -> int | None:
    limit = members.get("max_completion_tokens", members.get("max_tokens"))
    if limit is None:
        return None
    if not isinstance(limit, int) or limit < 1:
        raise WrongChat("The limit of tokens must be a whole number of 1 or more.", "max_tokens")
    return limit
