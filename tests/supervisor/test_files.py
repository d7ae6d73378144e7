import resource

import pytest

from fairlead.supervisor.files import raise_open_files, room_for


@pytest.fixture
def limit(monkeypatch):
    """The limit of a process that is not this one."""
    known = {"now": (1024, 4096)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: known["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: known.update(now=limits))
    return known


def test_it_is_raised_to_what_is_allowed(limit):
    raise_open_files()
    assert limit["now"] == (4096, 4096)


def test_where_it_cannot_be_raised_it_stays(limit, monkeypatch):
    def refuse(*_):
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    raise_open_files()
    assert limit["now"] == (1024, 4096)


@pytest.mark.parametrize(
    ("soft", "most", "room"),
    [(1024, 4000, 384), (65_536, 4000, 4000), (resource.RLIM_INFINITY, 9000, 9000), (64, 4000, 1)],
)
def test_room(limit, soft, most, room):
    limit["now"] = (soft, 1 << 20)
    assert room_for(most) == room
