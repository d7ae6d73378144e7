"""How providers' request languages differ from each other, as far as a request must be changed for them.

    DIALECTS    by provider slug; who is not in it takes what callers send

Sources: wire-api, sections 15.2 and 15.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

OutputLimit = Literal["max_tokens", "max_completion_tokens"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What of a chat request a provider understands."""

    output_limit: OutputLimit | None = None
    """By which name it takes the limit on a reply's length; None: by either."""
    refused: frozenset[str] = frozenset()
    """Parameters that it answers with an error whatever the model."""
    is_openrouter: bool = False
    """It understands OpenRouter's own members: `plugins`, `provider`, `transforms`."""
    has_reasoning: bool = True
    """It takes the `reasoning` object; False: `reasoning_effort` only."""


PLAIN: Final = Dialect()


def _dialect(output_limit: OutputLimit | None = None, *refused: str, has_reasoning: bool = False) -> Dialect:
    return Dialect(output_limit, frozenset(refused), has_reasoning=has_reasoning)


DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType({
    "openai": _dialect("max_completion_tokens"),
    "azure": _dialect("max_completion_tokens"),
    "anthropic": _dialect(None),
    "google-ai-studio": _dialect("max_tokens"),
    "deepseek": _dialect("max_tokens"),
    "xai": _dialect("max_completion_tokens"),
    "moonshotai": _dialect("max_completion_tokens"),
    "z-ai": _dialect("max_tokens"),
    "minimax": _dialect("max_completion_tokens"),
    "mistral": _dialect("max_tokens", "logprobs", "top_logprobs", "logit_bias", "top_k", "min_p", "top_a"),
    "cohere": _dialect("max_tokens"),
    "perplexity": _dialect("max_tokens"),
    "alibaba": _dialect("max_tokens"),
    "meta": _dialect("max_completion_tokens"),
    "xiaomi": _dialect("max_tokens"),
    "chutes": _dialect("max_tokens"),
    "groq": _dialect("max_completion_tokens", "logprobs", "top_logprobs", "logit_bias"),
    "cerebras": _dialect(
        "max_completion_tokens", "frequency_penalty", "presence_penalty", "logit_bias", "parallel_tool_calls"
    ),
    "together": _dialect("max_tokens", has_reasoning=True),
    "deepinfra": _dialect("max_tokens", has_reasoning=True),
    "fireworks": _dialect("max_tokens"),
    "openrouter": Dialect(is_openrouter=True),
})  # fmt: skip
