import subprocess
import sys

import pytest

from fairlead.store.lockfile import LockFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


def test_one_holder_at_a_time(path):
    first, second = LockFile(path), LockFile(path)
    assert first.take()
    assert first.take()
    assert not second.take()
    first.let_go()
    first.let_go()
    assert second.take()
    second.let_go()


def test_says_who_holds_it(path):
    lock = LockFile(path)
    assert lock.read() == ""
    assert lock.take()
    lock.write("a long line")
    lock.write("short")
    assert LockFile(path).read() == "short"
    lock.let_go()
    assert path.exists()
    assert path.stat().st_mode & 0o077 == 0


def test_a_child_that_inherits_it_holds_it_until_it_ends(path):
    lock, other = LockFile(path), LockFile(path)
    assert lock.take()
    command = [sys.executable, "-S", "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[lock.fileno()]) as child:
        lock.let_go()
        assert not other.take()
        child.kill()
        child.wait()
        assert other.take()
    other.let_go()


def test_no_other_child_inherits_it(path):
    lock, other = LockFile(path), LockFile(path)
    assert lock.take()
    command = [sys.executable, "-S", "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE):
        lock.let_go()
        assert other.take()
    other.let_go()


def test_a_directory_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        LockFile(tmp_path / "no" / "lock").take()
