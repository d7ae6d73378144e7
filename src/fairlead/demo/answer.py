"""Decides what a provider answers to a request: routes, content, and the script's word on both."""

import gzip
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Final

import orjson

from fairlead.demo import prose, shapes
from fairlead.demo.chat import Chat, WrongChat, read_chat
from fairlead.demo.intake import ReceivedRequest
from fairlead.demo.personality import Pace, Personality
from fairlead.demo.reply import EVENTS, JSON, Reply, error, reply_of
from fairlead.demo.script import PLAIN, Script
from fairlead.demo.shapes import Envelope, Events

MAX_REMEMBERED: Final = 64
"""Answers that are kept composed: a benchmark asks the same few questions very often."""
MAX_REMEMBERED_BYTES: Final = 16 * 1024

_WORD: Final = re.compile(r"\S+\s*|\s+")

_PAGE: Final = (
    b"<!doctype html><title>Please wait</title><h1>Service temporarily unavailable</h1><p>This page is simulated.</p>"
)


def is_chat(request: ReceivedRequest) -> bool:
    """Whether the path is that of chat completions; any prefix will do."""
    return request.path.endswith("/chat/completions")


@dataclass(slots=True)
class Answer:
    """What the provider says to a chat."""

    chat: Chat
    model: bytes
    """As JSON."""
    words: Sequence[str]
    finish: str
    usage: Mapping[str, object]
    completion: bytes
    """The body where the answer is no stream, after its envelope."""


class Provider:
    """Answers as one personality does. Pure: the same requests in the same order get the same replies."""

    def __init__(self, personality: Personality, seed: int = 0) -> None:
        self.personality = personality
        self._seed = seed
        self._preface = prose.preface(personality.name)
        self._model_ids = frozenset(model.id for model in personality.models)
        self._count = 0
        self._remembered: dict[bytes, Answer] = {}
        self._remembered_under = PLAIN

    def answer(self, request: ReceivedRequest, script: Script, pace: Pace, now: float) -> Reply:
        """The reply to `request` at `now`, in Unix seconds."""
        if request.method == "HEAD":
            return reply_of(b"", status=405)
        if (instead := self._instead(script)) is not None:
            return instead
        if pace.fails:
            return error(503, f"demo provider {self.personality.name} is simulating an outage")
        return _encoded(self._route(request, script, now), script)

    def _instead(self, script: Script) -> Reply | None:
        """What the script puts in the place of the answer."""
        status = script.status or 200
        if script.body is not None:
            return _encoded(reply_of(script.body, status=status), script)
        if script.html:
            return reply_of(_PAGE, status=status, content_type="text/html; charset=utf-8")
        if script.empty or status in (204, 304):
            return reply_of(b"", status=status)
        if status >= 300:
            message = f"demo provider {self.personality.name} was told to answer {status} {shapes.phrase(status)}"
            return _encoded(error(status, message), script)
        return None

    def _route(self, request: ReceivedRequest, script: Script, now: float) -> Reply:
        path = request.path
        if is_chat(request):
            if request.method != "POST":
                return _wrong_method("POST")
            return self._chat(request.body, script, now)
        if path.endswith("/models"):
            if request.method != "GET":
                return _wrong_method("GET")
            return reply_of(shapes.model_list(self.personality.name, self.personality.models, int(now)))
        return error(404, f"Unknown request URL: {request.method} {path}", code="unknown_url")

    def _chat(self, body: bytes, script: Script, now: float) -> Reply:
        try:
            answer = self._answer_to(body, script)
        except WrongChat as wrong:
            return error(wrong.status, str(wrong), code=wrong.code, param=wrong.param)
        self._count += 1
        envelope = Envelope(f"chatcmpl-demo-{self._count:012d}", int(now), answer.model)
        if answer.chat.is_stream:
            return _stream(envelope, answer, script, provider=self.personality.name)
        return _completion(envelope, answer, script)

    def _answer_to(self, body: bytes, script: Script) -> Answer:
        if script is not self._remembered_under:
            self._remembered_under = script
            self._remembered.clear()
        answer = self._remembered.get(body)
        if answer is None:
            answer = self._compose(body, script)
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            if len(body) <= MAX_REMEMBERED_BYTES:
                self._remembered[body] = answer
        return answer

    def _compose(self, body: bytes, script: Script) -> Answer:
        chat = read_chat(body)
        if self._model_ids and chat.model not in self._model_ids:
            message = f"The model `{chat.model}` does not exist or you do not have access to it."
            raise WrongChat(message, "model", status=404, code="model_not_found")
        finish = "stop"
        words: list[str]
        if script.text is not None:
            words = _WORD.findall(script.text)
        else:
            words = prose.compose(self._preface, chat.last_message(), zlib.crc32(body, self._seed), script.tokens)
            if chat.max_tokens is not None and len(words) > chat.max_tokens:
                del words[chat.max_tokens :]
                finish = "length"
        usage = script.usage if script.usage is not None else shapes.usage_of(chat.prompt_tokens(), len(words))
        completion = b"" if chat.is_stream else shapes.completion(words, finish, usage)
        return Answer(chat, orjson.dumps(chat.model), words, finish, usage, completion)


def _wrong_method(allowed: str) -> Reply:
    reply = error(405, f"Only {allowed} is served here.", code="method_not_allowed")
    reply.headers.append(("allow", allowed))
    return reply


def _completion(envelope: Envelope, answer: Answer, script: Script) -> Reply:
    status = script.status or 200
    body = envelope.open(b"chat.completion") + answer.completion
    if script.endless is not None:
        pieces = shapes.endless(Events.of(envelope, includes_usage=False), "body")
        return Reply(status, JSON, pieces, 0, is_stream=True, words=len(answer.words))
    if script.flood_bytes is None:
        return Reply(status, JSON, (body,), len(body), words=len(answer.words))
    total = max(script.flood_bytes, len(body))
    return Reply(status, JSON, shapes.flood_body(body, total), total)


def _stream(envelope: Envelope, answer: Answer, script: Script, *, provider: str) -> Reply:
    includes_usage = answer.chat.includes_usage
    events = Events.of(envelope, includes_usage=includes_usage)
    last = [
        *(() if script.missing_finish else (events.finish(answer.finish),)),
        *((events.usage(answer.usage),) if includes_usage else ()),
        *(() if script.missing_done else (shapes.DONE,)),
    ]
    pieces: Iterable[bytes]
    if script.endless is not None:
        pieces = shapes.endless(events, script.endless, answer.words)
        return Reply(script.status or 200, EVENTS, pieces, 0, is_stream=True)
    if script.flood_bytes is None:
        pieces = _spoiled([events.role(), *events.words(answer.words), *last], events, script, provider)
        length = sum(map(len, pieces))
    else:
        length = max(script.flood_bytes, len(events.role()) + sum(map(len, last)))
        pieces = shapes.flood_events(events, last, length)
    return Reply(script.status or 200, EVENTS, pieces, length, is_stream=True, words=len(answer.words))


def _spoiled(pieces: list[bytes], events: Events, script: Script, provider: str) -> list[bytes]:
    if script.malformed_event is not None and script.malformed_event < len(pieces):
        pieces[script.malformed_event] = events.malformed()
    if script.error_in_stream is not None:
        pieces[script.error_in_stream :] = [shapes.error_event(provider)]
    return pieces


def _encoded(reply: Reply, script: Script) -> Reply:
    if script.encoding is None or reply.is_stream:
        return reply
    plain = b"".join(reply.pieces)
    # brotli is no dependency of ours: whoever scripts it has it.
    packed = gzip.compress(plain, mtime=0) if script.encoding == "gzip" else import_module("brotli").compress(plain)
    headers = [*reply.headers, ("content-encoding", script.encoding)]
    return replace(reply, pieces=(packed,), length=len(packed), headers=headers)
