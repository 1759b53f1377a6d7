"""The constructed v3 frames, against a table checked by hand against ssi-wire section 8."""

from pathlib import Path

import pytest

from tests.oracle.decode_frames import Decoded, OracleOnly, render
from tests.oracle.decode_v3 import GOLDEN_V3, HOT, RECV_NS, compare_v3

TABLE = (Path(__file__).parent / "v3_golden.txt").read_text().strip().split("\n\n")[1:]


def account(decoded):
    """Return everything that is counted of frames that became no slot."""
    return {
        **decoded.rejected,
        "keepalive": decoded.count("keepalives"),
        "hub_error": decoded.count("hub_errors"),
    }


@pytest.mark.parametrize("decoder", [Decoded, OracleOnly])
def test_golden_frames_become_what_the_table_says(decoder):
    decoded = decoder(protocol="v3")
    shown = 0
    for golden, block in zip(GOLDEN_V3, TABLE, strict=True):
        before = account(decoded)
        decoded.feed(golden["frame"].encode(), recv_ns=RECV_NS)
        changed = [word for word, n in account(decoded).items() if n != before.get(word, 0)]
        lines = render(decoded.slots).splitlines()
        expected = [f"# {golden['type']}", *(f"counted {word}" for word in changed)]
        assert block.splitlines() == expected + lines[shown:]
        shown = len(lines)
    decoded.assert_conserved()


def test_the_twin_reads_them_alike():
    compare_v3(*(golden["frame"].encode() for golden in GOLDEN_V3))


def test_the_scanner_takes_every_golden_trade_and_quote():
    frames = [golden["frame"].encode() for golden in GOLDEN_V3 if golden["type"] in HOT]
    decoded = Decoded(protocol="v3")
    for _ in range(2):
        decoded.counters["oracle_frames"] = 0
        decoded.feed(*frames, recv_ns=RECV_NS)
    assert decoded.count("oracle_frames") == 0
    assert len(frames) == 6
