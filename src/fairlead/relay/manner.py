"""In what manner callers are answered: it depends on the base URL that they use."""

import functools
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Manner:
    """Under `/v1` and `/openai/v1` replies stay the provider's bytes, but for the cost; under `/api/v1` not."""

    is_adapted: bool = False
    """Replies have OpenRouter's shape, whoever sent them."""
    has_comments: bool = True
    """A stream that has nothing to say for long says so, by a comment."""
    hides_reasoning: bool = False
    """The caller does not want to read what the model thought."""


OPENROUTER = Manner(is_adapted=True)
OPENAI = Manner()
GATEROUTER = Manner(has_comments=False)


@functools.cache  # asked with the few paths that there are
def manner_of(path: str) -> Manner:
    """Return the manner of a route. What becomes a Response is adapted first, under any base."""
    if path.startswith("/api/") or path.endswith("/responses"):
        return OPENROUTER
    return GATEROUTER if path.startswith("/openai/") else OPENAI
