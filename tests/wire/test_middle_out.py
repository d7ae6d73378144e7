import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.wire.middle_out import compress, is_wanted, quarter, wants_compression
from fairlead.wire.request import ChatRequest
from fairlead.wire.shorten import MARK

SPOKEN = ("user", "assistant", "tool")


def request_of(messages, **members):
    return ChatRequest.parse(json.dumps({"model": "m", "messages": messages} | members).encode())


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}


def call(*ids):
    calls = [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(id, text="done"):
    return {"role": "tool", "tool_call_id": id, "content": text}


def chat(turns, size=400):
    """A conversation, each message about `size` bytes and told apart by its beginning."""
    found = [system("Be brief.")]
    for n in range(turns):
        found += [user(f"q{n} ".ljust(size, "x")), assistant(f"a{n} ".ljust(size, "x"))]
    return [*found, user("last ".ljust(size, "x"))]


def words(messages):
    """The first word of each message."""
    return [str(message["content"]).split(" ")[0] for message in messages]


def compressed(messages, most_tokens, **options):
    """The messages that are left, and what is said of it."""
    found = compress(request_of(messages), most_tokens, **options)
    return json.loads(found.raw)["messages"], found


class TestWants:
    @pytest.mark.parametrize(
        ("members", "wanted"),
        [
            ({}, None),
            ({"transforms": ["middle-out"]}, True),
            ({"transforms": []}, False),
            ({"transforms": None}, None),
            ({"transforms": ["other"]}, False),
            ({"plugins": [{"id": "context-compression"}]}, True),
            ({"plugins": [{"id": "context-compression", "enabled": True, "engine": "middle-out"}]}, True),
            ({"plugins": [{"id": "context-compression", "enabled": False}]}, False),
            ({"plugins": [{"id": "web"}]}, None),
            ({"plugins": []}, None),
            ({"plugins": None}, None),
            ({"transforms": [], "plugins": [{"id": "context-compression"}]}, False),
            ({"transforms": None, "plugins": [{"id": "context-compression"}]}, True),
            ({"transforms": "middle-out"}, None),
            ({"plugins": {"id": "context-compression"}}, None),
            ({"plugins": ["context-compression"]}, None),
        ],
    )
    def test_what_is_said(self, members, wanted):
        assert wants_compression(request_of([], **members)) is wanted

    def test_small_contexts_are_compressed_for(self):
        silent, refusing, asking = (
            request_of([], **one) for one in ({}, {"transforms": []}, {"transforms": ["middle-out"]})
        )
        assert [is_wanted(silent, size) for size in (8_192, 8_193, None)] == [True, False, False]
        assert not is_wanted(refusing, 4_096)
        assert is_wanted(asking, None)


class TestWhole:
    def test_what_fits_is_left_as_it_is(self):
        request = request_of(chat(5))
        found = compress(request, quarter(len(request.raw)))
        assert found.raw is request.raw
        assert (found.messages, found.text_bytes, found.fits) == (0, 0, True)

    def test_the_middle_leaves_first(self):
        left, found = compressed(chat(10), 1_200)
        assert words(left) == ["Be", "q0", "a0", "q1", "a1", "q8", "a8", "q9", "a9", "last"]
        assert (found.messages, found.text_bytes, found.fits) == (12, 0, True)

    def test_what_the_system_says_meanwhile_stays(self):
        messages = chat(10)
        messages[9:9] = [system("Now in French.")]
        left, _ = compressed(messages, 400)
        assert words(left) == ["Be", "q0", "a0", "Now", "last"]

    def test_an_answer_does_not_stay_without_its_question(self):
        """Though there would be room for it."""
        messages = [user("q0"), assistant("a0"), user("x" * 4000), assistant("a1"), user("last")]
        assert words(compressed(messages, 500)[0]) == ["q0", "a0", "last"]

    def test_down_to_what_has_to_stay(self):
        left, found = compressed(chat(10), 400)
        assert words(left) == ["Be", "q0", "a0", "last"]
        assert found.text_bytes == 0

    def test_the_longest_texts_are_cut_when_nothing_else_can_go(self):
        left, found = compressed([system("s" * 200), user("short"), assistant("a" * 900), user("b" * 3000)], 300)
        assert [message["role"] for message in left] == ["system", "user", "assistant", "user"]
        assert left[:2] == [system("s" * 200), user("short")]
        assert all(MARK in message["content"] for message in left[2:])
        assert len(left[2]["content"]) == len(left[3]["content"])
        assert found.fits
        assert found.messages == 0
        assert 2900 < found.text_bytes < 3200
        assert 290 <= quarter(len(found.raw)) <= 300

    def test_the_first_ones_leave_last(self):
        big = call("1")
        big["tool_calls"][0]["function"]["arguments"] = json.dumps({"text": "x" * 2000})
        left, found = compressed([user("first"), big, result("1"), user("last")], 60)
        assert left == [user("last")]
        assert found.fits

    def test_what_cannot_be_cut_is_told(self):
        request = request_of([user("hello")], tools=[{"type": "function", "function": {"name": "f" * 900}}])
        found = compress(request, 100)
        assert not found.fits
        assert json.loads(found.raw) == json.loads(request.raw)

    def test_attachments_count_for_what_they_are(self):
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}
        messages = [user("q0"), assistant("a0"), user([{"type": "text", "text": "what is it?"}, picture])]
        request = request_of(messages)
        assert compress(request, 1_200).raw is request.raw
        left, found = compressed([*messages, assistant("a cat"), user("really?")], 800)
        assert words(left) == ["q0", "a0", "really?"]
        assert found.fits

    def test_tokens_are_counted_as_told(self):
        assert compress(request_of(chat(3)), 100, tokens=lambda size: size // 100).messages == 0
        assert compress(request_of(chat(3)), 10_000, tokens=lambda size: size * 10).messages > 0


class TestLoops:
    """One question, and many calls of tools before the answer: what agents send."""

    def test_a_call_leaves_with_its_results(self):
        steps = [
            step for n in range(20) for step in (call(f"{n}a", f"{n}b"), result(f"{n}a", "x" * 300), result(f"{n}b"))
        ]
        left, found = compressed([system("s"), user("do it"), *steps], 1_000)
        assert found.fits
        assert left[:2] == [system("s"), user("do it")]
        assert left[-3:] == steps[-3:]
        self.assert_whole(left)
        assert 5 < len(left) < len(steps)

    def test_the_question_stays_before_many_steps(self):
        steps = [step for n in range(30) for step in (call(str(n)), result(str(n), "x" * 300))]
        left, _ = compressed([*chat(4), *steps], 900)
        assert "last" in words(left)
        self.assert_whole(left)

    @staticmethod
    def assert_whole(messages):
        called = [one["id"] for message in messages for one in message.get("tool_calls") or ()]
        assert called == [message["tool_call_id"] for message in messages if message["role"] == "tool"]

    def test_of_an_older_question_the_first_steps_stay(self):
        steps = [step for n in range(30) for step in (call(str(n)), result(str(n), "x" * 300))]
        left, found = compressed(
            [user("q0"), assistant("a0"), user("q1"), *steps, assistant("a1"), user("last")], 1_500
        )
        assert left[:3] == [user("q0"), assistant("a0"), user("q1")]
        assert left[-1] == user("last")
        assert 10 < len(left) < 40
        assert found.fits
        self.assert_whole(left)

    def test_a_long_result_is_cut(self):
        left, found = compressed([user("do it"), call("1"), result("1", "x" * 50_000)], 500)
        assert found.fits
        assert left[:2] == [user("do it"), call("1")]
        assert MARK in left[2]["content"]


class TestManyMessages:
    """Anthropic takes a thousand."""

    def test_half_stays_of_each_end(self):
        left, found = compressed(chat(1000, 10), 10**6, most_messages=1000)
        assert len(left) <= 1000
        kept = [int(word[1:]) for word in words(left) if word[0] == "q"]
        assert kept == [*range(250), *range(kept[250], 1000)]
        assert abs(len(kept) - 500) <= 2
        assert (found.fits, found.text_bytes) == (True, 0)

    def test_no_more_than_that_is_left_alone(self):
        request = request_of(chat(20))
        assert compress(request, 10**6, most_messages=42).raw is request.raw
        assert compress(request, 10**6, most_messages=41).messages > 0

    def test_and_the_size_counts_too(self):
        left, found = compressed(chat(1000, 100), 2_000, most_messages=1000)
        assert found.fits
        assert len(left) < 100


contents = st.text('abc é\n"', max_size=200).map(lambda text: text * 3)
turns = st.tuples(
    contents,
    st.lists(st.tuples(st.integers(1, 3), contents), max_size=4),
    contents,
)


@st.composite
def conversations(draw):
    """Roles take turns; answers may be preceded by calls of tools. The last one is a question, or unfinished work."""
    found = [system(draw(contents))] if draw(st.booleans()) else []
    for n, (question, steps, answer) in enumerate(draw(st.lists(turns, min_size=1, max_size=8))):
        found.append(user(question))
        for m, (count, text) in enumerate(steps):
            ids = [f"{n}.{m}.{k}" for k in range(count)]
            found += [call(*ids), *(result(id, text) for id in ids)]
        found.append(assistant(answer))
    return [*found, user(draw(contents)), *draw(st.sampled_from([[], [call("z"), result("z")]]))]


def roles(messages):
    """Who speaks after whom; results of one call are one."""
    spoken = [message["role"] for message in messages if message["role"] in SPOKEN]
    return [role for role, before in zip(spoken, [None, *spoken], strict=False) if not role == before == "tool"]


@given(conversations(), st.integers(0, 3000), st.sampled_from([None, 6, 20]))
def test_whatever_is_left_is_a_conversation(messages, most_tokens, most_messages):
    request = request_of(messages, temperature=0.5)
    found = compress(request, most_tokens, most_messages=most_messages)
    body = json.loads(found.raw)
    left = body["messages"]
    assert {**body, "messages": None} == {"model": "m", "temperature": 0.5, "messages": None}
    assert len(left) == len(messages) - found.messages
    TestLoops.assert_whole(left)
    pairs = set(zip(roles(left), roles(left)[1:], strict=False))
    assert not pairs & {("user", "user"), ("assistant", "assistant"), ("user", "tool")}
    assert roles(left)[0] == "user"
    assert [one for one in left if one["role"] == "system"] == [one for one in messages if one["role"] == "system"]
    last = [message for message in messages if message["role"] == "user"][-1]
    last_left = [message for message in left if message["role"] == "user"][-1]
    assert last_left == last or MARK in last_left["content"]
    assert left[-1]["role"] == messages[-1]["role"]
    if quarter(len(request.raw)) <= most_tokens and (most_messages is None or len(messages) <= most_messages):
        assert found.raw is request.raw
    assert found.fits is (quarter(len(found.raw)) <= most_tokens)


@given(conversations(), st.integers(0, 3000))
def test_it_fits_whenever_it_can(messages, most_tokens):
    """The least that there can be: the last question and what is newest, with nothing left of their texts."""
    tail = max(n for n, message in enumerate(messages) if message["role"] == "user")
    least = [one for one in messages if one["role"] == "system"]
    least += [one | {"content": MARK if one["content"] else one["content"]} for one in messages[tail:]]
    if quarter(len(request_of(least).raw)) <= most_tokens:
        assert compress(request_of(messages), most_tokens).fits


@given(st.lists(st.sampled_from(["user", "assistant", "tool", "system", "", "odd"]), max_size=30), st.integers(0, 500))
def test_any_order_of_roles(order, most_tokens):
    messages = [{"role": role, "content": f"{n} ".ljust(40, "x")} for n, role in enumerate(order)]
    left, found = compressed(messages, most_tokens)
    places = [int(str(message["content"]).split(" ")[0]) for message in left if MARK not in message["content"]]
    assert places == sorted(places)
    assert len(left) == len(messages) - found.messages


@pytest.mark.parametrize("messages", [b"[1]", b'["x"]', b'[{"role":5}]', b"[]"])
def test_what_cannot_be_read_is_left(messages):
    request = ChatRequest.parse(b'{"model":"m","messages":%b}' % messages)
    found = compress(request, 5)
    assert json.loads(found.raw) == json.loads(request.raw)
    assert not found.fits
    assert found.messages == 0
