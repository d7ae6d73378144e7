"""Which members of a request an endpoint does not understand, so that they are left out for it.

OpenRouter's rule (wire-api, section 3.1): a parameter that the endpoint does not support is dropped, unless the caller
sets `provider.require_parameters`. The vocabulary is that of `supported_parameters` in a model list; other members are
nobody's business but the provider's. Not among them: `tools`, without which the answer would be another one, the
limits on a reply's length, which all endpoints have by one name or the other, and what the catalogue knows of no model.
"""

from fairlead.catalog.dialects import PLAIN
from fairlead.catalog.model import Endpoint
from fairlead.wire.request import ROUTING_MEMBERS

DROPPABLE = frozenset((
    "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty",
    "logit_bias", "logprobs", "top_logprobs", "seed", "stop", "response_format", "structured_outputs",
    "tool_choice", "parallel_tool_calls", "include_reasoning", "reasoning", "reasoning_effort",
    "verbosity",
))  # fmt: skip
ONLY_OPENROUTERS = frozenset(("structured_outputs", "image_config", "cache_control", "top_a"))
"""Members that hosted providers answer with an error; an engine of one's own may have its own meaning for them."""
NEEDED = DROPPABLE | {"tools", "top_a", "prediction", "web_search_options"}
"""Those that `provider.require_parameters` is about."""

_UNDERSTOOD_BY_OPENROUTER = frozenset((
    "plugins", "transforms", "session_id", "trace", "debug", "stop_server_tools_when", "deferred_tools",
))  # fmt: skip
"""Not `provider`: its slugs have been ours already."""


def dropped(endpoint: Endpoint) -> frozenset[str]:
    """Return the names of the members that are not sent to `endpoint`. About an unknown model nothing is supposed."""
    dialect, supported = endpoint.provider.speaks, endpoint.model.supported_parameters
    if dialect.is_openrouter:  # which drops by itself, and knows better
        return ROUTING_MEMBERS - _UNDERSTOOD_BY_OPENROUTER
    unknown = (DROPPABLE - supported if supported else frozenset()) | dialect.refused
    if not dialect.has_reasoning:
        unknown |= {"include_reasoning"}
    return ROUTING_MEMBERS | unknown | (ONLY_OPENROUTERS if dialect != PLAIN else frozenset())
