"""Which clients there are, on which of our bases, and what each of them shows and raises.

Where a client cannot show a thing, its entry says so: what is missing here is missing in the client.
"""

from dataclasses import dataclass, field

OPENAI = {
    401: "openai.AuthenticationError",
    404: "openai.NotFoundError",
    429: "openai.RateLimitError",
    "broken": "openai.APIError",
}
OPENAI_JS = {401: "AuthenticationError", 404: "NotFoundError", 429: "RateLimitError", "broken": "APIError"}
LITELLM = {
    401: "litellm.exceptions.AuthenticationError",
    404: "litellm.exceptions.NotFoundError",
    429: "litellm.exceptions.RateLimitError",
    "broken": "openai.APIError",
}
OPENROUTER = {
    401: "openrouter.errors.unauthorizedresponse_error.UnauthorizedResponseError",
    404: "openrouter.errors.notfoundresponse_error.NotFoundResponseError",
    429: "openrouter.errors.toomanyrequestsresponse_error.TooManyRequestsResponseError",
}
OPENROUTER_JS = {401: "UnauthorizedResponseError", 404: "NotFoundResponseError", 429: "TooManyRequestsResponseError"}
PYDANTIC_AI = dict.fromkeys((401, 404, 429), "pydantic_ai.exceptions.ModelHTTPError") | {
    "broken": "pydantic_ai.exceptions.ModelAPIError"
}
AI_JS = dict.fromkeys((401, 404, 429), "APICallError") | {"broken": "StreamProviderError"}
LANGCHAIN_OPENROUTER_JS = {401: "OpenRouterAuthError", 404: "OpenRouterError", 429: "OpenRouterRateLimitError"}


@dataclass(frozen=True)
class Client:
    """One client on one base."""

    program: str
    """The file in node/ or python/."""
    base: str
    raises: dict
    """By HTTP status, or `broken` for a stream that broke off: the class of the exception. Without the latter the
    client leaves it to its user to look for `finish_reason: "error"`."""
    shows: frozenset = frozenset()
    """Which of `cost` and `provider` it hands on."""
    stream_shows: frozenset = frozenset()
    lists_models: bool = False
    lists_endpoints: bool = False
    shows_reasoning: bool = False
    has_preferences: bool = False
    """Whether it has a place for OpenRouter's `provider`."""
    streams_tools: bool = True
    streams_usage: bool = True
    tries: int = 1
    """How often it asks before it raises an error, where it cannot be told to ask only once."""
    members: dict = field(default_factory=dict)
    """Of each of its commands."""

    @property
    def environment(self):
        """`node`, or a folder of environments/."""
        if self.program.endswith(".mjs"):
            return "node"
        return {"uses_litellm.py": "litellm", "uses_openrouter.py": "openrouter"}.get(self.program, "frameworks")


def client(program, base, raises, *, shows="", stream_shows="", **members):
    return Client(program, base, raises, frozenset(shows.split()), frozenset(stream_shows.split()), **members)


CLIENTS = {
    "langchain-openai": client("uses_langchain_openai.py", "/v1", OPENAI, shows="cost"),
    "langchain-openai on /api/v1": client("uses_langchain_openai.py", "/api/v1", OPENAI, shows="cost"),
    "langchain-openrouter": client(
        "uses_langchain_openrouter.py",
        "/api/v1",
        OPENROUTER,
        shows="cost",
        stream_shows="cost",
        shows_reasoning=True,
        has_preferences=True,
    ),
    "openrouter": client(
        "uses_openrouter.py",
        "/api/v1",
        OPENROUTER,
        shows="cost",
        stream_shows="cost",
        lists_models=True,
        lists_endpoints=True,
        shows_reasoning=True,
        has_preferences=True,
        streams_tools=False,
    ),
    "litellm openai": client(
        "uses_litellm.py",
        "/v1",
        LITELLM,
        shows="cost",
        stream_shows="cost",
        lists_models=True,
        members={"provider": "openai"},
    ),
    "litellm openrouter": client(
        "uses_litellm.py",
        "/api/v1",
        LITELLM,
        shows="cost",
        stream_shows="cost",
        shows_reasoning=True,
        has_preferences=True,
        members={"provider": "openrouter"},
    ),
    "llm": client("uses_llm.py", "/v1", OPENAI, shows="cost", tries=3),
    "pydantic-ai": client(
        "uses_pydantic_ai.py",
        "/api/v1",
        PYDANTIC_AI,
        shows="cost provider",
        stream_shows="cost provider",
        shows_reasoning=True,
        has_preferences=True,
    ),
    "openai for node": client(
        "uses_openai.mjs", "/v1", OPENAI_JS, shows="cost", stream_shows="cost", lists_models=True
    ),
    "openai for node on /api/v1": client(
        "uses_openai.mjs", "/api/v1", OPENAI_JS, shows="cost provider", stream_shows="cost", lists_models=True
    ),
    "@openrouter/sdk": client(
        "uses_openrouter.mjs",
        "/api/v1",
        OPENROUTER_JS,
        shows="cost",
        stream_shows="cost",
        lists_models=True,
        lists_endpoints=True,
        shows_reasoning=True,
        has_preferences=True,
        streams_tools=False,
    ),
    "@openrouter/ai-sdk-provider": client(
        "uses_ai.mjs",
        "/api/v1",
        AI_JS,
        shows="cost provider",
        stream_shows="cost provider",
        shows_reasoning=True,
        has_preferences=True,
    ),
    "@langchain/openai": client("uses_langchain_openai.mjs", "/v1", OPENAI_JS),
    "@langchain/openai on /api/v1": client("uses_langchain_openai.mjs", "/api/v1", OPENAI_JS),
    # It looks for usage in chunks with a choice only.
    "@langchain/openrouter": client(
        "uses_langchain_openrouter.mjs",
        "/api/v1",
        LANGCHAIN_OPENROUTER_JS,
        streams_usage=False,
        shows_reasoning=True,
        has_preferences=True,
    ),
}
