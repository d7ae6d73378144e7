"""From a request for `auto` to the models that are to answer it, or to the reason why none is."""

from collections.abc import Callable
from typing import NamedTuple

from fairlead.access.keys import ApiKey
from fairlead.catalog.model import Catalog
from fairlead.errors import ApiError
from fairlead.plan.auto import AutoRouter, Outlook, auto_name
from fairlead.plan.auto_options import AutoOptions, auto_options
from fairlead.plan.wish import Wish, with_variants
from fairlead.wire.features import Features, features_of
from fairlead.wire.request import ChatRequest

OutlookOf = Callable[[Features], Outlook]
"""What is expected of models, for a request of such a size."""


class AutoChoice(NamedTuple):
    """The models to be asked in place of those that were named, and who chose them."""

    models: tuple[str, ...]
    router: str
    """openrouter/auto or openrouter/free."""


def choose_models(
    auto: AutoRouter,
    catalog: Catalog,
    request: ChatRequest,
    wish: Wish,
    key: ApiKey,
    outlook_of: OutlookOf,
    conversation: int = 0,
    pinned: str = "",
) -> AutoChoice | None:
    """Return what `auto` among the models of a request stands for; None when none of them means it.

    `conversation` is the number of the one that the request belongs to, `pinned` the model that it stays with, if that
    can still answer. Raises ApiError 400 where `auto` is off or its options are wrong, 404 when no model fits and no
    other is named.
    """
    names = [auto_name(catalog, model) for model in request.models]
    if not any(names):
        return None
    if not auto.is_on(key):
        raise _not_enabled()
    try:
        options = auto_options(request.member("plugins"))
    except ValueError as error:
        raise ApiError(400, f"'plugins' is wrong: {error}", param="plugins") from None
    features = features_of(request.member, auto.keywords)
    outlook = outlook_of(features)
    models: list[str] = []
    for model, name in zip(request.models, names, strict=True):
        if name is None:
            models.append(model)
            continue
        wanted = with_variants(wish, name.variants)
        chosen = auto.choose(features, wanted, key, options, outlook, conversation or features.conversation, pinned)
        models += [f"{model_id}{name.suffix}" for model_id in chosen]
    if not models:
        raise _no_match(request, auto, features, key, options)
    router = next(name.router for name in names if name is not None)
    return AutoChoice(tuple(dict.fromkeys(models)), router)


def _not_enabled() -> ApiError:
    """GateRouter's words, which its callers look for. Its status is not known: 400, as for any other wrong model."""
    return ApiError(400, "auto routing is not enabled: name a model, for example one of GET /v1/models", param="model")


def _no_match(
    request: ChatRequest, auto: AutoRouter, features: Features, key: ApiKey, options: AutoOptions
) -> ApiError:
    asked = [*sorted(features.needs), *(f"{one} input" for one in sorted(features.inputs))]
    asked += [*(f"{one} output" for one in sorted(features.outputs)), f"some {features.prompt_tokens} tokens of prompt"]
    count = auto.count_allowed(key, options)
    why = (
        f"none of the {count} that may be chosen is known to take {', '.join(asked)}" if count else "none may be chosen"
    )
    return ApiError(
        404,
        f"No models match your request and model restrictions: {why}",
        error_type="not_found",
        param="model",
        availability={"code": "constraint_filtered", "retryable": False, "requested_models": list(request.models)},
    )
