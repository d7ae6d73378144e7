"""Why an endpoint is not for a request: the hard filters, in the order of wire-api, section 7.3."""

from typing import NamedTuple

from fairlead.access.admit import may_use_model, may_use_provider
from fairlead.catalog.model import Endpoint
from fairlead.plan.wish import Wish, is_named


class Exclusion(NamedTuple):
    """`reason` is for people; `code` is the vocabulary of OpenRouter's `availability.excluded_by`."""

    reason: str
    code: str


NOT_THIS_MODEL = Exclusion("the API key may not use this model", "allowed_providers")
NOT_THIS_PROVIDER = Exclusion("the API key may not use it", "allowed_providers")


def excluded(endpoint: Endpoint, wish: Wish) -> Exclusion | None:
    """Return what keeps the endpoint from being asked, None when nothing does."""
    return _not_allowed(endpoint, wish) or _unfit(endpoint, wish) or _too_dear(endpoint, wish)


def _not_allowed(endpoint: Endpoint, wish: Wish) -> Exclusion | None:
    if wish.key is not None:
        if not may_use_model(wish.key, endpoint.model.id):
            return NOT_THIS_MODEL
        if not may_use_provider(wish.key, endpoint.provider.slug):
            return NOT_THIS_PROVIDER
    if wish.only is not None and not any(is_named(endpoint, slug) for slug in wish.only):
        return Exclusion("'provider.only' does not name it", "allowed_providers")
    if wish.ignore and any(is_named(endpoint, slug) for slug in wish.ignore):
        return Exclusion("'provider.ignore' names it", "allowed_providers")
    if wish.order and not wish.has_fallbacks and not any(is_named(endpoint, slug) for slug in wish.order):
        return Exclusion("'provider.order' does not name it, and 'allow_fallbacks' is false", "allowed_providers")
    return None


def _unfit(endpoint: Endpoint, wish: Wish) -> Exclusion | None:
    provider = endpoint.provider
    if wish.denies_collection and provider.data_collection != "deny":
        return Exclusion("it may keep what is sent, and 'provider.data_collection' is deny", "data_policy:training")
    if wish.is_zdr and not provider.is_zdr:
        return Exclusion("it is not known for zero data retention, and 'provider.zdr' is true", "data_policy:zdr")
    if wish.is_distillable:
        text = "nobody knows here whose author allows distillation, and 'provider.enforce_distillable_text' is true"
        return Exclusion(text, "data_policy:training")
    # Of a model that nobody has described, anything may be asked.
    if wish.inputs and endpoint.model.supported_parameters and not wish.inputs <= {*endpoint.model.input_modalities}:
        missed = ", ".join(sorted(wish.inputs - {*endpoint.model.input_modalities}))
        return Exclusion(f"it does not support {missed} input", "require_parameters")
    if wish.needs and (missing := _missing(endpoint, wish)):
        return Exclusion(f"it does not support {', '.join(sorted(missing))}", "require_parameters")
    quantization = provider.quantization or "unknown"
    if wish.quantizations is not None and quantization not in wish.quantizations:
        return Exclusion(f"its quantization ({quantization}) is not in 'provider.quantizations'", "quantization")
    return None


def _missing(endpoint: Endpoint, wish: Wish) -> frozenset[str]:
    """Of a model about which nothing is known, anything may be asked."""
    supported = endpoint.model.supported_parameters
    return wish.needs - supported if supported else wish.needs & endpoint.provider.speaks.refused


def _too_dear(endpoint: Endpoint, wish: Wish) -> Exclusion | None:
    price = endpoint.price
    if wish.is_free and (price is None or not price.is_free):
        return Exclusion("it is not free", "max_price")
    for kind in wish.limited & wish.inputs:
        text = f"what it takes for one {kind} is not known, and 'provider.max_price.{kind}' is set"
        return Exclusion(text, "max_price")
    if not wish.has_price_limit:
        return None
    if price is None:
        return Exclusion("its price is not known, and 'provider.max_price' is set", "max_price")
    for name, most, asked in (
        ("prompt", wish.max_prompt, price.prompt),
        ("completion", wish.max_completion, price.completion),
        ("request", wish.max_request, price.request),
    ):
        if most is not None and asked > most:
            return Exclusion(f"its price (${asked / 1e6:g}) is above 'provider.max_price.{name}'", "max_price")
    return None


def rank(endpoint: Endpoint, order: tuple[str, ...]) -> int:
    """Return the place of an endpoint in `provider.order`; those that it does not name come last."""
    return next((place for place, slug in enumerate(order) if is_named(endpoint, slug)), len(order))
