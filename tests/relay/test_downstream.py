import pytest

from fairlead.relay.downstream import Before

pytestmark = pytest.mark.anyio


class Caller:
    """A `Downstream`, as far as one that stands before it asks."""

    is_gone = is_slow = is_aborted = False
    is_started = True

    async def drained(self):
        self.is_slow = False

    def abort(self):
        self.is_aborted = True


async def test_what_it_does_not_have_is_that_of_the_one_behind_it():
    caller = Caller()
    before = Before(caller)
    assert (before.is_gone, before.is_started, before.is_slow) == (False, True, False)
    caller.is_gone = caller.is_slow = True
    assert (before.is_gone, before.is_slow) == (True, True)
    await before.drained()
    assert not before.is_slow
    before.abort()
    assert caller.is_aborted
    with pytest.raises(AttributeError):
        _ = before.nothing
