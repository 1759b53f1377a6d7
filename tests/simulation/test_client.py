"""The gateway that believes nothing: what it accepts, and what it must not."""

import numpy as np
import pytest
import zmq

from engine.bus.publisher import Publisher
from engine.schema.channels import TRADE
from tests.simulation.client import Gateway, Told
from tests.simulation.errors import Violation
from tests.simulation.network import SimNetwork

SYMBOLS = 8
MS = 1_000_000
DELTAS, ANSWERS = "deltas", "answers"


def trade(seq, price=1, symbol_id=1):
    row = np.zeros(1, TRADE.dtype)
    row["symbol_id"], row["seq"], row["price_e2"] = symbol_id, seq, price
    return row


class Bus:
    """One shard's publisher, the network, and two gateways."""

    def __init__(self, epoch=7):
        self.network = SimNetwork(lambda _address: None)
        self.told = Told()
        self.latest = np.zeros(SYMBOLS, TRADE.dtype)
        self.now_ns = 10**18
        self.begin(epoch)
        self.gateways = [
            Gateway(name, self.network, [(DELTAS, ANSWERS)], SYMBOLS, self.told) for name in "ab"
        ]
        self.settle()

    def begin(self, epoch):
        self.publisher = Publisher(self.network, DELTAS, ANSWERS, 0, epoch)

    def say(self, *rows):
        for row in rows:
            self.publisher.add(TRADE, row)
            self.latest[row["symbol_id"][0]] = row[0]
        self.publisher.flush(self.now_ns)

    def settle(self):
        for _ in range(8):
            self.network.deliver(DELTAS, 100)
            for gateway in self.gateways:
                gateway.drain(self.now_ns)
            self.publisher.serve({"trade": self.latest})
            self.now_ns += 600 * MS
            self.publisher.flush(self.now_ns)


def test_a_row_is_told_once_and_checked_with_the_shard():
    bus = Bus()
    bus.say(trade(1), trade(2))
    bus.settle()
    for gateway in bus.gateways:
        gateway.check_rows(0, 7, {"trade": bus.latest})
        assert gateway.skipped == 0
    assert len(bus.told) == 2


def test_another_row_under_a_number_that_was_told_is_found():
    bus = Bus()
    bus.say(trade(1))
    bus.settle()
    bus.say(trade(1, price=2))
    with pytest.raises(Violation, match="seq 1 anew: price_e2 1 != 2"):
        bus.settle()


def test_a_skipped_number_without_a_loss_is_found():
    bus = Bus()
    bus.say(trade(1))
    bus.settle()
    bus.say(trade(3))
    with pytest.raises(Violation, match="from seq 1 to 3 and no loss was told"):
        bus.settle()


def test_a_lost_frame_is_told_and_repaired():
    bus = Bus()
    bus.say(trade(1))
    bus.settle()
    bus.network.deliver(DELTAS, 100)  # the last beacon
    bus.say(trade(2))
    assert bus.network.deliver(DELTAS, 1, drop=True) == 1
    bus.say(trade(3))
    bus.settle()
    for gateway in bus.gateways:
        gateway.check_rows(0, 7, {"trade": bus.latest})
        assert gateway.skipped == 1


def test_a_mirror_that_differs_is_found():
    bus = Bus()
    bus.say(trade(1))
    bus.settle()
    bus.latest["price_e2"][1] = 5
    with pytest.raises(Violation, match="price_e2 1 != 5"):
        bus.gateways[0].check_rows(0, 7, {"trade": bus.latest})
    bus.latest["seq"][1] = 0
    with pytest.raises(Violation, match="has no trade of"):
        bus.gateways[0].check_rows(0, 7, {"trade": bus.latest})
    with pytest.raises(Violation, match="at epoch 8, the mirror at 7"):
        bus.gateways[0].check_rows(0, 8, {"trade": bus.latest})


def test_an_epoch_that_was_left_does_not_come_back():
    bus = Bus()
    bus.say(trade(1))
    bus.settle()
    for epoch in (8, 7):
        for endpoint in (DELTAS, ANSWERS):
            bus.network.bound[endpoint].close()
        bus.begin(epoch)
        bus.say(trade(1))
        if epoch == 8:
            bus.settle()
    with pytest.raises(Violation, match="goes back to epoch 7"):
        bus.settle()


def test_what_is_under_way_dies_with_its_sender():
    bus = Bus()
    sender = bus.network.bound[DELTAS]
    bus.say(trade(1))
    sender.close()
    assert bus.network.deliver(DELTAS, 10) == 0
    socket = bus.network.socket(zmq.DEALER)
    socket.connect("nowhere")
    with pytest.raises(zmq.Again):
        socket.send(b"anybody?")
