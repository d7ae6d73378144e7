import os
import stat

import pytest

from fairlead.admin.key import FILE, PREFIX, find, find_or_make
from fairlead.config import Secret


def test_one_that_is_set_is_the_key_and_no_file_is_looked_at(tmp_path):
    given = Secret("0123456789abcdef")
    for key in (find(given, tmp_path), find_or_make(given, tmp_path)):
        assert (key.secret, key.place, key.is_new) == (given, "FAIRLEAD_ADMIN_KEY", False)
    assert not list(tmp_path.iterdir())


def test_else_one_is_made_once_and_found_from_then_on(tmp_path):
    made = find_or_make(None, tmp_path / "new" / "data")
    assert made.is_new
    again, found = find_or_make(None, tmp_path / "new" / "data"), find(None, tmp_path / "new" / "data")
    assert again == found
    assert (found.secret, found.is_new, found.place) == (made.secret, False, str(tmp_path / "new" / "data" / FILE))


def test_it_has_256_random_bits_and_a_prefix_of_its_own(tmp_path):
    keys = {find_or_make(None, tmp_path / str(n)).secret.reveal() for n in range(3)}
    assert len(keys) == 3
    for key in keys:
        assert len(bytes.fromhex(key.removeprefix(PREFIX))) == 32


def test_only_its_user_can_read_it_and_no_draft_is_left(tmp_path):
    previous = os.umask(0)
    try:
        find_or_make(None, tmp_path / "data")
    finally:
        os.umask(previous)
    (file,) = (tmp_path / "data").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_it_does_not_print(tmp_path):
    key = find_or_make(None, tmp_path)
    assert key.secret.reveal() not in repr(key)


def test_looking_for_it_makes_none(tmp_path):
    key = find(None, tmp_path / "data")
    assert key.secret is None
    assert "set FAIRLEAD_ADMIN_KEY, or start fairlead" in key.problem
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"\n", b"sk-fl-admin-v1-short\n", b"\xff" * 100, b"x" * 100_000])
def test_a_file_that_holds_something_else_is_left_alone_and_opens_nothing(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    key = find_or_make(None, tmp_path)
    assert key.secret is None
    assert "remove it for a new one" in key.problem
    assert (tmp_path / FILE).read_bytes() == content


def test_a_directory_that_cannot_be_written_to_is_no_reason_not_to_start(tmp_path):
    (tmp_path / "file").write_text("")
    key = find_or_make(None, tmp_path / "file" / "data")
    assert key.secret is None
    assert "set FAIRLEAD_ADMIN_KEY" in key.problem
    (tmp_path / "data" / FILE).mkdir(parents=True)
    assert "cannot be read (Is a directory)" in find_or_make(None, tmp_path / "data").problem


def test_of_two_starts_at_once_the_second_takes_the_firsts(tmp_path, monkeypatch):
    first = find_or_make(None, tmp_path)
    monkeypatch.setattr(os.path, "lexists", lambda _: False)  # as it looked to the second a moment ago
    monkeypatch.setattr("fairlead.admin.key.find", _blind_once(find))
    assert find_or_make(None, tmp_path).secret == first.secret


def _blind_once(find):
    """`find`, but the first time before there was a file."""
    calls = []

    def look(given, data_dir):
        calls.append(data_dir)
        return find(given, data_dir / "not yet" if len(calls) == 1 else data_dir)

    return look
