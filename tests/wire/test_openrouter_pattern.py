import pytest

from fairlead.wire.openrouter_pattern import learned

EVENT = b'data: {"id":"x","choices":[{"delta":{"content":"%b"}}]}'


def doubled(event):
    """What becomes of an event in these tests: its text, twice."""
    text = event.split(b'"content":"')[1].split(b'"}}')[0]
    return b"<%b|%b>" % (text, text)


def pattern():
    return learned(EVENT % b"one", doubled(EVENT % b"one"), doubled)


def test_events_that_are_alike_are_put_together():
    kind = pattern()
    assert kind.fits(EVENT % b"two")
    assert kind.adapted(EVENT % b"two") == b"<two|two>"


@pytest.mark.parametrize("event", [EVENT % b"", b"data: {}", EVENT.replace(b"x", b"y") % b"two"])
def test_others_are_not_of_the_kind(event):
    assert not pattern().fits(event)


@pytest.mark.parametrize("text", [b'a\\"b', b"\\ud83d", b"a\nb", b"a\\"])
def test_what_is_not_certain_is_left_to_the_slow_way(text):
    assert pattern().adapted(EVENT % text) is None


@pytest.mark.parametrize(
    "event",
    [
        EVENT % b"",
        b'{"delta":{"content":"a","reasoning":"b"}}',
        b'{"delta":{"content":null}}',
        EVENT % b"~~mark of the text~~",
    ],
    ids=["no text", "several", "null", "the mark itself"],
)
def test_what_nothing_can_be_learned_of(event):
    assert learned(event, b"", doubled) is None


def test_nothing_is_learned_where_the_text_is_not_passed_on_as_it_is():
    assert learned(EVENT % b"one", b"<ONE>", lambda event: b"<%b>" % event.upper()) is None
