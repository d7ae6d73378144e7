"""A request made to fit into its model's context: OpenRouter's context compression.

Where the caller asks for it, and under `/api/v1` by default for models with little context (wire-api, section 3.6).
The body is made for the model that is asked first; with other models behind it, one that fits there may do no less.
"""

import asyncio
import functools
from collections.abc import Sequence

from fairlead.plan.candidate import Candidate
from fairlead.wire.middle_out import MOST_ANTHROPIC_MESSAGES, compress, is_wanted, wants_compression
from fairlead.wire.request import ChatRequest
from fairlead.wire.tokens import TokenEstimates

THREAD_BYTES = 1_000_000
"""Larger bodies are worked on beside the event loop: 3 MB take 20 ms."""
_REPLY_PART = 4
"""Of the context, for the reply, where nobody says how long that may be."""


async def fitted(
    request: ChatRequest, asked: Sequence[Candidate], estimates: TokenEstimates, *, is_by_default: bool
) -> ChatRequest:
    """Return the request as it is, or without the middle of what is too much. What cannot be made to fit goes as it is:
    the provider's refusal says by how much."""
    endpoint = asked[0].endpoint
    model = endpoint.model
    context = model.context_length
    wants = is_wanted(request, context) if is_by_default else wants_compression(request)
    if context is None or not wants:
        return request
    reply = request.max_output_tokens or min(model.max_completion_tokens or context, context // _REPLY_PART)
    make = functools.partial(
        compress,
        request,
        max(context - reply, 0),
        functools.partial(estimates.prompt_tokens, endpoint.id),
        MOST_ANTHROPIC_MESSAGES if model.id.startswith("anthropic/") else None,
    )
    found = await asyncio.to_thread(make) if len(request.raw) > THREAD_BYTES else make()
    return request if found.raw is request.raw or not found.fits else ChatRequest.parse(found.raw)
