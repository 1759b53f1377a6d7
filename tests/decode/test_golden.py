"""The published messages of the real feed, against a table written by hand from ssi-wire."""

from pathlib import Path

import pytest

from tests.oracle.decode_frames import GOLDEN, Decoded, OracleOnly, assert_same, hub, render

TABLE = [
    block
    for block in (Path(__file__).parent / "golden.txt").read_text().split("\n\n")[1:]
    if block.strip()
]


@pytest.mark.parametrize("decoder", [Decoded, OracleOnly])
def test_golden_messages_become_what_the_table_says(decoder):
    decoded = decoder()
    assert len(TABLE) == len(GOLDEN)
    lines, done = [], 0
    for golden in GOLDEN:
        rejected_before = dict(decoded.rejected)
        decoded.feed(hub(golden["envelope"]))
        lines.append(f"# {golden['kind']} {golden['type']}")
        lines += [
            f"rejected {reason}"
            for reason, count in decoded.rejected.items()
            if count != rejected_before.get(reason, 0)
        ]
        decoded.assert_conserved()
        if len(decoded.slots) > done:
            lines += _new_lines(decoded, done)
            done = len(decoded.slots)
    assert "\n".join(lines) == "\n".join(block.strip("\n") for block in TABLE)


def _new_lines(decoded, done):
    """Render the slots from `done` on; codes come from the ones before."""
    before = render(decoded.slots[:done]).splitlines()
    return render(decoded.slots).splitlines()[len(before) :]


def test_scanner_and_oracle_agree_however_golden_messages_are_framed():
    envelopes = [golden["envelope"] for golden in GOLDEN]
    expected = OracleOnly()
    for each in envelopes:
        expected.feed(hub(each))
    together, pairs = Decoded(), Decoded()
    together.feed(hub(*envelopes))
    pairs.feed(*(hub(*envelopes[i : i + 2]) for i in range(0, len(envelopes), 2)))
    for framed in (together, pairs):
        framed.slots["recv_ns"] = expected.slots["recv_ns"]
        assert_same(framed, expected)


def test_the_scanner_takes_every_golden_message_but_the_obsolete_ones():
    decoded = Decoded()
    decoded.feed(*(hub(golden["envelope"]) for golden in GOLDEN))
    declined = []
    for golden in GOLDEN:
        before = decoded.count("oracle_frames")
        decoded.feed(hub(golden["envelope"]))
        if decoded.count("oracle_frames") > before:
            declined.append((golden["kind"], golden["type"]))
    # `Rtype` for `RType`, and `TradingTime` without a date.
    assert declined == [("SPEC", "F"), ("SPEC", "B")]
