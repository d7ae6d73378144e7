"""The nouns of the catalogue.

    Provider  who sells: base URL, credentials, dialect
    Model     what is asked for: a canonical `author/name` id and what it can do
    Endpoint  one provider serving one model: where a request can really be sent
    Catalog   the snapshot of them all; built once, swapped whole, never changed

Prices are integers: micro-USD per million units, which is the precision providers publish (0.0125 $/M = 12_500).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from fairlead.catalog.dialects import PLAIN, Dialect

Modality = Literal["text", "image", "file", "audio", "video"]


@dataclass(frozen=True, slots=True)
class Price:
    """What one endpoint charges, in micro-USD per million tokens (`request`: micro-USD per request).

    `None`: such tokens cost what others of the prompt or of the completion cost.
    """

    prompt: int
    completion: int
    cache_read: int | None = None
    cache_write: int | None = None
    request: int = 0
    tiers: tuple["Tier", ...] = ()
    """Other prices for long prompts, by rising threshold; the last one passed holds for the whole request."""
    cache_write_1h: int | None = None
    """To be kept for an hour (Anthropic: twice the prompt's price); `None`: as `cache_write`."""
    prompt_audio: int | None = None
    prompt_image: int | None = None
    reasoning: int | None = None
    completion_audio: int | None = None
    completion_image: int | None = None

    @property
    def is_free(self) -> bool:
        return not (self.prompt or self.completion or self.request)


@dataclass(frozen=True, slots=True)
class Tier:
    """The price of a request whose prompt has more than `above_tokens` tokens (OpenAI, Anthropic, Google, xAI)."""

    above_tokens: int
    price: Price


FREE = Price(prompt=0, completion=0)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of one attempt, in seconds: to connect; to the first content; between bytes; of the whole exchange."""

    connect_s: float = 5.0
    first_byte_s: float = 12.0
    idle_s: float = 60.0
    total_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Model:
    """A model as its author describes it; what an endpoint serves of it may be less."""

    id: str
    """Canonical, `author/name`; versions with dots."""
    name: str
    """For people: `OpenAI: GPT-5`."""
    context_length: int | None = None
    max_completion_tokens: int | None = None
    input_modalities: tuple[Modality, ...] = ("text",)
    output_modalities: tuple[Modality, ...] = ("text",)
    supported_parameters: frozenset[str] = frozenset()
    price: Price | None = None
    """The author's list price; an endpoint may have another."""
    created: int = 0
    """Unix seconds of the release, 0 when unknown."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """Who sells, and how to talk to it."""

    slug: str
    """`openai`, or the name a custom provider was declared by."""
    name: str
    """For people, and the `provider` member of replies."""
    base_url: str
    """Without a trailing slash; `/chat/completions` is appended."""
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    """Sent with every request; may carry credentials."""
    auth_header: str = "authorization"
    """Where the key goes: `authorization` (as a bearer token) or a header of that name (as it is)."""
    is_stream_usage_on_request: bool = True
    """Whether streams carry usage only with `stream_options.include_usage`, and the option is understood."""
    speaks: Dialect = PLAIN
    weight: float = 1.0
    max_concurrency: int | None = None
    price: Price | None = None
    """Overrides the model's price for everything this provider serves."""
    quantization: str | None = None
    data_collection: Literal["allow", "deny"] = "allow"
    is_zdr: bool = False
    is_demo: bool = False
    timeouts: Timeouts = Timeouts()
    resume_tokens: int | None = None
    """Of a stream that it breaks off: it is asked for again if it had no more; None: as for others, 0: never."""
    ln_weight: float = field(init=False, repr=False)
    """−inf where the weight is 0."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ln_weight", math.log(self.weight) if self.weight > 0.0 else -math.inf)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One provider serving one model."""

    provider: Provider
    model: Model
    upstream_id: str
    """What the provider calls the model."""
    price: Price | None
    """None when nobody knows it."""
    id: str = field(init=False)
    """`provider:author/name`, unique in a catalogue."""
    rates: tuple[float, float, float] | None = field(init=False, repr=False, compare=False)
    """The price of prompt, completion and request in one unit: to compare endpoints by, not what is charged."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", f"{self.provider.slug}:{self.model.id}")
        price = self.price
        rates = None if price is None else (float(price.prompt), float(price.completion), price.request * 1e6)
        object.__setattr__(self, "rates", rates)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything that can be asked for, and where it can be had.

    `endpoints` maps each servable canonical id to its endpoints, in the order the providers were declared; `aliases`
    maps every other accepted spelling to a canonical id.
    """

    models: Mapping[str, Model]
    endpoints: Mapping[str, tuple[Endpoint, ...]]
    aliases: Mapping[str, str]

    def resolve(self, model_id: str) -> str:
        """Return the canonical id behind `model_id`, which comes back unchanged when it is unknown."""
        if model_id in self.endpoints:
            return model_id
        return self.aliases.get(model_id, model_id)
