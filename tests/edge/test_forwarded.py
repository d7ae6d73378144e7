from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.edge.forwarded import client_address, is_trusted

TRUSTED = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("::1/128"))


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


@pytest.mark.parametrize(("peer", "expected"), [
    ("127.0.0.1", True),
    ("::ffff:10.1.2.3", True),
    ("", True),  # a unix socket
    ("203.0.113.9", False),
    ("::2", False),
])  # fmt: skip
def test_whose_word_counts(peer, expected):
    assert is_trusted(peer, TRUSTED) is expected
    assert is_trusted(peer, ()) is (peer == "")


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
