"""Why a request cannot be served by anybody: told so that a person sees what to change, and a program whether to wait.

Texts and codes: wire-api, sections 2.3 and 2.6. Of the endpoints' health only what a caller may know.
"""

import difflib
from collections.abc import Sequence

from fairlead.access.admit import refuse_model, refuse_providers
from fairlead.access.keys import ApiKey
from fairlead.catalog.model import Catalog
from fairlead.errors import ApiError
from fairlead.plan.filters import NOT_THIS_MODEL, NOT_THIS_PROVIDER
from fairlead.plan.plan import Plan, Skipped
from fairlead.plan.wish import Wish

_MOST_NAMED = 8
"""Endpoints in a message."""


class Saturated(ApiError):
    """Each endpoint of `model_id` that could answer has as many requests as it is allowed: one that ends makes room."""

    model_id = ""


def unknown_model(catalog: Catalog, model: str) -> ApiError:
    """No model of that name is served."""
    model = model[:200]  # it may be as long as a body
    close = difflib.get_close_matches(model, catalog.endpoints, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(close)}?" if close else " GET /v1/models lists what can be asked for."
    # GateRouter's words, which its callers look for.
    routing = "" if "/" in model else "provider routing is not configured: "
    return ApiError(
        400,
        f"{routing}{model} is not a valid model ID.{hint}",
        param="model",
        availability=_availability("model_not_found", [model], is_retryable=False),
    )


def no_endpoints(plan: Plan, models: Sequence[str], key: ApiKey, wish: Wish) -> ApiError:
    """Somebody serves the model, but nobody this request now."""
    skipped = plan.skipped
    reasons = {one.reason for one in skipped}
    if skipped and reasons <= {NOT_THIS_MODEL.reason, NOT_THIS_PROVIDER.reason}:
        is_provider = NOT_THIS_PROVIDER.reason in reasons
        return refuse_providers(key, plan.model_id) if is_provider else refuse_model(key, plan.model_id)
    unwanted = [one for one in skipped if one.code]
    if len(unwanted) == len(skipped) and unwanted:
        return _filtered(plan.model_id, unwanted, models, wish)
    able = [one for one in skipped if not one.code]
    why = ", ".join(f"{one.endpoint.provider.name}: {one.reason}" for one in able[:_MOST_NAMED])
    kind = Saturated if plan.is_full else ApiError
    error = kind(
        503,
        f"No endpoint of {plan.model_id} takes requests now ({why})",
        error_type="provider_overloaded" if plan.is_full else "provider_unavailable",
        headers={"retry-after": "1"},
        availability=_availability(
            "temporarily_unavailable", models, is_retryable=True, retry_after=1, skipped=able, excluded=unwanted
        ),
    )
    if isinstance(error, Saturated):
        error.model_id = plan.model_id
    return error


def _filtered(model_id: str, unwanted: Sequence[Skipped], models: Sequence[str], wish: Wish) -> ApiError:
    codes = {one.code for one in unwanted}
    if all(one.reason == _NO_TOOLS for one in unwanted):
        text = f"No endpoints found that support tool use: {model_id} does not. Leave out 'tools', or name another."
    elif len(texts := {one.reason for one in unwanted}) == 1 and (text := next(iter(texts))).endswith(" input"):
        text = f"No endpoints found that {text.removeprefix('it does not ')}: {model_id} does not. Name another model."
    else:
        reasons = "; ".join(f"{one.endpoint.provider.name}: {one.reason}" for one in unwanted[:_MOST_NAMED])
        more = f"; and {len(unwanted) - _MOST_NAMED} more" if len(unwanted) > _MOST_NAMED else ""
        text = f"{_start(codes, model_id)}. {reasons}{more}"
    is_privacy = all(code.startswith("data_policy") for code in codes)
    metadata: dict[str, object] = {}
    if codes == {"allowed_providers"}:
        metadata["available_providers"] = sorted({one.endpoint.provider.slug for one in unwanted})
        if requested := wish.only or wish.order:
            metadata["requested_providers"] = sorted(requested)
    return ApiError(
        404,
        text,
        error_type="not_found",
        metadata=metadata,
        availability=_availability(
            "privacy_restricted" if is_privacy else "constraint_filtered", models, is_retryable=False, excluded=unwanted
        ),
    )


def _start(codes: set[str], model_id: str) -> str:
    """OpenRouter's words, which its callers look for."""
    if codes == {"allowed_providers"}:
        return "No allowed providers are available for the selected model"
    if all(code.startswith("data_policy") for code in codes):
        return "No endpoints found matching your data policy"
    return f"No endpoints found for {model_id} that fit this request"


_NO_TOOLS = "it does not support tools"


def _availability(
    code: str,
    models: Sequence[str],
    *,
    is_retryable: bool,
    retry_after: int | None = None,
    skipped: Sequence[Skipped] = (),
    excluded: Sequence[Skipped] = (),
) -> dict[str, object]:
    told: dict[str, object] = {"code": code, "retryable": is_retryable, "requested_models": list(models)}
    if retry_after is not None:
        told["retry_after"] = retry_after
    if affected := sorted({one.endpoint.provider.slug for one in (*skipped, *excluded)}):
        told["affected_providers"] = affected
    if excluded:
        told["excluded_by"] = sorted({one.code for one in excluded})
    return told
