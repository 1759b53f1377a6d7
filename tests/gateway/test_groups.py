"""A symbol that gets its name changes what groups want as if all topics were read anew."""

import numpy as np
import pytest

from engine.schema.channels import CHANNELS
from engine.schema.codes import Instrument
from gateway.directory import Directory
from gateway.groups import Group, Spec
from gateway.topics import parse
from tests.gateway.market import CAPACITY, Market

ALL, SKIP, C50, C0 = Spec("all", 0), Spec("skip", 0), Spec("conflate", 50), Spec("conflate", 0)
NAMES = ["FPT", "FPTX", "HPG", "VN30", "VN30F2108", "VN30F2109", "VNM", "V"]
TOPICS = ["*", "trade.*", "trade.FPT", "trade.V*", "trade.VN30*", "trade.VN30F2108", "quote.V*"]
TOPICS += ["quote.VNM", "market.*", "market.VN30", "market.V*"]


def masks(group):
    return (
        {code: mask.tobytes() for code, mask in group.every.items()},
        {code: mask.tobytes() for code, mask in group.skip.items()},
        {ms: {c: m.tobytes() for c, m in masks.items()} for ms, masks in group.conflated.items()},
    )


def rows_of(market, codes, rng):
    for code in codes:
        board = bool(rng.random() < 0.3)
        market.list(code, instrument=Instrument.BOARD if board else Instrument.STOCK)
    frame = market.frame()
    return [rows for channel, rows in frame.sections if channel is CHANNELS[0]]


@pytest.mark.parametrize("seed", range(30))
def test_introducing_is_resolving(seed):
    rng = np.random.default_rng(seed)
    directory, market = Directory(CAPACITY), Market()
    texts = rng.choice(TOPICS, rng.integers(1, len(TOPICS)), replace=False).tolist()
    subscriptions = {}
    for text in texts:
        topic = parse(text)
        if topic is not None:
            spec = [ALL, SKIP, C50, C0][rng.integers(4)]
            subscriptions[text] = {
                channel.code: Spec(spec.mode, spec.interval_ms) for channel in topic.channels
            }
    group = Group(subscriptions, "json")
    group.resolve(directory)
    names = rng.permutation(NAMES).tolist()
    while names:
        some, names = names[:2], names[2:]
        for rows in rows_of(market, some, rng):
            before, tables = masks(group), (group.every, group.skip, group.conflated)
            held = [dict(masks) for masks in (group.every, group.skip)]
            bits = [{code: mask.tobytes() for code, mask in masks.items()} for masks in held]
            changed = group.introduce(directory.learn(rows), directory)
            anew = Group(subscriptions, "json")
            anew.resolve(directory)
            assert masks(group) == masks(anew), f"seed {seed}"
            assert all(
                now[code] is was[code]
                for now, was in zip(tables[:2], held, strict=True)
                for code in now
            )
            assert [{c: m.tobytes() for c, m in masks.items()} for masks in held] == bits
            assert changed == (masks(group) != before)
            if changed:
                assert all(
                    now is not was
                    for now, was in zip(
                        (group.every, group.skip, group.conflated), tables, strict=True
                    )
                ), "who holds the tables from before must not see them change"
