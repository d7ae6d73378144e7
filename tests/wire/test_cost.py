import itertools
import json
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fairlead.catalog.pricing import Bill, Usage
from fairlead.wire.cost import CHECKED_BYTES, MOST_USAGE_BYTES, CostSplicer, with_cost

BILL = Bill(73_500, 30_000, 43_500)
COST = b'"cost":0.0000735'
OURS = (
    COST + b',"is_byok":false,"cost_details":{"upstream_inference_cost":null,"upstream_inference_prompt_cost":0.00003,'
    b'"upstream_inference_completions_cost":0.0000435}'
)
TOLD = b'"prompt_tokens":12,"completion_tokens":9,"total_tokens":21,"prompt_tokens_details":{"cached_tokens":0}'
USAGE = Usage(12, 9)
DONE = b"data: [DONE]\n\n"


def bill_of(usage):
    return BILL


def unknown(usage):
    return None


def spliced(chunks, bill=bill_of):
    splicer = CostSplicer(bill)
    return b"".join([*map(splicer.feed, chunks), splicer.finish()])


def event(members, end=b"\n\n"):
    return b'data: {"id":"x","object":"chat.completion.chunk",%b}' % members + end


def words(text):
    return event(b'"choices":[{"delta":{"content":%b}}],"usage":null' % json.dumps(text).encode())


LAST = event(b'"choices":[],"usage":{%b}' % TOLD)
LAST_WITH_COST = event(b'"choices":[],"usage":{%b,%b}' % (OURS, TOLD))


class TestWholeReply:
    def test_the_cost_stands_first_in_the_usage_and_all_else_as_it_was(self):
        body = b'{ "choices":[],"big":123456789012345678901234567890, "usage":{%b} ,"x":1.10}\n'
        assert with_cost(body % TOLD, bill_of) == (body % (OURS + b"," + TOLD), USAGE, BILL)

    def test_numbers_are_exact_and_plain(self):
        def told(nanos):
            body, *_ = with_cost(b'{"usage":{"prompt_tokens":1}}', lambda usage: Bill(nanos))
            return body.removeprefix(b'{"usage":{"cost":').removesuffix(b',"is_byok":false,"prompt_tokens":1}}')

        assert [told(nanos) for nanos in (0, 1, 10, 10**9, 10**10, 1_000_000_001, 540)] == [
            b"0", b"0.000000001", b"0.00000001", b"1", b"10", b"1.000000001", b"0.00000054",
        ]  # fmt: skip

    @given(st.integers(0, 10**14), st.integers(0, 10**14), st.integers(0, 10**14))
    def test_any_number_comes_out_as_it_went_in(self, total, prompt, completion):
        nanos = (total, prompt, completion)
        body, *_ = with_cost(b'{"usage":{"prompt_tokens":1}}', lambda usage: Bill(*nanos))
        usage = json.loads(body, parse_float=Decimal)["usage"]
        details = usage["cost_details"]
        told = usage["cost"], details["upstream_inference_prompt_cost"], details["upstream_inference_completions_cost"]
        assert tuple(map(Decimal, told)) == tuple(Decimal(number) / 10**9 for number in nanos)

    def test_without_known_parts_there_are_no_details(self):
        body, *_ = with_cost(b'{"usage":{"prompt_tokens":1}}', lambda usage: Bill(5))
        assert json.loads(body)["usage"] == {"cost": 5e-9, "is_byok": False, "prompt_tokens": 1}

    @pytest.mark.parametrize(
        "body",
        [
            b"{}", b'{"usage":null}', b'{"usage":{}}', b'{"usage":{ }}', b'{"usage":[]}', b"",
            b'{"usage":{"prompt_tokens":1}', b'{"usage":{"total_tokens":9}}', b"[]", b"<html>",
            b'{"choices":[{"usage":{"prompt_tokens":1}}]}',
        ],
    )  # fmt: skip
    def test_without_usage_nothing_is_touched(self, body):
        assert with_cost(body, bill_of) == (body, None, None)

    def test_without_a_known_price_nothing_is_touched(self):
        body = b'{"usage":{%b}}' % TOLD
        assert with_cost(body, unknown) == (body, USAGE, None)

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (b'"cost":0.5,"prompt_tokens":1', b'"prompt_tokens":1'),
            (b'"prompt_tokens":1,"cost":0.5', b'"prompt_tokens":1'),
            (b'"prompt_tokens":1 , "cost" : "0.5" , "x":"a,b{"', b'"prompt_tokens":1 , "x":"a,b{"'),
            (b'"cost":1,"prompt_tokens":1,"cost":2', b'"prompt_tokens":1'),
            (b'"prompt_tokens":1,"cost":{"total_cost":1,"a":[{"b":"}"}]}', b'"prompt_tokens":1'),
            (b'"is_byok":true,"prompt_tokens":1,"cost_details":{"cost":[1,{}]}', b'"prompt_tokens":1'),
            (b'"prompt_tokens":1,"x":{"cost":7},"costs":[1]', b'"prompt_tokens":1,"x":{"cost":7},"costs":[1]'),
            (b'"x":"\\"cost\\":1","prompt_tokens":1', b'"x":"\\"cost\\":1","prompt_tokens":1'),
        ],
    )  # fmt: skip
    def test_ours_replaces_the_providers(self, before, after):
        body, *_ = with_cost(b'{"usage":{%b}}' % before, bill_of)
        assert body == b'{"usage":{%b,%b}}' % (OURS, after)

    def test_nothing_may_be_left_of_the_providers(self):
        body, usage, _ = with_cost(b'{"usage":{ "cost":1}}', bill_of)
        assert body == b'{"usage":{%b}}' % OURS
        assert usage.reported_usd_nanos == 10**9

    def test_only_the_outermost(self):
        body = b'{"usage":{%b},"x_groq":{"usage":{"prompt_tokens":1}},"y":"\\"usage\\":{"}' % TOLD
        found, usage, _ = with_cost(body, bill_of)
        assert usage == USAGE
        assert found == body.replace(TOLD, OURS + b"," + TOLD)

    def test_of_two_the_last_as_every_parser_has_it(self):
        body = b'{"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2}}'
        found, usage, _ = with_cost(body, bill_of)
        assert usage == Usage(2)
        assert json.loads(found)["usage"]["cost"] == 0.0000735

    @pytest.mark.parametrize(
        "body",
        [
            b'{"usage":{"prompt_tokens":1,"x":"%b"}}' % (b"x" * MOST_USAGE_BYTES),
            b'{"usage":{"prompt_tokens":1,"is_byok":false,"x":%b1%b}}' % (b"[" * 9, b"]" * 9),
            b'{"x":{%b"y":{"usage":{"prompt_tokens":1}}},"\\u0075sage":{"prompt_tokens":1}}' % (b'"usage":{},' * 100),
        ],
        ids=["long", "deep, and with what has to go", "one of many alike"],
    )
    def test_what_is_too_odd_is_told_but_not_touched(self, body):
        assert with_cost(body, bill_of) == (body, Usage(1), BILL)

    @pytest.mark.parametrize(
        "body",
        [
            b'{"usage":{"prompt_tokens":1,"x":%b1%b}}' % (b"[" * 9, b"]" * 9),
            b'{"\\u0075sage":{"prompt_tokens":1}}',
            b'{"usage":{"prompt_tokens":1},"x":{%b"y":{"usage":{}}}}' % (b'"usage":{},' * 100),
        ],
        ids=["deep", "escaped", "many"],
    )
    def test_the_odd_is_found_where_there_is_nothing_like_it(self, body):
        found, usage, _ = with_cost(body, bill_of)
        assert usage == Usage(1)
        assert found == body.replace(b'{"prompt_tokens":1', b'{%b,"prompt_tokens":1' % OURS)


class TestStream:
    def test_only_the_usage_changes(self):
        stream = b": hello\n\n" + words("Hi") + words('a "usage":{"prompt_tokens":1} b') + LAST + DONE
        splicer = CostSplicer(bill_of)
        assert splicer.feed(stream) == stream.replace(LAST, LAST_WITH_COST)
        assert (splicer.usage, splicer.cost_usd_nanos, splicer.finish()) == (USAGE, 73_500, b"")

    def test_a_chunk_without_usage_is_passed_on_as_the_object_it_is(self):
        chunk = words("Hi")
        assert CostSplicer(bill_of).feed(chunk) is chunk

    def test_nothing_is_held_back_but_a_usage_object(self):
        splicer = CostSplicer(bill_of)
        brace, end = LAST.index(b"{" + TOLD), LAST.index(b"}\n")
        for at in range(len(LAST)):
            passed = splicer.feed(LAST[at : at + 1])
            if at < brace or at >= end:
                assert passed == LAST[at : at + 1]
            elif at < end - 1:
                assert passed == b""
            else:
                assert passed == b"{%b,%b}" % (OURS, TOLD)

    def test_a_stream_may_end_within_a_usage_object(self):
        splicer = CostSplicer(bill_of)
        cut = LAST.index(b"total")
        passed = splicer.feed(LAST[:cut])
        assert passed == LAST[: LAST.index(b"{" + TOLD)]
        assert passed + splicer.finish() == LAST[:cut]
        assert splicer.usage is None

    def test_a_running_total_gets_its_cost_each_time(self):
        totals = [event(b'"usage":{"prompt_tokens":9,"completion_tokens":%d}' % n) for n in range(3)]
        splicer = CostSplicer(lambda usage: Bill(usage.completion_tokens))
        passed = b"".join(map(splicer.feed, totals))
        assert [json.loads(line[5:])["usage"]["cost"] for line in passed.splitlines()[::2]] == [0, 1e-9, 2e-9]
        assert (splicer.usage, splicer.cost_usd_nanos) == (Usage(9, 2), 2)

    def test_an_unknown_cost_changes_nothing(self):
        splicer = CostSplicer(unknown)
        assert splicer.feed(LAST) == LAST
        assert (splicer.usage, splicer.cost_usd_nanos) == (USAGE, None)

    def test_a_providers_own_cost_makes_way(self):
        stream = event(b'"usage":{"prompt_tokens":1,"cost":0.25,"is_byok":false}')
        splicer = CostSplicer(lambda usage: Bill(usage.reported_usd_nanos + 1))
        assert splicer.feed(stream) == event(b'"usage":{"cost":0.250000001,"is_byok":false,"prompt_tokens":1}')

    @pytest.mark.parametrize(
        "stream",
        [
            event(b'"choices":[],"x_groq":{"usage":{%b}}' % TOLD),
            event(b'"choices":[{"usage":{%b}}]' % TOLD),
            event(b'"a\\"usage":{%b}' % TOLD),
            event(b'"usage":{"total_tokens":1}'),
            event(b'"usage":{}'),
            b'{"usage":{%b}}\n\n' % TOLD,
            b': {"usage":{%b}}\n\n' % TOLD,
            b'event: x\nid: {"usage":{%b}}\n\n' % TOLD,
            b'data: [{"usage":{%b}}]\n\n' % TOLD,
            b'data: {"usage":\ndata: {%b}}\n\n' % TOLD,
            b'data: {"usage":{\ndata: %b}}\n\n' % TOLD,
            event(b'"usage":{"prompt_tokens":1,"x":"%b"}' % (b"x" * MOST_USAGE_BYTES)),
            event(b'"usage":{"prompt_tokens":1,"x":%b1%b}' % (b"[" * 9, b"]" * 9)),
            b'data: {"usage":{"prompt_tokens":1,"x":"\n\n',
        ],
    )
    def test_what_is_no_usage_of_an_event_is_left_alone_and_what_follows_is_not(self, stream):
        assert spliced([stream + LAST]) == stream + LAST_WITH_COST
        assert spliced([stream[at : at + 1] for at in range(len(stream))] + [LAST]) == stream + LAST_WITH_COST
        splicer = CostSplicer(bill_of)
        splicer.feed(stream)
        assert splicer.usage is None

    @pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
    @pytest.mark.parametrize("colon", [b":", b" : ", b"\t:    "])
    def test_any_line_end_and_some_white_space(self, line_end, colon):
        before = event(b'"usage"%b{ %b}' % (colon, TOLD), line_end * 2)
        after = event(b'"usage"%b{%b, %b}' % (colon, OURS, TOLD), line_end * 2)
        assert spliced([before + DONE + before]) == after + DONE + after

    def test_behind_a_long_text_it_is_not_asked_whose_usage_it_is(self):
        image = b'"image":"%b","x":{"usage":' % (b"x" * CHECKED_BYTES)
        assert spliced([event(image + b"{%b}}" % TOLD)]) == event(image + b"{%b,%b}}" % (OURS, TOLD))
        said = b'"image":"%b","a\\"usage":{%b}' % (b"x" * CHECKED_BYTES, TOLD)
        assert spliced([event(said)]) == event(said)

    def test_little_is_kept_of_a_long_line(self):
        splicer = CostSplicer(bill_of)
        for _ in range(100):
            splicer.feed(b"x" * 1_000)
            assert len(splicer._line) <= CHECKED_BYTES + 1_000
        assert splicer.feed(b"\n") == b"\n"
        assert splicer.feed(LAST) == LAST_WITH_COST

    def test_at_most_so_much_is_held_back(self):
        splicer = CostSplicer(bill_of)
        start = b'data: {"usage":{"prompt_tokens":1,"x":"'
        passed = splicer.feed(start)
        for _ in range(2 * MOST_USAGE_BYTES // 100):
            passed += splicer.feed(b"x" * 100)
        assert len(splicer._line) < MOST_USAGE_BYTES
        assert passed == start + b"x" * 100 * (2 * MOST_USAGE_BYTES // 100)


# What events are made of, right and wrong.
SCRAPS = [
    b"data: ", b"data:", b"\n", b"\n\n", b"\r\n", b"\r", b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b" ",
    b"x" * 300, b'"usage"', b'"usage":', b'"usage": {', b'"usage":{', b'"usage":null', b'"usage\\":{', TOLD,
    b'"prompt_tokens":1', b'"cost":0.5,', b'"x":', b'"a":1,', b'{"a":1,', b'"x":{"usage":{%b}},' % TOLD,
    words("usage"), LAST, DONE,
]  # fmt: skip
scraps = st.lists(st.sampled_from(SCRAPS), max_size=30).map(b"".join)
cuts = st.lists(st.integers(0, 4_000), max_size=30).map(sorted)


def chunks(stream, cuts):
    edges = [0, *(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


class TestAnySplit:
    @given(scraps, cuts)
    @example(words("x") + LAST + DONE, list(range(1_000)))
    @example(event(b'"x":{"usage":{%b}},"usage":{%b}' % (TOLD, TOLD)), list(range(1_000)))
    @example(b'data: {"usage":{"prompt_tokens":1\n' + LAST, list(range(1_000)))
    def test_the_same_bytes_come_out(self, stream, cuts):
        whole, parts = CostSplicer(bill_of), CostSplicer(bill_of)
        assert b"".join([*map(parts.feed, chunks(stream, cuts)), parts.finish()]) == whole.feed(stream) + whole.finish()
        assert (parts.usage, parts.cost_usd_nanos) == (whole.usage, whole.cost_usd_nanos)

    @given(
        st.lists(st.sampled_from([CHECKED_BYTES - 90, CHECKED_BYTES, CHECKED_BYTES + 40]), max_size=2),
        st.integers(-40, 40),
        st.sampled_from([b"", b'"x":{']),
        st.sampled_from([TOLD, b'"y":"%b"' % (b"x" * (MOST_USAGE_BYTES - 8)), TOLD + b',"y":"' + b"x" * 17_000 + b'"']),
        st.lists(st.integers(0, 60_000), max_size=20).map(sorted),
    )
    def test_around_the_limits(self, sizes, more, opening, told, cuts):
        long = b"".join(event(b'"a":"%b",%b"usage":{%b}' % (b"x" * (size + more), opening, told)) for size in sizes)
        stream = long + LAST + DONE
        assert spliced(chunks(stream, cuts)) == spliced([stream])
        assert spliced([stream]).endswith(LAST_WITH_COST + DONE)

    @given(scraps, cuts)
    def test_where_the_cost_is_unknown_nothing_changes(self, stream, cuts):
        assert spliced(chunks(stream, cuts), unknown) == stream

    @given(scraps, cuts)
    def test_nothing_comes_before_its_turn_and_nothing_is_lost(self, stream, cuts):
        splicer, passed, fed = CostSplicer(unknown), b"", b""
        for chunk in chunks(stream, cuts):
            fed += chunk
            passed += splicer.feed(chunk)
            assert fed.startswith(passed)
            assert fed[len(passed) :][:1] in (b"", b"{")
            assert len(fed) - len(passed) < MOST_USAGE_BYTES


texts = st.text(alphabet='aé漢😀\\"{}[],:\n usage', max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)
names = texts | st.sampled_from(["choices", "usage_", "cost", "x_groq", "id"])
usages = st.dictionaries(names | st.sampled_from(["cost", "is_byok", "cost_details"]), values, max_size=5).map(
    lambda members: {**members, "prompt_tokens": 3}
)
replies = st.builds(
    lambda before, usage, after: {**before, "usage": usage, **after},
    st.dictionaries(names, values, max_size=4),
    usages,
    st.dictionaries(names.filter(lambda name: name != "usage"), values, max_size=4),
)
written = st.sampled_from([(",", ":"), (", ", ": ")])
PARTS = {"upstream_inference_cost": None, "upstream_inference_prompt_cost": 3e-05}
MEMBERS = {
    "cost": 7.35e-05,
    "is_byok": False,
    "cost_details": {**PARTS, "upstream_inference_completions_cost": 4.35e-05},
}


class TestAnyReply:
    @given(replies, written, st.booleans())
    def test_it_reads_as_before_but_for_our_members(self, reply, separators, is_ascii):
        text = json.dumps(reply, separators=separators, ensure_ascii=is_ascii).encode()
        body, usage, _ = with_cost(text, bill_of)
        assert usage.prompt_tokens == 3
        found = json.loads(body, object_pairs_hook=unrepeated)
        assert found == {**reply, "usage": {**reply["usage"], **MEMBERS}}
        assert list(found) == list(reply)
        if not {"cost", "is_byok", "cost_details"} & set(reply["usage"]):
            assert body.replace(OURS + b",", b"", 1) == text

    @given(replies, written, cuts)
    def test_a_stream_is_changed_as_the_reply_is(self, reply, separators, cuts):
        text = json.dumps(reply, separators=separators).encode()
        stream = words("Hi") + b"data: " + text + b"\n\n" + DONE
        body, *_ = with_cost(text, bill_of)
        assert spliced(chunks(stream, cuts)) == words("Hi") + b"data: " + body + b"\n\n" + DONE


def unrepeated(pairs):
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)
