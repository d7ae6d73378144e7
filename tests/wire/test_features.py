import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.wire.features import Features, features_of
from fairlead.wire.keywords import Keywords
from fairlead.wire.request import ChatRequest

MEMBERS = (
    "messages", "tools", "response_format", "modalities", "reasoning", "reasoning_effort", "max_tokens",
    "max_completion_tokens",
)  # fmt: skip
PIECES = [
    b"", b"[", b"]", b"{", b"}", b'"', b"\\", b'"role"', b'"user"', b'"system"', b":", b",", b'"role":"user"',
    b'"type"', b'"image_url"', b'"content":"', b"\\u8bc1", b"\\ud8", b"\xff", b"\xe8\xaf\x81",
    b"prove", b"```", b" ", b"9" * 30,
]  # fmt: skip


def of(messages, keywords=(), *, is_ascii=False, **members):
    members = {"messages": messages, **members}
    raw = {name: json.dumps(value, ensure_ascii=is_ascii).encode() for name, value in members.items()}
    return features_of(raw.get, Keywords(keywords))


def said(text, **members):
    return of([{"role": "user", "content": text}], **members)


def part(kind, **members):
    return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"type": kind, **members}]}]


junk = st.binary(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)


@given(st.dictionaries(st.sampled_from(MEMBERS), junk))
@settings(max_examples=300)
def test_no_bytes_are_too_strange(members):
    features = features_of(members.get, Keywords(("prove", "证明")))
    assert features.prompt_tokens >= 0
    assert features.conversation > 0


def test_a_request_without_anything_has_none():
    assert features_of({}.get) == Features(prompt=b"[]", conversation=features_of({}.get).conversation)


def test_a_request_tells_its_members():
    request = ChatRequest.parse(b'{"model":"auto","messages":[{"role":"user","content":"Why?"}],"tools":[{}]}')
    features = features_of(request.member)
    assert (features.turns, features.needs, features.reasoning_words) == (1, {"tools"}, 1)


@pytest.mark.parametrize(
    ("kind", "modality"),
    [
        ("image_url", "image"),
        ("input_image", "image"),
        ("input_audio", "audio"),
        ("file", "file"),
        ("input_file", "file"),
        ("video_url", "video"),
    ],
)
def test_what_is_sent_beside_text(kind, modality):
    assert of(part(kind)).inputs == {modality}
    assert of(part(kind, first=part("text"))).inputs == {modality}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " : ")])
def test_white_space_makes_no_difference(separators):
    messages = [*part("image_url"), {"role": "assistant", "content": "A cat."}, {"role": "user", "content": "Why?"}]
    raw = json.dumps(messages, separators=separators).encode()
    features = features_of({"messages": raw}.get)
    assert (features.inputs, features.turns, features.reasoning_words) == ({"image"}, 2, 1)


def test_an_image_is_found_behind_very_many_parts():
    texts = [{"type": "text", "text": ""}] * 5_000
    assert of([{"role": "user", "content": texts}]).inputs == frozenset()
    assert of([{"role": "user", "content": [*texts, {"type": "image_url"}]}]).inputs == {"image"}


def test_text_about_images_is_none():
    assert said('Send {"type":"image_url"} or "type": "file"').inputs == frozenset()


def test_what_is_needed():
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    assert said("x", response_format=schema).needs == {"structured_outputs"}
    assert said("x", response_format={"type": "json_object"}).needs == {"response_format"}
    assert said("x", response_format={"type": "text"}, tools=[]).needs == frozenset()
    assert said("x", tools=[{"type": "function"}]).needs == {"tools"}
    assert said("x", modalities=["text", "audio"]).outputs == {"audio"}


@pytest.mark.parametrize(
    ("members", "effort"),
    [
        ({}, ""),
        ({"reasoning_effort": "high"}, "high"),
        ({"reasoning": {"effort": "xhigh"}}, "xhigh"),
        ({"reasoning": {"enabled": True}}, "medium"),
        ({"reasoning": {"max_tokens": 2000}}, "medium"),
        ({"reasoning": {"enabled": False}}, ""),
        ({"reasoning": {"exclude": True}}, ""),
    ],
)
def test_effort(members, effort):
    assert said("x", **members).effort == effort


def test_the_longest_reply():
    assert said("x", max_tokens=100).output_tokens == 100
    assert said("x", max_tokens=100, max_completion_tokens=200).output_tokens == 200
    assert said("x", max_tokens=-1).output_tokens == said("x", max_tokens=None).output_tokens == 0


def test_sizes_are_of_text():
    image = part("image_url", image_url={"url": f"data:image/png;base64,{'A' * 400_000}"})
    assert 900 < of(image).prompt_tokens < 1_200
    assert 2_400 < said("word " * 2_000).prompt_tokens < 2_600
    long = [{"role": "system", "content": "word " * 2_000}, {"role": "user", "content": "hi"}]
    assert of(long).user_tokens < 20


@pytest.mark.parametrize("is_ascii", [False, True], ids=["utf-8", "escaped"])
@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("What is a proxy?", "latin"),
        ("Qu’est-ce qu’un “relais” — élégant ?", "latin"),
        ("什么是反向代理？", "han"),
        ("リバースプロキシとは何ですか", "kana"),
        ("역방향 프록시가 무엇입니까", "hangul"),
        ("Что такое обратный прокси", "cyrillic"),
        ("Τι είναι ο διακομιστής", "greek"),
        ("ما هو الوكيل العكسي", "arabic"),
        ("מהו פרוקסי הפוך", "hebrew"),
        ("रिवर्स प्रॉक्सी क्या है", "devanagari"),
        ("พร็อกซีย้อนกลับคืออะไร", "thai"),
        (
            "Translate the one word 证明 of this long and otherwise quite English sentence, please, for my friend.",
            "latin",
        ),
        ("🙂🙂🙂🙂🙂🙂🙂🙂", "latin"),
    ],
)
def test_script(text, script, is_ascii):
    assert said(text, is_ascii=is_ascii).script == script


@pytest.mark.parametrize(
    "text", ["```\nx\n```", "def f(x):\n    return x", "Fix this SQL", "写一个函数", "const a = () => 1;\n"]
)
def test_code(text):
    assert said(text).has_code


@pytest.mark.parametrize("text", ["hello", "Import duties on tea", "Which class of ship is she?", "很高兴认识你"])
def test_no_code(text):
    assert not said(text).has_code


def test_reasoning_words_are_counted_in_any_language():
    assert said("Hello there").reasoning_words == 0
    assert said("Prove the theorem by induction").reasoning_words == 3
    assert said("请逐步证明这个定理").reasoning_words == 3
    assert said("prove proof theorem lemma derive solve").reasoning_words == 4


def test_keywords_of_the_operator():
    assert said("请证明", keywords=("证明", "翻译")).hits == ("证明",)
    assert said("请证明", keywords=("证明", "翻译"), is_ascii=True).hits == ("证明",)


@pytest.mark.parametrize("is_role_first", [True, False])
def test_what_was_said_last_counts_and_what_was_said_first(is_role_first):
    texts = [("system", "prove"), ("user", "alpha"), ("assistant", "beta"), ("user", "gamma"), ("user", "delta"),
             ("assistant", "epsilon"), ("tool", "zeta")]  # fmt: skip
    messages = [{"role": role, "content": text} for role, text in texts]
    if not is_role_first:
        messages = [dict(reversed(message.items())) for message in messages]
    words = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
    assert set(of(messages, words).hits) == {"alpha", "delta"}
    assert of(messages).reasoning_words == 0


def test_replies_with_the_role_last_are_not_taken_for_what_was_said():
    messages = [{"role": "user", "content": 'say "alpha"'}, {"content": "beta", "role": "assistant"}]
    assert of([*messages, *messages], ("alpha", "beta")).hits == ("alpha",)


def test_of_a_long_text_both_ends_count():
    assert said(f"alpha {'x' * 5_000} beta {'x' * 5_000} gamma", keywords=("alpha", "beta", "gamma")).hits == (
        "alpha",
        "gamma",
    )


messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool"]), "content": st.text(max_size=30)}),
    min_size=1,
    max_size=5,
)
system = st.lists(st.just({"role": "system", "content": "Be brief."}), max_size=1)


@given(system, messages, messages, st.sampled_from(["first", "last", "last in replies"]), st.booleans())
@settings(max_examples=200)
def test_a_conversation_keeps_its_number(first, then, later, role_is, is_ascii):
    def number(said):
        names = [
            ("role", "content")
            if role_is == "first" or (role_is != "last" and message["role"] != "assistant")
            else ("content", "role")
            for message in said
        ]
        said = [{name: message[name] for name in order} for message, order in zip(said, names, strict=True)]
        return of(said, is_ascii=is_ascii).conversation

    if role_is != "last in replies" or then[0]["role"] != "assistant":
        assert number([*first, *then]) == number([*first, *then, *later])


def test_conversations_have_different_numbers():
    numbers = {said(f"conversation {n}").conversation for n in range(500)}
    long = {"role": "system", "content": "Be brief. " * 1_000}
    numbers |= {of([long, {"role": "user", "content": f"conversation {n}"}]).conversation for n in range(500)}
    assert len(numbers) == 1_000
