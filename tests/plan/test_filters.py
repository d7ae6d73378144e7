import pytest

from fairlead.catalog.dialects import Dialect
from fairlead.plan.filters import excluded, rank
from fairlead.plan.wish import Wish

from .endpoints import endpoint

FITS = endpoint(
    "acme", price=(1, 2), parameters=["tools", "seed"], quantization="fp8", data_collection="deny", is_zdr=True
)


@pytest.mark.parametrize(
    ("fits", "does_not", "code"),
    [
        ({"only": frozenset(["acme"])}, {"only": frozenset(["other"])}, "allowed_providers"),
        ({"only": frozenset(["acme/fp8"])}, {"only": frozenset()}, "allowed_providers"),
        ({"ignore": frozenset(["other"])}, {"ignore": frozenset(["acme"])}, "allowed_providers"),
        (
            {"order": ("acme",), "has_fallbacks": False},
            {"order": ("other",), "has_fallbacks": False},
            "allowed_providers",
        ),
        ({"needs": frozenset(["tools"])}, {"needs": frozenset(["top_k", "seed"])}, "require_parameters"),
        ({"quantizations": frozenset(["fp8"])}, {"quantizations": frozenset(["unknown"])}, "quantization"),
        ({"max_prompt": 1_000_000}, {"max_prompt": 999_999}, "max_price"),
        ({"max_completion": 2_000_000}, {"max_completion": 1_999_999}, "max_price"),
        ({"max_request": 0}, {"is_free": True}, "max_price"),
    ],
    ids=str,
)
def test_hard_filters(fits, does_not, code):
    assert excluded(FITS, Wish(**fits)) is None
    assert excluded(FITS, Wish(**does_not)).code == code


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (Wish(denies_collection=True), "data_policy:training"),
        (Wish(is_zdr=True), "data_policy:zdr"),
        (Wish(max_prompt=10**9), "max_price"),
        (Wish(quantizations=frozenset(["fp8"])), "quantization"),
    ],
    ids=str,
)
def test_what_nobody_knows_does_not_fit(wish, code):
    assert excluded(endpoint("acme"), wish).code == code
    assert excluded(FITS, wish) is None


def test_of_an_unknown_model_anything_may_be_asked_that_its_provider_does_not_refuse():
    unknown = endpoint("acme", dialect=Dialect(refused=frozenset(["logprobs"])))
    assert excluded(unknown, Wish(needs=frozenset(["tools"]))) is None
    assert "logprobs" in excluded(unknown, Wish(needs=frozenset(["tools", "logprobs"]))).reason


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_a_price_by_the_piece_that_nobody_tells(kind):
    seeing = Wish(limited=frozenset([kind]), inputs=frozenset([kind]))
    assert excluded(endpoint("acme", price=(1, 2)), seeing).code == "max_price"
    assert excluded(endpoint("acme", price=(1, 2)), Wish(limited=frozenset([kind]))) is None


def test_whose_author_allows_distillation_nobody_knows():
    assert excluded(FITS, Wish(is_distillable=True)).code == "data_policy:training"


def test_an_order_with_fallbacks_excludes_nobody():
    assert excluded(FITS, Wish(order=("other",))) is None


def test_what_is_missing_is_named():
    assert (
        excluded(FITS, Wish(needs=frozenset(["top_k", "min_p", "seed"]))).reason == "it does not support min_p, top_k"
    )


def test_ranks():
    assert rank(FITS, ("other", "acme/fp8", "acme")) == 1
    assert rank(endpoint("acme"), ("other", "acme/fp8", "acme")) == 2
    assert rank(endpoint("else"), ("other", "acme")) == 2
