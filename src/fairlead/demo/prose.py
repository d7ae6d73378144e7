"""The words of a simulated answer: honest about what they are, and the same for the same request."""

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Final

QUOTE_CHARACTERS: Final = 60

_SENTENCES: Final = (
    "A lighthouse keeper counts ships the way a scheduler counts requests, one lamp turn at a time.",
    "Nothing here was thought about; the sentences are drawn from a short list in a fixed order.",
    "Small parts with plain names are easier to trust than one large part with a clever name.",
    "The kettle boils at the same speed whether or not anybody is watching the clock.",
    "When two roads lead to the same village, take the one with fewer carts on it today.",
    "A good map leaves out almost everything and is still right about the bridges.",
    "Rain fell on the roof of the station, and the timetable did not mention it.",
    "Measure first, then decide, and write down which of the two you did.",
    "The baker sells the last loaf at the same price as the first, which is a kind of promise.",
    "Every queue is a letter from the future, saying that somebody should have built a second door.",
    "An empty answer delivered quickly is still empty, but it is at least early.",
    "The tide table was printed a year ago and has not been wrong since.",
)


def _split(text: str) -> tuple[str, ...]:
    return tuple(f"{word} " for word in text.split())


_WORDS: Final = tuple(_split(sentence) for sentence in _SENTENCES)


def preface(provider: str) -> tuple[str, ...]:
    """The words that every answer of `provider` starts with."""
    return _split(f"[DEMO] This is simulated text from demo provider {provider}; no model was asked.")


def compose(preface_words: Sequence[str], last_message: str, seed: int, count: int | None) -> list[str]:
    """An answer as words, each with the space after it but the last.

    `count` is exact, with sentences repeated as often as it takes; `None` lets the seed choose two to four of them.
    """
    words = [*preface_words]
    if quote := " ".join(last_message[: QUOTE_CHARACTERS * 4].split()):
        short = quote if len(quote) <= QUOTE_CHARACTERS else f"{quote[:QUOTE_CHARACTERS].rstrip()}…"
        words += _split(f"You wrote: “{short}”.")
    start = seed % len(_WORDS)
    sentences = islice(cycle(_WORDS), start, None if count is not None else start + 2 + seed // len(_WORDS) % 3)
    for sentence in sentences:
        if count is not None and len(words) >= count:
            break
        words += sentence
    if count is not None:
        del words[count:]
    if words:
        words[-1] = words[-1].rstrip()
    return words
