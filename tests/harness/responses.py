"""Streams of the Responses API, read as a client reads them: piece by piece, into what they have told by then."""

import json

TEXTS = {
    "response.output_text": "text",
    "response.refusal": "refusal",
    "response.reasoning_text": "text",
    "response.reasoning_summary_text": "text",
    "response.function_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
}
"""Events by the name before `.delta` and `.done`, and what the second calls the whole."""
_PARTS = ("response.content_part", "response.reasoning_summary_part")


def events_in(stream):
    """The data of events; asserts that each names its type, and that their numbers have no gaps."""
    assert stream == b"" or stream.endswith(b"\n\n")
    found = []
    for event in stream.removesuffix(b"\n\n").split(b"\n\n") if stream else []:
        kind, data = event.split(b"\n")
        told = json.loads(data.removeprefix(b"data: "))
        assert kind == b"event: " + told["type"].encode()
        found.append(told)
    numbers = [event["sequence_number"] for event in found]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
    return found


def kinds(events):
    return [event["type"].removeprefix("response.") for event in events]


class Client:
    """Puts together what a stream tells, and asserts at each step that it is in order."""

    def __init__(self):
        self.items = []
        """As their beginnings and pieces tell; once they are done, as that tells."""
        self.done = set()
        self.texts = {}
        self.whole = {}

    def read(self, events):
        for event in events:
            kind = event["type"]
            name, _, what = kind.rpartition(".")
            if kind == "response.output_item.added":
                assert event["output_index"] == len(self.items)
                assert event["item"]["status"] == "in_progress"
                self.items.append(event["item"])
            elif kind == "response.output_item.done":
                self._finish(event)
            elif name in _PARTS:
                self._part(event, what)
            elif name in TEXTS:
                self._text(event, what, TEXTS[name])
            elif kind == "response.output_text.annotation.added":
                assert event["annotation_index"] == len(self._open_part(event)["annotations"])
                self._open_part(event)["annotations"].append(event["annotation"])
        return self

    def _item(self, event):
        item = self.items[event["output_index"]]
        assert event["output_index"] not in self.done
        assert event["item_id"] == item["id"]
        return item

    def _list(self, event):
        """The parts that an event is about, and the index in them."""
        item = self._item(event)
        if "summary_index" in event:
            return item["summary"], event["summary_index"]
        return item.setdefault("content", []), event["content_index"]

    def _open_part(self, event):
        parts, index = self._list(event)
        return parts[index]

    def _part(self, event, what):
        parts, index = self._list(event)
        if what == "added":
            assert index == len(parts)
            parts.append(event["part"])
        else:
            assert parts[index] == event["part"]

    def _text(self, event, what, name):
        if name in ("arguments", "input"):
            holder, member = self._item(event), name
        else:
            holder, member = self._open_part(event), name
        if what == "delta":
            assert event["delta"]
            holder[member] += event["delta"]
            if event.get("logprobs"):
                holder["logprobs"] += event["logprobs"]
        else:
            assert event[name] == holder[member]

    def _finish(self, event):
        index, item = event["output_index"], event["item"]
        assert index not in self.done
        self.done.add(index)
        told = self.items[index]
        later = {"status", "encrypted_content", "signature", "format", "extra_content", "result"}
        assert {**told, **{name: item[name] for name in later & item.keys()}} == item
        assert item["status"] in ("completed", "incomplete")
        self.items[index] = item


def read_stream(stream):
    """The Response that a whole stream ends with; asserts all that holds of every stream."""
    body = stream.removesuffix(b"data: [DONE]\n\n")
    assert body != stream
    events = [event for event in events_in(body) if event["type"] != "response.debug"]
    assert events[0]["sequence_number"] == 0 or events_in(body)[0]["type"] == "response.debug"
    assert kinds(events)[:2] == ["created", "in_progress"]
    last = kinds(events)[-1]
    assert last in ("completed", "incomplete", "failed")
    for event in events[:2]:
        assert event["response"]["status"] == "in_progress"
        assert event["response"]["output"] == []
    assert not {"created", "completed", "incomplete", "failed"} & set(kinds(events)[2:-1])
    client = Client().read(events)
    response = events[-1]["response"]
    assert response["status"] == last
    assert {event["response"]["id"] for event in events if "response" in event} == {response["id"]}
    if last == "failed":
        for index, item in enumerate(client.items):
            expected = item if index in client.done else {**item, "status": "incomplete"}
            assert response["output"][index].items() >= expected.items()
    else:
        assert client.done == set(range(len(client.items)))
        assert response["output"] == client.items
    assert len(response["output"]) == len(client.items)
    texts = [part["text"] for item in client.items if item["type"] == "message"
             for part in item["content"] if part["type"] == "output_text"]  # fmt: skip
    assert response["output_text"] == "".join(texts)
    return response
