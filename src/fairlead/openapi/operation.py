"""One operation, and what operations have in common: where they are, who may ask, how they fail, which headers come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fairlead.openapi.shapes import COUNT, FLAG, OBJECT, TEXT, Json, asked, listed, or_null, ref, told, words

Method = Literal["get", "post", "patch", "delete"]
Item = Mapping[Method, "Operation"]
Paths = Mapping[str, Item]
"""Operations by path, under each base or at the top."""

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
HTML: Final = "text/html"

ANY_KEY: Final = ("key", "keyHeader")
MANAGEMENT: Final = ("management", "managementHeader")
ADMIN: Final = ("admin", "adminHeader")
"""Names of security schemes, each of which will do."""

SECURITY_SCHEMES: Final[Mapping[str, Json]] = {
    name + suffix: {**form, "description": f"{text}{where}"}
    for name, text in {
        "key": "An API key: `fairlead keys create --name NAME`, or one of `FAIRLEAD_API_KEYS`",
        "management": "A management key (`fairlead keys create --management`), or the admin key",
        "admin": "The admin key: `FAIRLEAD_ADMIN_KEY`, or the file `admin.key` in `FAIRLEAD_DATA_DIR`",
    }.items()
    for suffix, form, where in (
        ("", {"type": "http", "scheme": "bearer"}, ""),
        ("Header", {"type": "apiKey", "in": "header", "name": "x-api-key"}, ", as Anthropic's clients send it"),
    )
}

FAULTS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("BadRequest", "Something in the request is wrong: `message` says what, and the remedy; `param` names it"),
    401: ("Unauthorized", "No key, or one that is unknown, disabled or expired"),
    402: ("PaymentRequired", "The credits, or the limit of the key or of the gateway, do not suffice"),
    403: ("Forbidden", "The key may not do this"),
    404: ("NotFound", "There is no such thing here, or none that fits"),
    408: ("RequestTimeout", "The request did not arrive in time"),
    409: ("Conflict", "It cannot be done as things are: `message` says why"),
    410: ("Gone", "What OpenRouter had here is gone"),
    413: ("TooLarge", "The body is larger than is read here"),
    429: ("TooManyRequests", "Too many requests: of this key, of its provider, or with wrong keys from this address"),
    500: ("InternalError", "A fault of the gateway"),
    502: ("ProviderFailed", "No provider gave a reply that can be passed on"),
    503: ("Unavailable", "Nobody can answer now, or the store is away and would have to be asked"),
    504: ("ProviderTimeout", "No provider answered in time"),
}
"""What each status says, with the name of its reply among the document's components."""
WAITS: Final = (429, 503)
"""Statuses whose replies may say when to come again."""

HEADERS: Final[Mapping[str, tuple[Json, str]]] = {
    "x-request-id": (TEXT, "The request's own `x-request-id` if it had a usable one, else the generation's id"),
    "x-generation-id": (TEXT, "What GET /generation and GET /admin/v1/explain/{id} take"),
    "x-fairlead-provider": (TEXT, "Slug of the provider that answered"),
    "x-fairlead-model": (TEXT, "Canonical id of the model that answered"),
    "x-fairlead-attempts": (COUNT, "How many attempts it took, if it took more than one"),
    "x-fairlead-demo": (TEXT, "Says that the reply is a simulated one, of a reply of a simulated provider"),
    "x-should-retry": (words(("true", "false")), "Whether another try can help: OpenAI's clients look for it"),
    "x-ratelimit-limit-requests": (COUNT, "Requests per minute that the key is held to, if it is"),
    "x-ratelimit-remaining-requests": (COUNT, "What is left of them"),
    "x-ratelimit-reset-requests": (TEXT, "Seconds until all are there again, such as `12.500s`"),
    "x-ratelimit-limit-tokens": (COUNT, "Tokens per minute that the key is held to, if it is"),
    "x-ratelimit-remaining-tokens": (COUNT, "What is left of them"),
    "x-ratelimit-reset-tokens": (TEXT, "Seconds until all are there again, such as `12.500s`"),
    "x-openrouter-cache-status": (words(("HIT", "MISS")), "Of a request that asked for the response cache"),
    "x-openrouter-cache-age": (COUNT, "Seconds since the reply was kept, of a hit"),
    "x-openrouter-cache-ttl": (COUNT, "Seconds that the reply is kept"),
    "x-openrouter-cache-source-id": (TEXT, "Generation that the reply was made by, of a hit"),
    "server-timing": (TEXT, "Milliseconds spent here (`gateway`) and until the provider's first content (`upstream`)"),
    "retry-after": (COUNT, "Seconds after which another try may help"),
    "retry-after-ms": (COUNT, "The same in milliseconds"),
    "www-authenticate": (TEXT, "`Bearer`"),
    "cache-control": (TEXT, "`no-store`: it is for one caller, at one time"),
    "etag": (TEXT, "Changes with the document: send it back as `if-none-match`"),
}

ERROR: Final[Json] = told(
    {
        "message": {**TEXT, "description": "For a person: what is wrong, and the remedy"},
        "type": {**TEXT, "description": "OpenAI's kind of error"},
        "param": or_null({**TEXT, "description": "The member, parameter or header that is wrong"}),
        "code": {"type": "integer", "description": "The HTTP status"},
        "metadata": {
            **told({"error_type": {**TEXT, "description": "OpenRouter's kind of error"}}),
            "additionalProperties": True,
        },
        "error_type": {**TEXT, "description": "As in `metadata`, of errors that say who could not answer"},
        "http_status": {"type": "integer"},
        "availability": asked(
            {
                "code": TEXT,
                "retryable": FLAG,
                "requested_models": listed(TEXT),
                "retry_after": COUNT,
                "affected_providers": listed(TEXT),
                "excluded_by": listed(TEXT),
                "docs_url": TEXT,
            }
        ),
    },
    optional=("error_type", "http_status", "availability"),
)
ERROR_REPLY: Final[Json] = told({"error": ref("ErrorObject"), "openrouter_metadata": OBJECT}, ("openrouter_metadata",))


@dataclass(frozen=True, slots=True)
class Parameter:
    """Of the query, the path or the headers."""

    name: str
    says: str
    schema: Json
    place: Literal["query", "path", "header"] = "query"
    example: object = None
    is_required: bool = False

    def json(self) -> Json:
        found: dict[str, object] = {"name": self.name, "in": self.place, "description": self.says}
        if self.place == "path" or self.is_required:
            found["required"] = True
        if isinstance(self.schema.get("items"), Mapping):  # lists are joined by commas
            found |= {"style": "form", "explode": False}
        found["schema"] = self.schema
        return found if self.example is None else {**found, "example": self.example}


@dataclass(frozen=True, slots=True)
class Reply:
    """One that is no error: its content by media type, and its headers (names in HEADERS)."""

    says: str
    content: Mapping[str, Json]
    headers: Sequence[str] = ()

    def json(self) -> Json:
        found: dict[str, object] = {"description": self.says}
        if self.headers:
            found["headers"] = {name: _header_ref(name) for name in self.headers}
        if self.content:
            found["content"] = {kind: {"schema": schema} for kind, schema in self.content.items()}
        return found


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method of a path does. `faults` are statuses; whoever may be asked for a key may also be refused."""

    id: str
    tag: str
    summary: str
    replies: Mapping[int, Reply]
    says: str = ""
    security: Sequence[str] = ANY_KEY
    is_key_optional: bool = False
    parameters: Sequence[Parameter] = ()
    body: Json | None = None
    body_kind: str = JSON
    example: object = None
    """A body that is answered, or about so; the page makes a command of it."""
    faults: Sequence[int] = ()
    fault_kind: Literal["", "Response"] = ""
    """Which error object: everybody's, or that of the Responses API."""

    def json(self) -> Json:
        found: dict[str, object] = {"operationId": self.id, "tags": [self.tag], "summary": self.summary}
        if self.says:
            found["description"] = self.says
        found["security"] = [*([{}] if self.is_key_optional else []), *({name: []} for name in self.security)]
        if self.parameters:
            found["parameters"] = [one.json() for one in self.parameters]
        if self.body is not None:
            content: dict[str, object] = {"schema": self.body}
            if self.example is not None:
                content["example"] = self.example
            found["requestBody"] = {"required": True, "content": {self.body_kind: content}}
        replies = {str(status): reply.json() for status, reply in self.replies.items()}
        found["responses"] = replies | {
            str(status): {"$ref": f"#/components/responses/{self.fault_kind}{FAULTS[status][0]}"}
            for status in sorted({*self.faults, *self._of_all()} - self.replies.keys())
        }
        return found

    def _of_all(self) -> set[int]:
        """Statuses that any operation of the kind may be answered with."""
        found = {400, 500}
        if self.security:
            found |= {401, 429, 503}
        if self.body is not None:
            found |= {408, 413}
        return found


def fault_replies(of_responses: Sequence[int]) -> dict[str, Json]:
    """Return the replies that operations refer to: errors, and those of the Responses API with its statuses."""
    found: dict[str, Json] = {}
    for status, (name, text) in FAULTS.items():
        headers = ["x-request-id", "x-generation-id", "x-should-retry"]
        headers += ["retry-after", "retry-after-ms"] if status in WAITS else []
        headers += ["www-authenticate"] if status == 401 else []
        found[name] = Reply(text, {JSON: ref("Error")}, headers).json()
        if status in of_responses:
            found[f"Response{name}"] = Reply(text, {JSON: ref("ResponseError")}, headers).json()
    return found


def header_components() -> dict[str, Json]:
    return {name: {"description": text, "schema": schema} for name, (schema, text) in HEADERS.items()}


def _header_ref(name: str) -> Json:
    return {"$ref": f"#/components/headers/{name}"}
