"""Who is at the other end, and how much one address may ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from engine.errors import ConfigError
from gateway.addresses import TALKERS_MAX, Addresses, every, is_loopback

PROXY, OUTER = "10.0.0.7", "10.9.0.1"
TRUSTED = ("10.0.0.7", "10.9.0.0/16", "fd00::/8")
SECOND_NS = 1_000_000_000


def addresses(connections=3, messages=3, trusted=TRUSTED):
    return Addresses(connections, messages, trusted)


@pytest.mark.parametrize(
    ("peer", "said", "want"),
    [
        ("1.2.3.4", [], "1.2.3.4"),
        ("1.2.3.4", ["9.9.9.9"], "1.2.3.4"),  # nobody believes a stranger
        (PROXY, [], PROXY),
        (PROXY, ["1.2.3.4"], "1.2.3.4"),
        (PROXY, ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),  # 6.6.6.6 is what the client made up
        (PROXY, ["6.6.6.6", "1.2.3.4"], "1.2.3.4"),  # two lines are one list
        (PROXY, ["6.6.6.6, 1.2.3.4, 10.9.0.1"], "1.2.3.4"),  # two proxies
        (OUTER, ["6.6.6.6, 1.2.3.4 ,10.0.0.7"], "1.2.3.4"),
        (PROXY, ["nonsense, 1.2.3.4"], "1.2.3.4"),
        (PROXY, ["1.2.3.4, nonsense"], PROXY),
        (PROXY, ["nonsense"], PROXY),
        (PROXY, [""], PROXY),
        (PROXY, ["1.2.3.4,"], PROXY),
        (PROXY, ["10.9.0.2, 10.9.0.1"], "10.9.0.2"),  # a client among the proxies
        (PROXY, ["1.2.3.4:5678"], "1.2.3.4"),
        (PROXY, ["[2001:db8::5]:443"], "2001:db8::/64"),
        (PROXY, ["2001:db8::5"], "2001:db8::/64"),
        (PROXY, ["::ffff:1.2.3.4"], "1.2.3.4"),
        (PROXY, ["unknown"], PROXY),
        ("::ffff:10.0.0.7", ["1.2.3.4"], "1.2.3.4"),
        ("fd00::1", ["1.2.3.4"], "1.2.3.4"),
        ("2001:db8:0:1:aaaa::1", [], "2001:db8:0:1::/64"),
        ("2001:db8:0:1:bbbb::2", [], "2001:db8:0:1::/64"),  # the same line
        ("2001:db8:0:2::1", [], "2001:db8:0:2::/64"),
        ("::5", [], "::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("::1", [], "::1"),
        ("127.0.0.1", ["1.2.3.4"], "127.0.0.1"),
        ("", [], ""),  # a socket without an address
    ],
)
def test_whose_connection_it_is(peer, said, want):
    headers = CIMultiDict([("x-forwarded-for", line) for line in said])
    assert addresses().of(peer, headers) == want


def test_a_plain_mapping_will_do():
    assert addresses().of(PROXY, {"X-Forwarded-For": "1.2.3.4"}) == "1.2.3.4"
    assert addresses().of(PROXY, {}) == PROXY
    assert every({"A": "1"}, "A") == ["1"]


def test_a_list_of_a_thousand_proxies_is_not_walked():
    line = ", ".join(["1.2.3.4", *["10.9.0.1"] * 1_000])
    assert addresses().of(PROXY, {"X-Forwarded-For": line}) == "10.9.0.1"


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_header_breaks_it_and_strangers_are_who_they_are(said, peer):
    headers = {"X-Forwarded-For": said}
    assert addresses().of("1.2.3.4", headers) == "1.2.3.4"
    addresses().of(PROXY, headers)
    addresses().of(peer, headers)


@pytest.mark.parametrize("text", ["x", "", "10.0.0.1/8", "0.0.0.0/0", "::/0", "10.0.0.7:80"])
def test_proxies_that_are_none(text):
    with pytest.raises(ConfigError, match=r"gateway\.trusted_proxies"):
        addresses(trusted=["10.0.0.7", text])


def test_an_address_has_its_connections_and_no_more():
    book = addresses(connections=2)
    assert [book.enter("a"), book.enter("a"), book.enter("a"), book.enter("b")] == [
        *(True, True, False, True)
    ]
    assert len(book) == 2
    book.leave("a")
    assert [book.enter("a"), book.enter("a")] == [True, False]
    for address in ("a", "a", "b"):
        book.leave(address)
    assert len(book) == 0, "nobody is remembered who is gone"
    with pytest.raises(KeyError):
        book.leave("a")


def test_an_address_has_its_messages_of_a_second():
    book = addresses(messages=2)
    assert [book.said("a", 5), book.said("a", 6), book.said("a", SECOND_NS - 1)] == [
        *(True, True, False)
    ]
    assert book.said("b", SECOND_NS - 1), "another's own"
    assert book.said("a", SECOND_NS)
    assert book.said("a", 7), "a clock that was set back begins a second, too"


def test_who_reconnects_does_not_start_anew():
    book = addresses(messages=1)
    book.enter("a")
    book.said("a", 5)
    book.leave("a")
    book.enter("a")
    assert not book.said("a", 6)


def test_memory_is_bounded_within_a_second():
    book = addresses()
    assert all(book.said(str(n), 0) for n in range(TALKERS_MAX))
    assert not book.said("one more", 0)
    assert book.said("0", 0), "who is known goes on"
    assert book.said("one more", SECOND_NS)


@pytest.mark.parametrize(
    ("host", "want"),
    [
        *[(host, True) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]")],
        *[(host, False) for host in ("", "0.0.0.0", "::", "10.0.0.1", "localhost.evil", "[", "x")],
    ],
)
def test_what_is_loopback(host, want):
    assert is_loopback(host) is want
