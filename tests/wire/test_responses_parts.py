import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from fairlead.errors import ApiError
from fairlead.wire.responses_parts import content_of, joined, texts_of
from harness.jsontext import values

WHERE = "input[0].content"


def raw(value):
    return Raw(json.dumps(value).encode())


def content(value):
    return json.loads(bytes(content_of(raw(value), WHERE)))


def refusal(function, value):
    with pytest.raises(ApiError) as caught:
        function(raw(value), WHERE)
    assert caught.value.status == 400
    return caught.value.param, caught.value.message


class TestContent:
    @pytest.mark.parametrize("text", ["hi", [{"type": "input_text", "text": "hi"}], [{"type": "text", "text": "hi"}]])
    def test_one_text_is_a_string(self, text):
        assert content(text) == "hi"

    def test_text_keeps_its_bytes(self):
        assert content_of(Raw(b'[{"type":"input_text","text":"\\u00e9\\/"}]'), WHERE) == Raw(b'"\\u00e9\\/"')

    @pytest.mark.parametrize(
        ("part", "chat"),
        [
            (
                {"type": "input_image", "image_url": "https://x/a.png", "detail": "low", "file_id": None},
                {"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "low"}},
            ),
            (
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
            ),
            (
                {"type": "input_file", "file_url": "https://x/a.pdf"},
                {"type": "file", "file": {"file_data": "https://x/a.pdf"}},
            ),
            ({"type": "input_file", "file_id": "file-1"}, {"type": "file", "file": {"file_id": "file-1"}}),
            (
                {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
                {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            ),
            (
                {"type": "input_video", "video_url": "https://x/a.mp4", "processing": "static"},
                {"type": "video_url", "video_url": {"url": "https://x/a.mp4", "processing": "static"}},
            ),
            (
                {"type": "input_text", "text": "a", "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            ),
        ],
        ids=str,
    )
    def test_parts(self, part, chat):
        assert content([part]) == [chat]
        assert content([{"type": "input_text", "text": "x"}, part]) == [{"type": "text", "text": "x"}, chat]

    def test_of_nothing(self):
        assert content([]) == ""

    @pytest.mark.parametrize(
        ("part", "at", "named"),
        [
            ({"type": "input_smell"}, "[0].type", "'input_smell'"),
            ({"type": "refusal", "refusal": "no"}, "[0].type", "'refusal'"),
            ({"text": "a"}, "[0].type", "required"),
            ({"type": "input_text"}, "[0].text", "required"),
            ({"type": "input_text", "text": ["a"]}, "[0].text", "a string, not a list"),
            ({"type": "input_image", "image_url": {"url": "x"}}, "[0].image_url", "a string, not an object"),
            ({"type": "input_image", "file_id": "file-1"}, "[0].file_id", "send the image itself"),
            ({"type": "input_file", "filename": "a"}, "[0]", "'file_data' or 'file_url'"),
            ({"type": "input_audio", "data": "AA"}, "[0].input_audio", "required"),
            ("text", "[0]", "an object, not a string"),
        ],
        ids=str,
    )
    def test_what_is_wrong_is_named(self, part, at, named):
        param, text = refusal(content_of, [part])
        assert param == WHERE + at
        assert named in text

    def test_it_is_text_or_parts(self):
        assert refusal(content_of, 7) == (WHERE, f"'{WHERE}' is wrong: it must be a list, not a number")


class TestTexts:
    def test_what_was_said_and_what_refused(self):
        parts = [
            {"type": "output_text", "text": "a", "annotations": []},
            {"type": "refusal", "refusal": "no"},
            {"type": "output_text", "text": "b"},
        ]
        assert texts_of(raw(parts), WHERE) == ([raw("a"), raw("b")], [raw("no")])
        assert texts_of(raw("a"), WHERE) == ([raw("a")], [])

    def test_an_assistant_shows_no_images(self):
        param, text = refusal(texts_of, [{"type": "input_image", "image_url": "x"}])
        assert param == f"{WHERE}[0].type"
        assert "'input_image'" in text


@given(st.lists(st.text()))
def test_joined_texts_are_one(texts):
    assert json.loads(bytes(joined([raw(text) for text in texts]))) == "".join(texts)


_KINDS = st.sampled_from(["input_text", "input_image", "input_file", "input_audio", "input_video", "refusal", "x"])
_MEMBERS = st.sampled_from(
    ["text", "image_url", "file_id", "file_url", "input_audio", "video_url", "refusal", "detail"]
)


@given(st.lists(st.dictionaries(_MEMBERS, values, max_size=4), max_size=3) | values, _KINDS)
def test_nothing_else_is_raised(parts, kind):
    if isinstance(parts, list):
        parts = [{"type": kind, **part} if isinstance(part, dict) else part for part in parts]
    for function in (content_of, texts_of):
        with contextlib.suppress(ApiError):
            function(raw(parts), WHERE)
