import pytest

from fairlead.edge.drain import Drain
from fairlead.errors import ApiError


class Exchange:
    """Stands for an `HttpDownstream`. `drain`: it leaves as soon as it is told, as a task may that ends at once."""

    def __init__(self, drain=None):
        self.expired = 0
        self._drain = drain

    def expire(self):
        self.expired += 1
        if self._drain is not None:
            self._drain.leave(self)


def test_exchanges_are_counted_from_their_beginning_to_their_end():
    drain, one, other = Drain(), Exchange(), Exchange()
    assert drain.in_flight == 0
    drain.enter(one)
    drain.enter(other)
    assert drain.in_flight == 2
    drain.leave(one)
    drain.leave(one)
    assert drain.in_flight == 1
    drain.leave(other)
    assert drain.in_flight == 0


def test_beginning_to_drain_ends_nothing():
    drain, one = Drain(), Exchange()
    drain.enter(one)
    assert not drain.is_draining
    drain.begin()
    assert drain.is_draining
    assert (drain.in_flight, one.expired) == (1, 0)


def test_what_comes_while_draining_counts_as_well():
    drain, late = Drain(), Exchange()
    drain.begin()
    drain.enter(late)
    assert drain.in_flight == 1
    drain.expire()
    assert late.expired == 1


def test_expiring_ends_what_is_open_and_nothing_else():
    drain = Drain()
    ended, *still_open = exchanges = [Exchange(drain) for _ in range(5)]
    for exchange in exchanges:
        drain.enter(exchange)
    drain.leave(ended)
    drain.expire()
    assert ended.expired == 0
    assert [exchange.expired for exchange in still_open] == [1] * 4
    assert drain.in_flight == 0
    drain.expire()


def test_what_has_no_end_is_not_waited_for_and_ends_first():
    drain, endless, one = Drain(), Exchange(), Exchange()
    drain.enter_endless(endless)
    drain.enter(one)
    assert drain.in_flight == 1
    drain.end_endless()
    assert (endless.expired, one.expired) == (1, 0)
    with pytest.raises(ApiError, match="Connect again") as caught:
        drain.enter_endless(Exchange())
    assert (caught.value.status, caught.value.headers) == (503, {"retry-after": "1"})


def test_what_has_left_is_not_ended():
    drain, endless = Drain(), Exchange()
    drain.enter_endless(endless)
    drain.leave(endless)
    drain.end_endless()
    assert endless.expired == 0
