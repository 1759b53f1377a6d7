"""v3's words: what a frame means, and how topics are packed (ssi-wire section 8)."""

import orjson
import pytest

from engine.config import FeedConfig
from engine.feed.source import FeedError
from engine.feed.v3_link import (
    CONTROL_BYTES_MAX,
    PING,
    WAIT_S_MAX,
    Event,
    Refused,
    Stage,
    V3Link,
    check_topics,
    number_or_zero,
    subscribe_frames,
)

SUBSCRIBING, MUTE, LIVE = Stage.SUBSCRIBING, Stage.MUTE, Stage.LIVE
OK = '"channel":"DATA","status":"ok","message":"done"}'
NO = '"channel":"DATA","status":"error","message":"Invalid topic put.*"}'
DATA = '"data":{"t":"2026/11/20 09:15:00","s":"SSI","p":25300,"q":100,"v":1200}}'


def link_at(stage):
    link = V3Link(["trade.*"], 60.0, 100.0)
    link.stage = stage
    return link


FRAMES = [  # frame, stage before, event, stage after
    (f'{{"channel":"DATA","topic":"trade.SSI",{DATA}', SUBSCRIBING, Event.DATA, LIVE),
    (f'{{"channel":"DATA","topic":"trade.SSI",{DATA}', MUTE, Event.DATA, LIVE),
    (f'{{"channel":"DATA","topic":"trade.SSI",{DATA}', LIVE, Event.DATA, LIVE),
    (f' {{ "channel" : "DATA" , "topic" : "put.SSI",{DATA}', SUBSCRIBING, Event.DATA, LIVE),
    (f'{{"topic":"quote.SSI","channel":"DATA",{DATA}', SUBSCRIBING, Event.DATA, LIVE),
    (f'{{"topic":"quote.SSI",{DATA}', SUBSCRIBING, Event.DATA, LIVE),
    (f'{{{DATA[:-1]},"channel":"DATA","topic":"room.SSI"}}', SUBSCRIBING, Event.DATA, LIVE),
    (f'{{"channel":"TRADING","topic":"order.1",{DATA}', SUBSCRIBING, Event.OTHER, SUBSCRIBING),
    (f'{{"method":"subscribe",{OK}', SUBSCRIBING, Event.ACK, LIVE),
    (f'{{"method":"SUBSCRIBE",{OK}', SUBSCRIBING, Event.ACK, LIVE),
    (f'{{"method":"subscribe",{NO}', SUBSCRIBING, Event.DENIED, MUTE),
    (f'{{"method":"subscribe",{NO}', LIVE, Event.DENIED, LIVE),
    (f'{{"method":"unsubscribe",{OK}', SUBSCRIBING, Event.OTHER, SUBSCRIBING),
    (
        '{"method":"PING_PONG","channel":"HEARTBEAT","status":"ok","message":"pong"}',
        SUBSCRIBING,
        Event.PONG,
        SUBSCRIBING,
    ),
    ('{"trading":"","data":"trade.SSI;quote.SSI"}', LIVE, Event.OTHER, LIVE),
    ('{"code":401,"msg":"Unauthorized"}', SUBSCRIBING, Event.REFUSAL, SUBSCRIBING),
    ('{"code":"429","msg":"too many"}', LIVE, Event.REFUSAL, LIVE),
    ('{"code":503}', LIVE, Event.REFUSAL, LIVE),
    ('{"code":"odd","msg":"?"}', LIVE, Event.REFUSAL, LIVE),
    ('{"code":200,"msg":"welcome"}', LIVE, Event.OTHER, LIVE),
    ('{"X":1}', LIVE, Event.OTHER, LIVE),
    ("{}", LIVE, Event.OTHER, LIVE),
    ("[]", LIVE, Event.GARBAGE, LIVE),
    ("", LIVE, Event.GARBAGE, LIVE),
    ("garbage", SUBSCRIBING, Event.GARBAGE, SUBSCRIBING),
    (" " * (CONTROL_BYTES_MAX + 1) + "{}", LIVE, Event.GARBAGE, LIVE),
]


@pytest.mark.parametrize(("frame", "before", "event", "after"), FRAMES)
def test_what_a_frame_means(frame, before, event, after):
    for payload in (frame.encode(), memoryview(frame.encode())):
        link = link_at(before)
        assert link.receive(payload, 101.0) is event
        assert link.stage is after


def test_every_subscribe_frame_is_waited_for():
    link = V3Link([f"trade.S{number:03}" for number in range(1_000)], 60.0, 0.0)
    assert len(link.frames) > 3
    for _ in link.frames[1:]:
        assert link.receive(f'{{"method":"subscribe",{OK}'.encode(), 1.0) is Event.ACK
        assert link.stage is SUBSCRIBING
    link.receive(f'{{"method":"subscribe",{NO}'.encode(), 1.0)
    assert link.stage is LIVE  # a part is missing, the rest is there
    assert (link.denied_count, link.denied) == (1, "Invalid topic put.*")


def test_the_first_denial_is_kept_and_all_are_counted():
    link = link_at(SUBSCRIBING)
    for text in ("first", "second"):
        link.receive(b'{"method":"subscribe","status":"error","message":"%b"}' % text.encode(), 1.0)
    assert (link.denied_count, link.denied, link.stage) == (2, "first", MUTE)


@pytest.mark.parametrize(
    ("frame", "code", "status", "wait_s", "says"),
    [
        ('{"code":401,"msg":"bad token"}', 401, 401, 0, "the stream was refused: 401 bad token"),
        ('{"code":401103,"message":"x"}', 401_103, 401, 0, "the stream was refused: 401103 x"),
        (
            '{"code":"429","msg":"m","retryAfter":45}',
            429,
            429,
            45,
            "the stream was refused: 429 m: SSI allows ten connections with a key",
        ),
        (
            '{"code":403,"msg":"no"}',
            403,
            403,
            0,
            "the stream was refused: 403 no: a stream needs a login with an OTP (VNTAPE_OTP)",
        ),
        ('{"code":429,"msg":"m","retryAfter":1e9}', 429, 429, WAIT_S_MAX, None),
        ('{"code":429,"msg":"m","retryAfter":"soon"}', 429, 429, 0, None),
        ('{"code":503}', 503, 503, 0, "the stream was refused: 503 no reason given"),
        ('{"code":null,"msg":"m"}', 0, 0, 0, "the stream was refused: 0 m"),
    ],
)
def test_a_refusal_keeps_its_code_and_its_wait(frame, code, status, wait_s, says):
    link = link_at(SUBSCRIBING)
    assert link.receive(frame.encode(), 1.0) is Event.REFUSAL
    refusal = link.refusal
    assert isinstance(refusal, Refused)
    assert (refusal.code, refusal.status, refusal.wait_s) == (code, status, wait_s)
    assert says is None or str(refusal) == says


def test_any_frame_restarts_the_silence():
    link = link_at(LIVE)
    assert (link.warn_s, link.dead_s) == pytest.approx((140.0, 160.0))
    for now_s, frame in ((110.0, b"{}"), (115.0, b"garbage"), (119.0, b'{"topic":"a.b"}')):
        link.receive(frame, now_s)
        assert link.dead_s == now_s + 60.0
    link.heard(130.0)
    assert link.dead_s == 190.0


def test_what_we_send():
    assert V3Link(["trade.*", "market.flag"], 60.0, 0.0).frames == [
        b'{"method":"subscribe","channel":"DATA","topics":["trade.*","market.flag"]}'
    ]
    assert orjson.loads(PING) == {"method": "ping_pong", "channel": "HEARTBEAT"}


def test_a_frame_is_filled_to_its_last_byte():
    one = len(subscribe_frames(["trade.AAA"])[0])
    two = len(subscribe_frames(["trade.AAA", "trade.BBB"])[0])
    assert len(subscribe_frames(["trade.AAA", "trade.BBB"], two)) == 1
    assert len(subscribe_frames(["trade.AAA", "trade.BBB"], two - 1)) == 2
    assert len(subscribe_frames(["trade.AAA"], one)) == 1
    with pytest.raises(FeedError, match="11 bytes fits into no frame of"):
        subscribe_frames(["trade.AAA"], one - 1)


@pytest.mark.parametrize(
    "topic",
    [
        "trade.SSI",
        "trade.*",
        "trade.A-M",
        "quote.HOSE@*",
        "trade.SSI@tick",
        "trade.index.VN30@1m",
        "trade.index.*",
        "market.flag",
        "market.FLAG",
        "indexsummary.VN30",
        "room.41I1G4000",
    ],
)
def test_topics_of_market_data_are_taken(topic):
    check_topics([topic])


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "trade",
        "trade.",
        "trade.SSI,VND",
        "trade.SSI@2m",
        "order.*",
        "portfolio.1234561",
        "Trade.SSI",
        "trade.SSI ",
        'trade."',
        "trade." + "A" * 17,
    ],
)
def test_other_topics_are_named_and_refused(topic):
    with pytest.raises(FeedError, match="v3_topics: ") as caught:
        check_topics(["trade.*", topic])
    assert repr(topic[:40]) in str(caught.value)


def test_no_topics_at_all_are_refused():
    with pytest.raises(FeedError, match="nothing to subscribe"):
        check_topics([])


def test_the_default_topics_are_taken():
    check_topics(FeedConfig().v3_topics)


@pytest.mark.parametrize(
    ("value", "number"),
    [("7", 7.0), (8, 8.0), ("", 0.0), (None, 0.0), ("-1", 0.0), ("nan", 0.0), ("inf", 0.0)],
)
def test_numbers_that_may_be_nonsense(value, number):
    assert number_or_zero(value) == number
