import json
import sys
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fairlead.catalog.dialects import Dialect
from fairlead.errors import ApiError
from fairlead.wire.request import MOST_MODELS, ROUTING_MEMBERS, ChatRequest, body_bytes
from harness.jsontext import gap, member_text, names, texts, values

ROUTING = {
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", *ROUTING_MEMBERS
}  # fmt: skip
PLAIN = b'{"model":"m","messages":[]}'


@st.composite
def chats(draw):
    """The members of a chat request that nothing is wrong with, in any order."""
    members = draw(st.dictionaries(names.filter(lambda name: name not in ROUTING), values, max_size=5))
    members["model"] = draw(texts.filter(bool))
    members["messages"] = draw(st.lists(values, max_size=3))
    if draw(st.booleans()):
        members["stream"] = draw(st.sampled_from([True, False, None]))
    if draw(st.booleans()):
        options = st.dictionaries(names, values, max_size=3)
        usage = st.sampled_from([{}, {"include_usage": True}, {"include_usage": False}, {"include_usage": None}])
        members["stream_options"] = draw(st.none() | st.builds(lambda a, b: {**a, **b}, options, usage))
    return dict(draw(st.permutations(list(members.items()))))


def written(members, random, replaced=None):
    """The bytes of an object, and the same with other values for the members in `replaced`; the rest is added."""
    missing = dict(replaced or {})
    opening, closing = f"{gap(random)}{{", f"{gap(random)}}}{gap(random)}"
    before, after = opening, opening
    last_gap = ""
    for position, (name, value) in enumerate(members):
        head, text, last_gap = member_text(name, value, random)
        comma = "," if position else ""
        before += f"{comma}{head}{text}"
        after += f"{comma}{head}{missing.pop(name, text)}"
        if position < len(members) - 1:
            before, after = before + last_gap, after + last_gap
    after += "".join(f",{json.dumps(name)}:{text}" for name, text in missing.items())
    return (before + last_gap + closing).encode(), (after + last_gap + closing).encode()


def through(raw, edits):
    parts = ChatRequest.parse(raw).spliced(edits)
    assert body_bytes(parts) == sum(len(bytes(part)) for part in parts)
    return b"".join(parts)


def deeper(frames, call):
    return call() if frames == 0 else deeper(frames - 1, call)


def for_upstream(raw, *, wants_usage=True):
    request = ChatRequest.parse(raw)
    return b"".join(request.spliced(request.upstream_edits(b'"up"', wants_usage=wants_usage)))


def refusal(raw, *, wants_usage=True):
    with pytest.raises(ApiError) as caught:
        for_upstream(raw, wants_usage=wants_usage)
    assert caught.value.status == 400
    assert caught.value.message
    return caught.value


class TestSplice:
    @given(
        chats(),
        st.dictionaries(st.sampled_from(["model", "stream_options", "tools", "added"]), values, max_size=3),
        st.randoms(use_true_random=False),
    )
    def test_every_other_byte_stays(self, members, replaced, random):
        edits = {name: json.dumps(value) for name, value in replaced.items()}
        raw, expected = written(list(members.items()), random, edits)
        result = through(raw, {name: text.encode() for name, text in edits.items()})
        assert result == expected
        assert json.loads(result) == {**json.loads(raw), **json.loads(json.dumps(replaced))}

    @given(chats(), st.data(), st.randoms(use_true_random=False))
    def test_a_member_that_stands_there_twice_is_refused(self, members, data, random):
        members = list(members.items())
        name, value = data.draw(st.sampled_from(members))
        again = data.draw(st.just(value) | values)
        members.insert(data.draw(st.integers(0, len(members))), (name, again))
        refusal(written(members, random)[0])

    def test_a_repeated_member_is_named(self):
        assert refusal(b'{"model":"m","messages":[],"mod\\u0065l":"n"}').param == "model"
        assert refusal(b'{"a":1,"a":1,"model":"m","messages":[]}').param == "a"
        assert refusal(b'{"model":"m","messages":[],"a":1,"a":12}').param == "a"
        assert "'model' more than once" in refusal(b'{"model":"m","messages":[],"model":"m"}').message

    def test_no_lengths_make_a_repeated_member_pass(self):
        """The last value stands for the first in the decoder's answer; a walk by lengths came to rest inside `b`."""
        for spaces in range(30):
            for letters in range(30):
                body = b'{"messages":[],"model":1,"b":{%b"b":1},"model":"%b"          }'
                refusal(body % (b" " * spaces, b"x" * letters))

    @pytest.mark.parametrize(
        "raw",
        [
            b'{"model": "m","messages": []}',
            b'{"model":"m", "messages":[]}',
            b'{"messages":[],"model": "m"}',
            b'{"messages":[] ,"model" :"m" }',
            b' {\n  "messages": [],\n  "model": "m"\n}\n',
            b'\t{\r"messages"\n:\t[]\r,"mod\\u0065l":"m"}',
            b'{"x":{"model":"m"},"model":"m","messages":[{"model":"m"}]}',
            b'{"x":"\\"model\\":\\"m\\"","model":"m","messages":[]}',
            b'{"n":123456789012345678901234567890.10e+0,"model":"m","messages":[]}',
        ],
    )
    def test_one_value_changes(self, raw):
        expected = raw[::-1].replace(b'"m"', b'"wen"', 1)[::-1] if raw.startswith(b'{"x"') else None
        if raw.startswith(b'{"x":{'):
            expected = b'{"x":{"model":"m"},"model":"new","messages":[{"model":"m"}]}'
        assert through(raw, {"model": b'"new"'}) == (expected or raw.replace(b'"m"', b'"new"'))

    def test_a_name_that_looks_like_two_members_is_one(self):
        raw = b'{"d":1,"e":2,"d\\":1,\\"e":2,"model":"m","messages":[]}'
        assert through(raw, {"model": b"0"}) == raw.replace(b'"m"', b"0")
        refusal(b'{"e":2,"d":1,"d":1,"e":2,"d\\":1,\\"e":2,"model":"m","messages":[]}')

    def test_without_edits_the_body_is_the_body(self):
        assert through(PLAIN, {}) == PLAIN

    def test_a_number_that_another_begins_with_is_not_mistaken_for_it(self):
        refusal(b'{"n":12,"model":"m","messages":[],"n":1}')

    def test_a_body_of_4_mb_is_not_copied(self):
        raw = b'{"messages":[{"role":"user","content":"%s"}],"model":"m"}' % (b"x" * 4_000_000)
        request = ChatRequest.parse(raw)
        tracemalloc.start()
        try:
            parts = request.spliced({"model": b'"up"', "new": b"1"})
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert b"".join(parts) == raw.replace(b'"m"', b'"up","new":1')
        assert [part.obj for part in parts if isinstance(part, memoryview)] == [raw] * 3
        assert peak_bytes < 10_000

    def test_a_name_of_4_mb_takes_no_more_memory_than_itself(self):
        raw = b'{"model":"m","messages":[],"%s":1}' % (b"\\n" * 2_000_000)
        request = ChatRequest.parse(raw)
        tracemalloc.start()
        try:
            result = b"".join(request.spliced({"model": b'"up"'}))
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert result == raw.replace(b'"m"', b'"up"')
        assert peak_bytes < 10 * len(raw)


class TestFields:
    @pytest.mark.parametrize(
        ("members", "is_stream", "max_output_tokens"),
        [
            ('"stream":true', True, None),
            ('"stream":false,"max_tokens":5', False, 5),
            ('"stream":null,"max_tokens":null', False, None),
            ('"max_tokens":5,"max_completion_tokens":7', False, 7),
            ('"max_tokens":100000000000000000000000000000', False, 10**29),
            ('"temperature":"hot","tools":7,"stream_options":null', False, None),
        ],
    )
    def test_what_routing_reads(self, members, is_stream, max_output_tokens):
        request = ChatRequest.parse(b'{"model":"m","messages":[],%s}' % members.encode())
        assert (request.model, request.is_stream, request.max_output_tokens) == ("m", is_stream, max_output_tokens)

    def test_the_models_name_comes_without_escapes(self):
        assert ChatRequest.parse(b'{"model":"\\ud83d\\ude00\\u0041\\n","messages":[]}').model == "😀A\n"


class TestUpstreamEdits:
    @pytest.mark.parametrize(
        ("members", "options"),
        [
            ('"stream":true', {"include_usage": True}),
            ('"stream":true,"stream_options":null', {"include_usage": True}),
            ('"stream":true,"stream_options":{}', {"include_usage": True}),
            ('"stream":true,"stream_options":{"include_usage":false}', {"include_usage": True}),
            ('"stream":true,"stream_options":{"include_usage":null}', {"include_usage": True}),
            (
                '"stream":true,"stream_options":{"include_obfuscation":false,"x":{"n":12345678901234567890123}}',
                {"include_obfuscation": False, "x": {"n": 12345678901234567890123}, "include_usage": True},
            ),
            ('"stream":true,"stream_options":{"include_usage":true}', None),
            ('"stream":false,"stream_options":null', None),
            ('"stream":null', None),
            ('"temperature":1', None),
        ],
    )
    def test_streams_are_made_to_end_with_usage(self, members, options):
        request = ChatRequest.parse(b'{"model":"m","messages":[],%s}' % members.encode())
        edits = request.upstream_edits(b'"up"', wants_usage=True)
        assert edits.pop("model") == b'"up"'
        assert {name: json.loads(text) for name, text in edits.items()} == (
            {} if options is None else {"stream_options": options}
        )

    def test_where_usage_comes_unasked_nothing_is_added(self):
        request = ChatRequest.parse(b'{"model":"m","messages":[],"stream":true}')
        assert request.upstream_edits(b'"up"', wants_usage=False) == {"model": b'"up"'}

    @given(chats(), st.booleans(), st.randoms(use_true_random=False))
    def test_nothing_but_model_and_options_ever_changes(self, members, wants_usage, random):
        raw = written(list(members.items()), random)[0]
        sent = json.loads(for_upstream(raw, wants_usage=wants_usage))
        expected = {**json.loads(raw), "model": "up"}
        if wants_usage and members.get("stream") is True:
            expected["stream_options"] = {**(members.get("stream_options") or {}), "include_usage": True}
        assert sent == expected


class TestTakenOut:
    @given(chats(), st.data(), st.randoms(use_true_random=False))
    def test_members_go_and_the_rest_stays(self, members, data, random):
        removable = [name for name in members if name not in ("model", "messages")]
        gone = data.draw(st.sets(st.sampled_from(removable))) if removable else set()
        raw, _ = written(list(members.items()), random)
        edits = {"model": b'"up"', **dict.fromkeys(gone), "never_there": None, "new": b"[1]"}
        left = {name: value for name, value in members.items() if name not in gone}
        assert json.loads(through(raw, edits)) == {**left, "model": "up", "new": [1]}

    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            (b'{"models":["a"],"model":"m","messages":[]}', b'{"model":"up","messages":[]}'),
            (b'{"model":"m", "models" : ["a"] , "messages":[]}', b'{"model":"up" , "messages":[]}'),
            (b'{ "trace":{},"usage":1, "messages":[] ,"model":"m"}', b'{"messages":[] ,"model":"up"}'),
            (b'{"model":"m","messages":[],"provider":{"only":["a"]} }', b'{"model":"up","messages":[] }'),
            (b'{"session_id":"a,\\"b","model":"m","messages":[]}', b'{"model":"up","messages":[]}'),
        ],
    )
    def test_what_is_said_to_the_gateway(self, raw, expected):
        assert for_upstream(raw) == expected

    @pytest.mark.parametrize("said", ["max_tokens", "max_completion_tokens"])
    @pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens", None])
    def test_the_limit_has_the_name_that_its_provider_knows(self, said, limit):
        request = ChatRequest.parse(b'{"model":"m","%b":12345678901234567890,"messages":[]}' % said.encode())
        sent = request.spliced(request.upstream_edits(b'"up"', wants_usage=True, dialect=Dialect(limit)))
        assert json.loads(b"".join(sent)) == {"model": "up", "messages": [], limit or said: 12345678901234567890}

    @pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens", None])
    @pytest.mark.parametrize(
        ("said", "held"),
        [
            ({"max_tokens": 100_000, "max_completion_tokens": 1}, 1),
            ({"max_completion_tokens": 7, "max_tokens": 5}, 7),
            ({"max_tokens": 100, "max_completion_tokens": None}, 100),
            ({"max_tokens": None, "max_completion_tokens": 100}, 100),
        ],
        ids=str,
    )
    def test_what_is_held_for_is_what_is_sent(self, limit, said, held):
        """Said twice, the larger one reached the provider; a null reached it in place of a number."""
        request = ChatRequest.parse(json.dumps({"model": "m", "messages": [], **said}).encode())
        sent = request.spliced(request.upstream_edits(b'"up"', wants_usage=True, dialect=Dialect(limit)))
        limits = {name: value for name, value in json.loads(b"".join(sent)).items() if name.startswith("max_")}
        assert request.max_output_tokens == held
        assert [value for value in limits.values() if value is not None] == [held]
        if limit is not None:
            assert limits == {limit: held}

    def test_names_that_are_added_are_names_whatever_is_in_them(self):
        name = 'x":1,"model":"the-dearest","y'
        assert json.loads(through(PLAIN, {name: b"1"})) == {"model": "m", "messages": [], name: 1}

    @pytest.mark.parametrize(
        ("reasoning", "effort"),
        [
            ({"effort": "high"}, "high"),
            ({"enabled": True}, "medium"),
            ({"enabled": False}, "none"),
            ({"max_tokens": 2000}, "medium"),
            ({"exclude": True}, None),
            ({"effort": "huge"}, None),
            (None, None),
            ("high", None),
        ],
        ids=str,
    )
    def test_reasoning_in_a_word(self, reasoning, effort):
        request = ChatRequest.parse(json.dumps({"model": "m", "reasoning": reasoning, "messages": []}).encode())
        dialect = Dialect(has_reasoning=False)
        sent = json.loads(b"".join(request.spliced(request.upstream_edits(b'"up"', wants_usage=True, dialect=dialect))))
        assert sent.get("reasoning_effort") == effort
        assert "reasoning" not in sent

    def test_reasoning_said_in_a_word_that_is_null(self):
        raw = b'{"model":"m","reasoning":{"effort":"low"},"reasoning_effort":null,"messages":[]}'
        request = ChatRequest.parse(raw)
        edits = request.upstream_edits(b'"up"', wants_usage=True, dialect=Dialect(has_reasoning=False))
        assert json.loads(b"".join(request.spliced(edits)))["reasoning_effort"] == "low"

    def test_reasoning_said_in_a_word_already(self):
        raw = b'{"model":"m","reasoning":{"effort":"low"},"reasoning_effort":"high","messages":[]}'
        request = ChatRequest.parse(raw)
        edits = request.upstream_edits(b'"up"', wants_usage=True, dialect=Dialect(has_reasoning=False))
        assert b"".join(request.spliced(edits)) == b'{"model":"up","reasoning_effort":"high","messages":[]}'


class TestModels:
    @pytest.mark.parametrize(
        ("body", "models"),
        [
            ({"model": "a"}, ("a",)),
            ({"models": ["b", "c"]}, ("b", "c")),
            ({"model": "a", "models": ["b", "a", "c", "b"]}, ("a", "b", "c")),
            ({"model": None, "models": ["b"]}, ("b",)),
            ({"model": "a", "models": None}, ("a",)),
            ({"model": "a", "models": []}, ("a",)),
        ],
        ids=str,
    )
    def test_who_may_answer_in_order(self, body, models):
        request = ChatRequest.parse(json.dumps({**body, "messages": []}).encode())
        assert (request.model, request.models) == (models[0], models)

    @pytest.mark.parametrize(
        ("models", "text"),
        [
            ([], "'model' is required"),
            ([""], "'model' is required"),
            ("a", "'models' is wrong: it must be a list"),
            ([str(n) for n in range(MOST_MODELS + 1)], "name fewer"),
            (["x" + ":free" * 100], "more than 256 characters"),
        ],
        ids=["none", "empty", "text", "many", "long"],
    )
    def test_who_cannot(self, models, text):
        with pytest.raises(ApiError, match=text):
            ChatRequest.parse(json.dumps({"models": models, "messages": []}).encode())

    @pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
    @pytest.mark.parametrize("limit", [0, -1, -1_000_000])
    def test_a_limit_that_is_none(self, name, limit):
        with pytest.raises(ApiError, match="must be 1 or more") as raised:
            ChatRequest.parse(json.dumps({"model": "m", "messages": [], name: limit}).encode())
        assert raised.value.param == name

    @pytest.mark.parametrize(
        ("value", "has"),
        [
            (b"null", False),
            (b"[]", False),
            (b"[ \n]", False),
            (b"[1]", True),
            (b"0", True),
            (b"[" + b" " * 20 + b"1]", True),
        ],
    )
    def test_whether_a_member_says_anything(self, value, has):
        assert ChatRequest.parse(b'{"model":"m","messages":[],"tools":%b}' % value).has("tools") == has


class TestBadBodies:
    @pytest.mark.parametrize(
        ("raw", "text", "param"),
        [
            (b"", "is empty", None),
            (b" \n", "is empty", None),
            (b"[]", "must be a JSON object", None),
            (b'"model"', "must be a JSON object", None),
            (b"null", "must be a JSON object", None),
            (b'{"model":"m"', "truncated", None),
            (b"{'model':'m'}", "keys must be strings", None),
            (PLAIN + b" x", "trailing characters (byte 29)", None),
            (PLAIN + b"}", "trailing characters", None),
            (PLAIN + b"\x00", "trailing characters", None),
            (PLAIN[:-1] + b",}", "trailing comma", None),
            (PLAIN[:-1] + b',"t":NaN}', "invalid character", None),
            (PLAIN[:-1] + b',"t":-Infinity}', "not valid JSON", None),
            (PLAIN[:-1] + b',"t":01}', "invalid number", None),
            (PLAIN[:-1] + b',"t":"\\ud800"}', "not valid JSON", None),
            (PLAIN[:-1] + b',"t":"\x01"}', "invalid character", None),
            (b"\xef\xbb\xbf" + PLAIN, "byte order mark", None),
            (PLAIN.decode().encode("utf-16"), "byte order mark", None),
            (PLAIN.decode().encode("utf-16-le"), "not valid JSON", None),
            (b'{"model":"\xff","messages":[]}', "not valid UTF-8", None),
            (b'{"\xff":1,"model":"m","messages":[]}', "not valid UTF-8", None),
            (b'{"\xed\xa0\x80":1,"model":"m","messages":[]}', "not valid UTF-8", None),
            (PLAIN[:-1] + b',"stream":true,"stream_options":{"\xff":1}}', "not valid UTF-8", None),
            (b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply", None),
            (b'{"a":' * 100_000, "nested too deeply", None),
            (b'{"messages":[]}', "'model' is required", "model"),
            (b'{"model":null,"messages":[]}', "'model' is required", "model"),
            (b'{"model":"","messages":[]}', "'model' is required", "model"),
            (
                b'{"model":5,"messages":[]}',
                "'model' is wrong: it must be a string or null, not a whole number",
                "model",
            ),
            (b'{"model":["m"],"messages":[]}', "'model' is wrong", "model"),
            (b'{"model":"m"}', "'messages' is required", "messages"),
            (b'{"model":"m","messages":null}', "'messages' must be a list", "messages"),
            (b'{"model":"m","messages":"hi"}', "'messages' must be a list", "messages"),
            (PLAIN[:-1] + b"".join(b',"x%d":1' % n for n in range(999)) + b"}", "more than 1000 members", None),
            (PLAIN[:-1] + b',"models":[' + b'"m",' * 40_000 + b'"m"]}', "longer than 131072 bytes", "models"),
            (PLAIN[:-1] + b',"stream":"true"}', "'stream' is wrong", "stream"),
            (PLAIN[:-1] + b',"max_tokens":"5"}', "'max_tokens' is wrong", "max_tokens"),
            (PLAIN[:-1] + b',"max_tokens":' + b"9" * 5000 + b"}", "'max_tokens' is wrong", "max_tokens"),
            (PLAIN[:-1] + b',"stream_options":[]}', "'stream_options' is wrong", "stream_options"),
            (
                PLAIN[:-1] + b',"stream_options":{"include_usage":"yes"}}',
                "'stream_options.include_usage' is wrong",
                "stream_options.include_usage",
            ),
        ],
    )
    def test_the_refusal_says_what_is_wrong(self, raw, text, param):
        error = refusal(raw)
        assert text in error.message
        assert error.param == param

    def test_any_depth_is_served_or_refused(self):
        """Between what the decoder takes and what it does not there is no depth that takes it by surprise."""
        for depth in range(sys.getrecursionlimit() - 150, sys.getrecursionlimit() + 10):
            nested = b"[" * depth + b"]" * depth
            raw = b'{"model":"m","messages":[],"stream":true,"stream_options":{"x":%b}}' % nested
            try:
                for_upstream(raw)
            except ApiError as error:
                assert "nested too deeply" in error.message  # noqa: PT017 - either is right

    def test_any_depth_is_read_from_any_depth(self):
        """The decoder bears less where the stack is deeper than it was when the body was parsed."""
        for depth in range(sys.getrecursionlimit() - 150, sys.getrecursionlimit() + 10):
            raw = b'{"model":"m","messages":[],"debug":{"x":%b}}' % (b"[" * depth + b"]" * depth)
            try:
                request = ChatRequest.parse(raw)
                assert deeper(30, lambda request=request: request.wants_echo) is False
            except ApiError as error:
                assert "nested too deeply" in error.message  # noqa: PT017 - either is right

    @given(st.binary(max_size=60))
    @example(b'{"":0')
    def test_noise_is_refused(self, raw):
        refusal(raw)

    @given(chats(), st.data(), st.randoms(use_true_random=False))
    def test_a_damaged_body_is_refused_or_still_json(self, members, data, random):
        raw = bytearray(written(list(members.items()), random)[0])
        for _ in range(data.draw(st.integers(1, 3))):
            position = data.draw(st.integers(0, len(raw)))
            raw[position : position + data.draw(st.integers(0, 2))] = data.draw(
                st.binary(max_size=2) | st.sampled_from([b'"', b"\\", b"{", b"}", b",", b":", b"\\u", b"1", b" "])
            )
        try:
            result = through(bytes(raw), {"model": b'"up"'})
        except ApiError as error:
            assert error.status == 400  # noqa: PT017 - either is right
            return
        assert json.loads(result.decode("utf-8", "replace"))["model"] == "up"
