import json

from fairlead.wire.responses_item import COMPLETED, IN_PROGRESS, Events, Item
from harness.responses import Client, events_in, kinds


class Note(Item):
    """The least that an item can be."""

    def json(self, status):
        return b'{"id":"%b","status":"%b"}' % (self.id, status)

    def _end(self):
        return self._within(b"response.note.done", b'"a":1')


def test_events_are_numbered():
    events = Events()
    first, second = events.event(b"a.b", b'"x":1'), events.event(b"c", b'"y":2')
    assert first == b'event: a.b\ndata: {"type":"a.b","sequence_number":0,"x":1}\n\n'
    assert second == b'event: c\ndata: {"type":"c","sequence_number":1,"y":2}\n\n'


def test_an_item_begins_and_ends_once():
    item = Note(Events(), "n_1", 0)
    begun = item.begin()
    assert item.final == b""
    told = events_in(begun + item.close(COMPLETED))
    assert kinds(told) == ["output_item.added", "note.done", "output_item.done"]
    assert told[1] == {
        "type": "response.note.done", "sequence_number": 1, "item_id": "n_1", "output_index": 0, "a": 1,
    }  # fmt: skip
    assert json.loads(item.final) == {"id": "n_1", "status": "completed"}
    assert json.loads(item.json(IN_PROGRESS))["status"] == "in_progress"
    assert Client().read(told).items == [{"id": "n_1", "status": "completed"}]
