"""Which endpoint a conversation stays with, since its prompt is in that provider's cache (wire-api, section 7.6).

    a reply with cached tokens, or any in a session ──renew──▶ pin ──find──▶ the next turn's first candidate

A pin belongs to a key, a model and a conversation. It comes about only where reading from the cache is cheaper than
the prompt, ends after TTL_S without a success, and at once when the provider fails. What is pinned comes first as long
as it is fit to be asked: whether it is ejected, cooling down, full or excluded by the request is decided before. With
`provider.order` there is none. A request for `auto` finds the model in the same way.

Every worker keeps all pins in memory and tells the others of its own (`store/sticky.py`), so no request waits for the
store; one that comes before the news has the home that `plan/pick.py` finds without any.
"""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fairlead.access.keys import ApiKey
from fairlead.catalog.model import Endpoint

TTL_S = 600.0
TELL_AGAIN_S = 60.0
"""A pin that is only renewed is told to the others no more often: they may take it for so much older than it is."""
MOST_PINS = 50_000
"""Some 15 MB. Those unused for longest make room."""
MOST_NEWS = 5_000
"""Kept for the store while it is away."""


class Told(NamedTuple):
    """A pin as it is told to other workers."""

    key: int
    endpoint_id: str
    is_routed: bool = False
    is_over: bool = False


@dataclass(slots=True)
class _Pin:
    endpoint_id: str
    until: float
    told_at: float


class Pins:
    """The pins of a worker. `now` is monotonic seconds; keys are `key_of` a caller's conversation."""

    def __init__(self) -> None:
        self._pins: dict[tuple[int, str], _Pin] = {}
        """By key and model, those renewed last at the end; the model is empty for a router's choice."""
        self._news: dict[tuple[int, str], Told] = {}
        self.asked_at = -math.inf
        """When somebody looked for one last."""

    def find(self, key: int, model_id: str, now: float) -> str:
        """Return the id of the endpoint that a conversation stays with, for a model; empty if there is none."""
        self.asked_at = now
        pin = self._pins.get((key, model_id))
        return pin.endpoint_id if pin is not None and now < pin.until else ""

    def find_model(self, key: int, now: float) -> str:
        """Return the model that a router has chosen for the conversation; empty if none stays."""
        return _model_of(self.find(key, "", now))

    def renew(self, key: int, endpoint_id: str, now: float, *, is_routed: bool = False) -> None:
        """Let the next turn go there too: this one went well. `is_routed`: a router has chosen the model."""
        names = [_model_of(endpoint_id), ""][: 1 + is_routed]
        known = [pin for name in names if (pin := self._pins.get((key, name))) and pin.endpoint_id == endpoint_id]
        told_at = min((pin.told_at for pin in known), default=now)
        if len(known) < len(names) or now - told_at >= TELL_AGAIN_S:
            told_at = now
            self._tell(Told(key, endpoint_id, is_routed))
        self._set(key, names, _Pin(endpoint_id, now + TTL_S, told_at))

    def end(self, key: int, endpoint_id: str) -> None:
        """Let the next turn go elsewhere: the provider has failed."""
        if self._drop(key, endpoint_id):
            self._tell(Told(key, endpoint_id, is_over=True))

    def take_news(self) -> Sequence[Told]:
        """Hand over what the other workers have not been told."""
        news, self._news = list(self._news.values()), {}
        return news

    def give_back(self, news: Sequence[Told]) -> None:
        """Take back what could not be told."""
        newer, self._news = self._news, {}
        for told in (*news, *newer.values()):
            self._tell(told)

    def hear(self, told: Told, age_s: float, now: float) -> None:
        """Take in what another worker said `age_s` seconds ago."""
        if told.is_over:
            self._drop(told.key, told.endpoint_id)
        elif age_s < TTL_S:
            names = [_model_of(told.endpoint_id), ""][: 1 + told.is_routed]
            self._set(told.key, names, _Pin(told.endpoint_id, now + TTL_S - age_s, now - age_s))

    def _set(self, key: int, names: Sequence[str], pin: _Pin) -> None:
        for name in names:
            self._pins.pop((key, name), None)
            self._pins[key, name] = pin
        while len(self._pins) > MOST_PINS:
            del self._pins[next(iter(self._pins))]

    def _drop(self, key: int, endpoint_id: str) -> bool:
        names = [(key, _model_of(endpoint_id)), (key, "")]
        found = [name for name in names if (pin := self._pins.get(name)) and pin.endpoint_id == endpoint_id]
        for name in found:
            del self._pins[name]
        return bool(found)

    def _tell(self, told: Told) -> None:
        name = told.key, _model_of(told.endpoint_id)
        self._news.pop(name, None)
        self._news[name] = told
        if len(self._news) > MOST_NEWS:
            del self._news[next(iter(self._news))]


def key_of(key: ApiKey, conversation: int) -> int:
    """Return the number of a caller's conversation, 64 bits: of the key and of what its turns have in common."""
    return zlib.crc32(key.hash.encode()) << 32 | conversation


def is_worth_it(endpoint: Endpoint) -> bool:
    """Whether staying saves money: reading the prompt from the cache is cheaper than the prompt itself."""
    price = endpoint.price
    return price is not None and price.cache_read is not None and price.cache_read < price.prompt


def _model_of(endpoint_id: str) -> str:
    return endpoint_id.partition(":")[2]
