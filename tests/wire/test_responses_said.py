import json

import msgspec
import pytest
from hypothesis import given
from msgspec import Raw

from fairlead.wire.responses_said import (
    Detail,
    annotations_in,
    calls_of,
    details_of,
    is_text,
    logprobs_in,
    plain,
    shown_in,
)
from harness.jsontext import values


def raw(value):
    return Raw(json.dumps(value).encode())


def annotated(*annotations):
    return [json.loads(one) for one in annotations_in(raw(annotations))]


class TestDetails:
    @pytest.mark.parametrize(
        ("detail", "pieces"),
        [
            (
                {"type": "reasoning.text", "text": "t", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
                [("text", raw("t")), ("signature", raw("s"))],
            ),
            ({"type": "reasoning.text", "text": "", "signature": None}, []),
            ({"type": "reasoning.summary", "summary": "s", "text": "x"}, [("summary", raw("s"))]),
            ({"type": "reasoning.encrypted", "data": "d"}, [("encrypted", raw("d"))]),
            ({"type": "reasoning.server_tool_call", "tool_name": "t", "arguments": "{}", "result": "r"}, []),
            ({"text": "t"}, []),
        ],
    )
    def test_tell_their_pieces_in_order(self, detail, pieces):
        [found] = details_of(raw([detail]))
        assert found.pieces() == pieces

    def test_what_are_none(self):
        assert details_of(raw([7])) == details_of(raw(None)) == details_of(raw([{"type": 7}])) == []


class TestAnnotations:
    def test_of_addresses(self):
        cited = {"url": "https://x", "title": "X", "start_index": 1, "end_index": 5}
        assert annotated({"type": "url_citation", "url_citation": {**cited, "content": "c"}}) == [
            {"type": "url_citation", **cited, "content": "c"}
        ]
        assert annotated({"type": "url_citation", **cited}) == [{"type": "url_citation", **cited}]

    def test_what_clients_count_on_is_there(self):
        assert annotated({"type": "url_citation", "url_citation": {"url": "https://x", "title": None}}) == [
            {"type": "url_citation", "url": "https://x", "title": "", "start_index": 0, "end_index": 0}
        ]

    def test_of_files(self):
        file = {"hash": "h", "name": "a.pdf", "content": [{"type": "text", "text": "long"}]}
        assert annotated({"type": "file", "file": file}) == [
            {"type": "file_citation", "file_id": "h", "filename": "a.pdf", "index": 0}
        ]

    @pytest.mark.parametrize(
        "told",
        [{"type": "other"}, {}, {"type": "file"}, {"type": "url_citation"}, {"type": "file", "file": 7}],
        ids=str,
    )
    def test_those_without_a_word_for_them_go(self, told):
        assert annotated(told) == []


def test_log_probabilities_are_listed():
    assert logprobs_in(raw({"content": [{"token": "a"}, {"token": "b"}]})) == b'{"token": "a"}, {"token": "b"}'
    for none in (None, {}, {"content": None}, 7, {"content": []}):
        assert logprobs_in(raw(none)) == b""


def test_text():
    assert [is_text(raw(value)) for value in ("a", "", None, 7, {})] == [True, False, False, False, False]
    assert [plain(raw(value)) for value in ("é", None)] == ["é", ""]


@given(values)
def test_nothing_is_raised(value):
    for told in (raw(value), raw([value])):
        for read in (details_of, calls_of, shown_in, annotations_in, logprobs_in, plain):
            read(told)
    for detail in details_of(raw([value])):
        assert isinstance(detail, Detail)
        msgspec.json.encode([piece for _, piece in detail.pieces()])
