from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.edge.brake import BURST, INTERVAL_S, MAX_ADDRESSES, Brake, client_address
from fairlead.errors import ApiError

NOW = 1_000.0
TRUSTED = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("::1/128"))


def is_held(brake, address, now):
    try:
        brake.check(address, now)
    except ApiError as error:
        return error.status == 429 and int(error.headers["retry-after"]) >= 1
    return False


class TestBrake:
    def test_a_few_wrong_keys_are_nothing(self):
        brake = Brake()
        for _ in range(BURST):
            brake.refused("a", NOW)
        assert not is_held(brake, "a", NOW)

    def test_then_it_takes_time(self):
        brake = Brake()
        for _ in range(BURST + 1):
            brake.refused("a", NOW)
        assert is_held(brake, "a", NOW)
        assert not is_held(brake, "b", NOW)
        assert is_held(brake, "a", NOW + INTERVAL_S - 0.1)
        assert not is_held(brake, "a", NOW + INTERVAL_S + 0.1)

    def test_who_goes_on_gets_one_guess_for_each_interval(self):
        brake, guesses = Brake(), 0
        for tenth in range(6_000):
            now = NOW + tenth / 10.0
            if not is_held(brake, "a", now):
                brake.refused("a", now)
                guesses += 1
        assert guesses == pytest.approx(BURST + 600.0 / INTERVAL_S, abs=2)

    def test_its_memory_is_bounded(self):
        brake = Brake()
        for n in range(2 * MAX_ADDRESSES):
            brake.refused(str(n), NOW)
        assert len(brake._free_at) == MAX_ADDRESSES
        brake.refused("later", NOW + 3600.0)
        assert len(brake._free_at) == 1


@pytest.mark.parametrize(("peer", "forwarded", "address"), [
    ("203.0.113.9", b"", "203.0.113.9"),
    ("203.0.113.9", b"198.51.100.1", "203.0.113.9"),  # who is not trusted may say what it likes
    ("127.0.0.1", b"198.51.100.1", "198.51.100.1"),
    ("127.0.0.1", b"6.6.6.6, 198.51.100.1", "198.51.100.1"),  # the first is the caller's own word
    ("127.0.0.1", b"198.51.100.1, 10.0.0.7", "198.51.100.1"),
    ("127.0.0.1", b"10.0.0.8,10.0.0.7", "10.0.0.8"),
    ("127.0.0.1", b"junk, 10.0.0.7", "10.0.0.7"),
    ("127.0.0.1", b"", "127.0.0.1"),
    ("", b"198.51.100.1", "198.51.100.1"),
    ("", b"", ""),
    ("2001:db8::1", b"", "2001:db8::/64"),
    ("::1", b"[2001:db8::9]:443", "2001:db8::/64"),
    ("::ffff:203.0.113.9", b"", "203.0.113.9"),  # a socket of IPv6 that takes IPv4 too
    ("::ffff:203.0.113.9", b"198.51.100.1", "203.0.113.9"),
    ("::ffff:127.0.0.1", b"198.51.100.1", "198.51.100.1"),
    ("127.0.0.1", b"::ffff:198.51.100.1", "198.51.100.1"),
])  # fmt: skip
def test_whose_request_it_is(peer, forwarded, address):
    assert client_address(peer, forwarded, TRUSTED) == address


addresses = st.one_of(
    st.ip_addresses().map(str), st.text("0123456789abcdef:.,[]%/ x", max_size=40), st.text(max_size=10)
)


@given(addresses, st.lists(addresses, max_size=5))
def test_whatever_is_forwarded_it_is_somebody(peer, hops):
    """And never who nobody trusted has named."""
    forwarded = ", ".join(hops).encode()
    found = client_address(peer, forwarded, TRUSTED)
    assert found == client_address(peer, b"junk, " + forwarded, TRUSTED) or not forwarded.strip(b", ")
    assert client_address("203.0.113.9", forwarded, TRUSTED) == "203.0.113.9"
    assert client_address("127.0.0.1", forwarded + b", 203.0.113.8", TRUSTED) == "203.0.113.8"
    assert len(found) <= max(len(peer), 45)


@given(st.ip_addresses(v=6), st.ip_addresses(v=6))
def test_a_network_is_one_caller(one, other):
    same = int(one) >> 64 == int(other) >> 64 and one.ipv4_mapped is None and other.ipv4_mapped is None
    if same or one == other:
        assert client_address(str(one), b"", ()) == client_address(str(other), b"", ())
