"""A whole reply in OpenRouter's shape (wire-api, section 3.2), made of any that is shaped like OpenAI's."""

from collections.abc import Callable

from msgspec import Raw

from fairlead.catalog.pricing import Usage
from fairlead.wire.cost import BillOf, with_cost
from fairlead.wire.openrouter_calls import whole_calls
from fairlead.wire.openrouter_shape import (
    ASSISTANT,
    MEMBERS,
    NOTHING,
    NULL,
    OBJECTS,
    REPLACED,
    UNREADABLE,
    Identity,
    Members,
    drop_nulls,
    encode,
    flatten_content,
    hide_reasoning,
    normalise_finish,
    offer_reasoning,
    on_one_line,
)
from fairlead.wire.openrouter_usage import canonical_usage, priced, usage_json
from fairlead.wire.utf8 import paired, repaired

Estimate = Callable[[], Usage]
"""What a reply has presumably used, where its provider does not tell: OpenRouter's clients count on being told."""
Metadata = Callable[[], bytes]
"""The member `openrouter_metadata`, as JSON."""


def adapted_reply(
    body: bytes, identity: Identity, bill_of: BillOf, estimate: Estimate, metadata: Metadata | None = None
) -> tuple[bytes, Usage | None]:
    """Return the reply in OpenRouter's shape, and the usage as the provider has told it.

    What is no completion (an error in a reply of status 200, or not JSON at all) is returned as it came.
    """
    body = repaired(body)
    try:
        members = _members(body)
        choices = [_choice(choice, identity) for choice in OBJECTS.decode(members.pop("choices", NULL))]
    except UNREADABLE:
        return with_cost(body, bill_of)[:2]
    for name in REPLACED:
        members.pop(name, None)
    told = canonical_usage(members.pop("usage", NULL))
    members.setdefault("system_fingerprint", NULL)
    usage = priced(told[0] if told else usage_json(estimate()), bill_of)
    rest = {"choices": choices, **members, "usage": Raw(usage)}
    if metadata is not None:
        rest["openrouter_metadata"] = Raw(metadata())
    whole = b"{%b,%b" % (identity.members("chat.completion"), encode(rest)[1:])
    return whole, told[1] if told else None


def _members(body: bytes) -> Members:
    try:
        return MEMBERS.decode(body)
    except UNREADABLE:
        return MEMBERS.decode(paired(body))


def _choice(choice: Members, identity: Identity) -> Members:
    message: Members = {"role": ASSISTANT, "content": NULL, "refusal": NULL, "reasoning": NULL}
    message |= MEMBERS.decode(choice.pop("message", Raw(b"{}")))
    message["role"] = ASSISTANT
    drop_nulls(message)
    flatten_content(message)
    if identity.hides_reasoning:
        hide_reasoning(message)
        message["reasoning"] = NULL
    else:
        offer_reasoning(message)
    has_calls = message.get("tool_calls", NOTHING) != NOTHING
    if has_calls:
        message["tool_calls"] = whole_calls(message["tool_calls"])
    normalise_finish(choice, has_calls=has_calls)
    return {"index": 0, "logprobs": NULL, **choice, "message": message}


def as_events(body: bytes) -> bytes:
    """Return a whole reply as the stream that was asked for: an event, and the end. Not every provider can stream.

    Raises one of UNREADABLE for what is no completion.
    """
    members = MEMBERS.decode(on_one_line(paired(repaired(body))))
    choices = OBJECTS.decode(members.pop("choices", NULL))
    for choice in choices:
        choice["delta"] = choice.pop("message", Raw(b"{}"))
    return b"data: %b\n\ndata: [DONE]\n\n" % encode({"choices": choices, **members})
