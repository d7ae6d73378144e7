import json

import msgspec
import pytest
from msgspec import Raw

from fairlead.wire.responses_config import chat_function, chat_text


def read(text):
    return {name: json.loads(value) for name, value in chat_text(json.dumps(text).encode()).items()}


class TestText:
    @pytest.mark.parametrize("text", [{}, {"format": None}, {"format": {"type": "text"}}, {"verbosity": None}])
    def test_the_plain_kind_says_nothing(self, text):
        assert read(text) == {}

    def test_json(self):
        assert read({"format": {"type": "json_object"}}) == {"response_format": {"type": "json_object"}}

    def test_a_schema_is_nested_with_all_that_describes_it(self):
        schema = {"name": "n", "schema": {"type": "object"}, "strict": True, "description": "d"}
        assert read({"format": {"type": "json_schema", **schema}, "verbosity": "low"}) == {
            "verbosity": "low", "response_format": {"type": "json_schema", "json_schema": schema},
        }  # fmt: skip

    def test_a_schema_keeps_its_bytes(self):
        told = b'{"format":{"type":"json_schema","schema":{"maximum": 12345678901234567890123}}}'
        assert b'{"maximum": 12345678901234567890123}' in chat_text(told)["response_format"]

    @pytest.mark.parametrize("told", [b"7", b'{"format":7}', b'{"format":{"type":7}}', b'{"verbosity":[]}'])
    def test_what_it_cannot_be(self, told):
        with pytest.raises(msgspec.ValidationError):
            chat_text(told)


def test_of_a_function_what_chat_knows():
    tool = {"type": "function", "name": "f", "parameters": {}, "strict": None, "output_schema": {}, "async": True}
    members = {name: Raw(json.dumps(value).encode()) for name, value in tool.items()}
    assert json.loads(msgspec.json.encode(chat_function(members))) == {"name": "f", "parameters": {}, "strict": None}
