import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.plan.wish import ANYTHING, DECIDED, is_named, tag, wish_of, with_needs, with_variants
from harness.jsontext import damaged

from .endpoints import endpoint


def wish(given=None, key=None, parameters=()):
    texts = ["" if value is None else json.dumps(value) for value in (key, given)]
    return wish_of(texts[0], texts[1].encode() or None, parameters)


class TestMerging:
    def test_nothing_said_is_nothing_wanted(self):
        assert wish() is ANYTHING
        assert wish({}) == wish({"data_collection": "allow", "allow_fallbacks": True}) == ANYTHING

    def test_a_request_goes_before_its_key_member_by_member(self):
        found = wish({"sort": "price"}, {"sort": "latency", "allow_fallbacks": False})
        assert (found.sort, found.has_fallbacks) == ("price", False)

    def test_ignore_is_united(self):
        assert wish({"ignore": ["a"]}, {"ignore": ["b"]}).ignore == {"a", "b"}

    def test_only_is_narrowed(self):
        assert wish({"only": ["a", "b", "c/fp8"]}, {"only": ["b", "c"]}).only == {"b", "c/fp8"}
        assert wish({"only": ["a"]}, {"only": ["b"]}).only == set()
        assert wish({}, {"only": ["b"]}).only == {"b"}

    @pytest.mark.parametrize(
        ("member", "strict", "lax"), [("data_collection", "deny", "allow"), ("zdr", True, False)], ids=str
    )
    def test_what_protects_data_is_only_tightened(self, member, strict, lax):
        for key, own in ((strict, lax), (lax, strict), (strict, strict)):
            found = wish({member: own}, {member: key})
            assert found.denies_collection or found.is_zdr
        assert wish({member: lax}, {member: lax}) == ANYTHING

    @pytest.mark.parametrize(("key", "own"), [(["x"], ["x/fp8"]), (["x/fp8"], ["x"])])
    def test_the_narrower_slug_counts(self, key, own):
        assert wish({"only": own}, {"only": key}).only == {"x/fp8"}

    def test_empty_lists_say_nothing(self):
        assert wish({"only": [], "ignore": [], "order": [], "quantizations": []}) == ANYTHING

    def test_slugs_are_in_lower_case(self):
        found = wish({"order": ["OpenAI"], "only": ["OpenAI"], "ignore": ["X"]})
        assert (found.order, found.only, found.ignore) == (("openai",), {"openai"}, {"x"})


class TestMembers:
    @pytest.mark.parametrize("value", [{"by": "price", "partition": "none"}, "price"])
    def test_both_forms_of_sort(self, value):
        assert wish({"sort": value}).sort == "price"
        assert wish({"sort": value}).is_pooled == isinstance(value, dict)

    @pytest.mark.parametrize("said", [0.5, "0.50", "00.5"])
    def test_prices_are_numbers_or_text(self, said):
        found = wish({"max_price": {"prompt": said, "completion": 15, "request": "0.001"}})
        assert (found.max_prompt, found.max_completion, found.max_request) == (500_000, 15_000_000, 1_000)
        assert found.has_price_limit

    def test_prices_by_the_piece(self):
        assert wish({"max_price": {"image": "0.01", "audio": 0}}).limited == {"image", "audio"}

    def test_a_number_is_about_the_median(self):
        assert wish({"preferred_max_latency": 2}).longest_wait_s == ((1.0, 2.0),)
        assert wish({"preferred_min_throughput": 80}).slowest_tokens_per_s == ((1.0, 80.0),)

    def test_quantiles_are_derived_from_the_median(self):
        ((half, _), (most, _)) = wish({"preferred_max_latency": {"p50": 1, "p99": 5}}).longest_wait_s
        assert half == 1.0
        assert most == pytest.approx(4.35, rel=0.01)
        (slow,) = wish({"preferred_min_throughput": {"p99": 5}}).slowest_tokens_per_s
        assert slow[0] == pytest.approx(1 / most)

    def test_parameters_are_needed_when_the_request_says_so(self):
        assert wish({"require_parameters": True}, parameters=["seed", "tools"]).needs == {"seed", "tools"}
        assert wish({"require_parameters": False}, parameters=["seed"]).needs == set()

    def test_options_are_kept_by_provider(self):
        assert wish({"options": {"Acme": {"raw_mode": True}}}).options == {"acme": {"raw_mode": b"true"}}

    def test_members_that_nobody_knows_yet_do_no_harm(self):
        assert wish({"tomorrow": 1, "sort": "price"}).sort == "price"

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ({"sort": "prise"}, "Invalid enum value 'prise'"),
            ({"only": "acme"}, r"\$\.only"),
            ({"max_price": {"promt": 1}}, "promt"),
            ({"max_price": {"prompt": -1}}, ">= 0"),
            ([], "object"),
        ],
        ids=str,
    )
    def test_what_cannot_be_read_is_told(self, given, text):
        with pytest.raises(ValueError, match=text):
            wish(given)


class TestVariants:
    @pytest.mark.parametrize(
        ("variant", "sort"), [("nitro", "throughput"), ("floor", "price"), ("exacto", "exacto"), ("extended", "")]
    )
    def test_sorts(self, variant, sort):
        assert with_variants(ANYTHING, [variant]).sort == sort
        assert with_variants(wish({"sort": "latency"}), [variant]).sort == "latency"

    def test_free(self):
        assert with_variants(ANYTHING, ["free"]).is_free

    def test_needs(self):
        assert with_variants(with_needs(ANYTHING, frozenset(["tools"])), ["thinking"]).needs == {"tools", "reasoning"}


def test_a_slug_means_all_of_a_provider_and_with_a_suffix_one_endpoint():
    one, other = endpoint("acme", quantization="fp8"), endpoint("acme")
    assert (tag(one), tag(other)) == ("acme/fp8", "acme")
    assert is_named(one, "acme")
    assert is_named(one, "acme/fp8")
    assert not is_named(other, "acme/fp8")
    assert not is_named(one, "acme/fp4")


MEMBERS = {
    b"order": [b'["a"]', b'["A/fp8","b"]'], b"only": [b'["a"]', b"[]"], b"ignore": [b'["b"]'],
    b"sort": [b'"price"', b'{"by":"latency"}'],
    b"max_price": [b'{"prompt":1e308}', b'{"prompt":"999999999.999999999999","image":1}', b"{}"],
    b"preferred_min_throughput": [b"1e308", b'{"p50":1,"p99":1e308}', b"0"], b"zdr": [b"true"],
    b"options": [b'{"a":{"b":1}}', b'{"A":{"model":"x","b":[1e400]}}', b'{"a":{"b":"\\ud83d\\ude00"}}'],
}  # fmt: skip


@given(st.data())
def test_whatever_is_wanted_is_compiled_or_refused(data):
    def said():
        names = data.draw(st.lists(st.sampled_from(sorted(MEMBERS)), unique=True, max_size=4))
        values = [data.draw(st.sampled_from(MEMBERS[name]) | damaged()) for name in names]
        return b"{%b}" % b",".join(b'"%b":%b' % member for member in zip(names, values, strict=True))

    default, own = said(), said()
    try:
        key_text = default.decode()
        found = wish_of(key_text, own, ["tools"])
    except ValueError:
        return
    assert found == wish_of(key_text, own, ["tools"])
    assert all(limit is None or limit >= 0 for limit in (found.max_prompt, found.max_completion, found.max_request))
    assert not any(DECIDED & members.keys() for members in found.options.values())
