import pytest

from fairlead.store import backlog as store_backlog
from fairlead.store.backlog import Backlog
from fairlead.store.money import charge_of
from fairlead.store.unsettled import Unsettled, read
from harness.ledger import generation


def charge(usd_nanos=1, key="k1"):
    return charge_of(generation(cost_usd_nanos=usd_nanos, key=key))


def amounts(charges):
    return [one.amounts[0] for one in charges]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(store_backlog, "AT_ONCE", 2)
    monkeypatch.setattr(store_backlog, "MAX_KEPT", 4)


@pytest.fixture
def faults():
    return []


@pytest.fixture
def told():
    return []


@pytest.fixture
def backlog(tmp_path, faults, told):
    return Backlog(Unsettled(tmp_path, "w"), faults.append, told.append)


def files(tmp_path):
    return sorted(path.name for path in (tmp_path / "unsettled").rglob("*.jsonl"))


def tell_all(backlog):
    """All that is told until nothing is left."""
    told = []
    while batch := backlog.batch():
        told += amounts(batch)
        backlog.confirm(len(batch))
    return told


class TestBatches:
    def test_the_oldest_first_until_they_are_confirmed(self, backlog):
        for amount in (1, 2, 3):
            backlog.add(charge(amount))
        assert amounts(backlog.batch()) == amounts(backlog.batch()) == [1, 2]
        backlog.confirm(1)
        assert amounts(backlog.batch()) == [2, 3]
        backlog.confirm(2)
        assert len(backlog) == 0
        assert list(backlog.batch()) == []

    def test_what_comes_later_has_been_used_all_the_same(self, backlog):
        for amount in (1, 2, 3):
            backlog.add(charge(amount))
        backlog.add(charge(4, key="k2"))
        assert backlog.later() == {"k1": 3, "k2": 4, "*": 7}
        backlog.confirm(2)
        assert not backlog.later()


class TestDisk:
    def test_is_written_at_once_and_removed_when_confirmed(self, backlog, tmp_path):
        backlog.add(charge(1))
        assert files(tmp_path) == ["1.jsonl"]
        backlog.batch()
        backlog.add(charge(2))
        assert files(tmp_path) == ["1.jsonl", "2.jsonl"]
        backlog.confirm(1)
        assert files(tmp_path) == ["2.jsonl"]
        assert tell_all(backlog) == [2]
        backlog.close()
        assert not list((tmp_path / "unsettled").iterdir())

    def test_stays_when_it_is_not(self, backlog, tmp_path):
        backlog.add(charge(1))
        backlog.batch()
        backlog.close()
        (path,) = (tmp_path / "unsettled" / "w").glob("*.jsonl")
        assert amounts(read(path)) == [1]

    def test_what_is_too_much_for_the_memory_is_told_from_there(self, backlog, tmp_path):
        for amount in range(1, 10):
            backlog.add(charge(amount))
        assert len(backlog) == 4
        assert backlog.later()["k1"] == sum(range(3, 10))
        assert set(tell_all(backlog)) == set(range(1, 10))
        assert files(tmp_path) == []

    def test_also_when_something_new_always_comes(self, backlog):
        """The memory never is empty then."""
        told = set()
        for amount in range(1, 40):
            if amount < 10:
                backlog.add(charge(amount))
            else:
                batch = backlog.batch()
                backlog.add(charge(amount))
                backlog.confirm(len(batch))
                told |= set(amounts(batch))
        assert set(range(1, 10)) <= told

    def test_of_the_dead(self, backlog, tmp_path):
        dead = Backlog(Unsettled(tmp_path, "dead"), pytest.fail, pytest.fail)
        for amount in (1, 2, 3):
            dead.add(charge(amount))
        dead.close()
        backlog.add(charge(4))
        backlog.adopt()
        assert tell_all(backlog) == [4, 1, 2, 3]
        backlog.close()
        assert not list((tmp_path / "unsettled").iterdir())


class TestNoDisk:
    def test_there_is_none(self):
        backlog = Backlog(None, pytest.fail, pytest.fail)
        backlog.adopt()
        for amount in range(9):
            backlog.add(charge(amount))
        assert tell_all(backlog) == list(range(9))
        backlog.close()

    def test_it_cannot_be_written(self, backlog, tmp_path, faults, told):
        """A full one, say. What was charged is charged all the same; and that is said once, not with each request."""
        (tmp_path / "unsettled").write_text("not a folder")
        for amount in range(9):
            backlog.add(charge(amount))
        assert tell_all(backlog) == list(range(9))
        (said,) = told
        assert "FAIRLEAD_DATA_DIR" in said
        assert str(tmp_path / "unsettled") in said
        (tmp_path / "unsettled").unlink()
        backlog.add(charge(1))
        backlog.add(charge(2))
        assert files(tmp_path) == ["1.jsonl"]
        assert told == [said, "charges are written to the disk again"]
        assert faults == []

    def test_a_file_cannot_be_removed(self, backlog, tmp_path, faults):
        backlog.add(charge(1))
        batch = backlog.batch()
        (tmp_path / "unsettled" / "w" / "1.jsonl").unlink()
        (tmp_path / "unsettled" / "w" / "1.jsonl").mkdir()
        backlog.confirm(len(batch))
        assert [type(fault) for fault in faults] == [IsADirectoryError]
        backlog.add(charge(2))
        assert tell_all(backlog) == [2]
