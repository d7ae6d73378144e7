import contextlib
import io
import os
import pty
import sys

from fairlead.cli.progress import progress


def on_a_terminal(use, monkeypatch):
    """Return what a terminal is shown while `use` runs."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        use()
    said = b""
    with contextlib.suppress(OSError):  # that is how the end of a terminal reads
        while part := os.read(ours, 65_536):
            said += part
    os.close(ours)
    return said.decode()


def use():
    with progress("Reading") as tell:
        tell(1, 4)
        tell(4, 4)


def test_a_terminal_sees_how_far_it_is(monkeypatch):
    said = on_a_terminal(use, monkeypatch)
    assert "Reading" in said
    assert " 25%" in said
    assert "100%" in said


def test_nobody_else_does(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    use()
    assert sys.stderr.getvalue() == ""


def test_what_has_nothing_to_do_or_does_more_than_it_said(monkeypatch):
    def use():
        with progress("Reading") as tell:
            tell(0, 0)
            tell(7, 5)

    assert "100%" in on_a_terminal(use, monkeypatch)
