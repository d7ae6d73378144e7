import fcntl

from fairlead.telemetry.heard import MOST, Heard


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_of_several_who_hear_the_same_one_is_first(tmp_path):
    clock = Clock()
    ears = [Heard(tmp_path, clock) for _ in range(3)]
    assert [one.is_first("ejected 1", 30.0) for one in ears] == [True, False, False]
    assert [one.is_first("ejected 2", 30.0) for one in reversed(ears)] == [True, False, False]
    for one in ears:
        one.close()


def test_the_same_words_are_news_again_after_a_while(tmp_path):
    clock = Clock()
    one, other = Heard(tmp_path, clock), Heard(tmp_path, clock)
    assert one.is_first("cooling", 0.5)
    clock.now += 0.4
    assert not other.is_first("cooling", 0.5)
    clock.now += 0.2
    assert other.is_first("cooling", 0.5)
    assert not one.is_first("cooling", 0.5)


def test_as_many_are_remembered_as_come_at_once_and_the_file_does_not_grow(tmp_path):
    clock = Clock()
    one, other = Heard(tmp_path, clock), Heard(tmp_path, clock)
    for round_number in range(3):
        news = [f"{round_number} {number}" for number in range(MOST)]
        clock.now += 1.0
        assert all(one.is_first(each, 30.0) for each in news)
        assert not any(other.is_first(each, 30.0) for each in news)
    [path] = tmp_path.iterdir()
    assert path.stat().st_size == MOST * 16


def test_a_lock_that_is_held_is_not_waited_for(tmp_path):
    one, frozen = Heard(tmp_path, Clock()), Heard(tmp_path, Clock())
    fcntl.flock(frozen._fd, fcntl.LOCK_EX)
    assert one.is_first("news", 30.0)
    assert one.is_first("news", 30.0), "nobody could note it"


def test_alone_everything_is_news(tmp_path):
    for one in (Heard(None, Clock()), Heard(tmp_path / "not there", Clock())):
        assert one.is_first("news", 30.0)
        assert one.is_first("news", 30.0)
        one.close()
