import json

import pytest
from msgspec import Raw

from fairlead.wire.responses_call import Call, Image
from fairlead.wire.responses_item import COMPLETED, INCOMPLETE, Events
from fairlead.wire.responses_tools import read_tools
from harness.responses import Client, events_in, kinds

NAMESPACE = {"type": "namespace", "name": "mcp__git__", "tools": [{"type": "function", "name": "log"}]}
PATCH = {"type": "custom", "name": "apply_patch"}


def tool(told):
    [found] = read_tools(Raw(json.dumps([told]).encode()))
    return found


def call(*arguments, of=None, status=COMPLETED, extra=None):
    name = "f" if of is None else of.chat_name
    one = Call(Events(), "fc_1", 0, Raw(b'"call_1"'), Raw(json.dumps(name).encode()), of)
    told = one.begin() + b"".join([one.argue(Raw(json.dumps(piece).encode())) for piece in arguments])
    one.extra = extra
    events = events_in(told + one.close(status))
    [found] = Client().read(events).items
    return found, kinds(events)[1:-1]


class TestFunctions:
    def test_arguments_come_as_they_are_told(self):
        assert call('{"a":', '"é"}') == (
            {
                "id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1", "name": "f",
                "arguments": '{"a":"é"}',
            },
            ["function_call_arguments.delta", "function_call_arguments.delta", "function_call_arguments.done"],
        )  # fmt: skip

    def test_of_a_namespace_they_have_the_names_that_the_caller_knows(self):
        found, _ = call("{}", of=tool(NAMESPACE))
        assert (found["name"], found["namespace"]) == ("log", "mcp__git__")

    def test_what_google_signs_is_told(self):
        found, _ = call("{}", extra=Raw(b'{"google":{"thought_signature":"x"}}'))
        assert found["extra_content"] == {"google": {"thought_signature": "x"}}

    def test_one_that_is_cut_short(self):
        found, _ = call('{"a', status=INCOMPLETE)
        assert (found["arguments"], found["status"]) == ('{"a', "incomplete")


class TestCustomTools:
    def test_their_input_is_taken_out_of_the_arguments(self):
        found, events = call('{"inp', 'ut": "*** \\"é\\"\\n"}', of=tool(PATCH))
        assert found == {
            "id": "fc_1", "type": "custom_tool_call", "status": "completed", "call_id": "call_1",
            "name": "apply_patch", "input": '*** "é"\n',
        }  # fmt: skip
        assert events == ["custom_tool_call_input.delta", "custom_tool_call_input.done"]

    @pytest.mark.parametrize("arguments", ["*** Begin Patch", '{"input": "cut', '{"patch": "x"}', '{"input": 7}', "[]"])
    def test_what_is_not_as_it_was_asked_for_is_told_as_it_is(self, arguments):
        assert call(arguments, of=tool(PATCH))[0]["input"] == arguments

    def test_of_nothing(self):
        found, events = call(of=tool(PATCH))
        assert found["input"] == ""
        assert events == ["custom_tool_call_input.done"]


class TestImages:
    @pytest.mark.parametrize(
        ("url", "result", "form"),
        [
            ("data:image/webp;base64,AA==", "AA==", "webp"),
            ("https://x/a.png", "https://x/a.png", None),
            ("data:text/plain;base64,AA==", "data:text/plain;base64,AA==", None),
        ],
    )
    def test_pictures_are_told_whole(self, url, result, form):
        image = Image(Events(), "ig_1", 0, url)
        events = events_in(image.begin() + image.close(COMPLETED))
        assert kinds(events) == ["output_item.added", "image_generation_call.completed", "output_item.done"]
        assert events[0]["item"]["result"] is None
        [found] = Client().read(events).items
        assert (found["type"], found["status"], found["result"]) == ("image_generation_call", "completed", result)
        assert found.get("output_format") == form
