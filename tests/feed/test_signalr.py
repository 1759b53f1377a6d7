"""SignalR's words, one table per direction (ssi-wire sections 1.2 to 1.6)."""

from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from engine.feed.signalr import (
    CONTROL_BYTES_MAX,
    ERROR_FRAME_BYTES_MAX,
    SILENCE_MAX_S,
    TIMEOUT_MAX_S,
    Event,
    HubLink,
    Negotiated,
    Stage,
    check_started,
    connect_url,
    hub_root,
    negotiate_url,
    parse_negotiate,
    start_url,
)
from engine.feed.source import FeedError

HUB = "FcMarketDataV2Hub"
TOKEN = "AQ+b/c=="
ROOT = "https://fc-datahub.ssi.com.vn/v2.0/signalr"
CURSOR = '"C":"d-8F1AB453-B,0|C,0|D,1|E,0"'
MESSAGE = '{"H":"FcMarketDataV2Hub","M":"Broadcast","A":["{}"]}'
QUOTED = '{"H":"FcMarketDataV2Hub","M":"Broadcast","A":["{\\"M\\":\\"Error\\",\\"A\\":[]}"]}'
QUOTA = "Connection has been blocked, quota 10 exceeded by 2"
ERROR = f'{{"H":"FcMarketDataV2Hub","M":"Error","A":["{QUOTA}"]}}'
LONG_GROUPS = f'"G":"{"g" * 4_000}"'


@pytest.mark.parametrize(
    "configured",
    [
        "https://fc-datahub.ssi.com.vn/",
        "https://fc-datahub.ssi.com.vn",
        "https://fc-datahub.ssi.com.vn/v2.0/",
        "wss://fc-datahub.ssi.com.vn/v2.0",
    ],
)
def test_every_spelling_of_the_stream_url_names_one_hub(configured):
    assert hub_root(configured) == ROOT


@pytest.mark.parametrize("configured", ["", "fc-datahub.ssi.com.vn", "ftp://host/", "https://"])
def test_other_stream_urls_are_refused(configured):
    with pytest.raises(FeedError, match="stream_url"):
        hub_root(configured)


def test_urls_carry_what_the_server_needs():
    common = {"connectionData": ['[{"name":"FcMarketDataV2Hub"}]'], "clientProtocol": ["1.5"]}
    socket = {**common, "transport": ["webSockets"], "connectionToken": [TOKEN]}
    table = [
        (negotiate_url(ROOT, HUB), "https", "negotiate", common),
        (connect_url(ROOT, HUB, TOKEN), "wss", "connect", socket),
        (start_url(ROOT, HUB, TOKEN), "https", "start", socket),
        (connect_url("http://127.0.0.1:1/v2.0/signalr", HUB, TOKEN), "ws", "connect", socket),
    ]
    for url, scheme, verb, query in table:
        parts = urlsplit(url)
        assert (parts.scheme, parts.path) == (scheme, f"/v2.0/signalr/{verb}")
        assert parse_qs(parts.query, strict_parsing=True) == query


def test_the_token_is_url_encoded_on_the_wire():
    assert "connectionToken=AQ%2Bb%2Fc%3D%3D" in connect_url(ROOT, HUB, TOKEN)


def negotiate_answer(**changes):
    return orjson.dumps(
        {"ConnectionToken": TOKEN, "KeepAliveTimeout": 20.0, "TryWebSockets": True, **changes}
    )


@pytest.mark.parametrize(
    ("body", "timeout_s"),
    [
        (negotiate_answer(), 20.0),
        (negotiate_answer(KeepAliveTimeout=7), 7.0),
        (negotiate_answer(KeepAliveTimeout=None), SILENCE_MAX_S),
        (negotiate_answer(KeepAliveTimeout="20"), SILENCE_MAX_S),
        (negotiate_answer(KeepAliveTimeout=True), SILENCE_MAX_S),
        (negotiate_answer(KeepAliveTimeout=-1.0), SILENCE_MAX_S),
        (negotiate_answer(KeepAliveTimeout=86_400.0), TIMEOUT_MAX_S),
        (orjson.dumps({"ConnectionToken": TOKEN, "ProtocolVersion": "1.5"}), SILENCE_MAX_S),
    ],
)
def test_negotiate_is_understood(body, timeout_s):
    assert parse_negotiate(body) == Negotiated(TOKEN, timeout_s)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<html>", "6 bytes that are not JSON"),
        (b"[]", "not an object"),
        (b"{}", "without a ConnectionToken"),
        (negotiate_answer(ConnectionToken=""), "without a ConnectionToken"),
        (negotiate_answer(ConnectionToken=7), "without a ConnectionToken"),
        (negotiate_answer(TryWebSockets=False), "does not offer WebSockets"),
    ],
)
def test_other_answers_to_negotiate_are_refused(body, says):
    with pytest.raises(FeedError, match=says):
        parse_negotiate(body)


def test_the_connection_token_is_not_shown():
    assert TOKEN not in repr(Negotiated(TOKEN, 20.0))


def test_only_started_is_started():
    check_started(b'{ "Response": "started" }')
    for body in (b'{"Response":"pong"}', b"{}", b"[]", b""):
        with pytest.raises(FeedError, match="start answered"):
            check_started(body)


def link_at(stage):
    link = HubLink(Negotiated(TOKEN, 20.0), HUB, 100.0)
    if stage is not Stage.WAITING_FOR_INIT:
        link.starting()
    if stage in (Stage.SUBSCRIBING, Stage.LIVE):
        link.switch_channels("X:ALL")
    if stage is Stage.LIVE:
        link.receive(b'{"I":"0"}', 100.0)
    assert link.stage is stage
    return link


WAITING, STARTING, SUBSCRIBING, LIVE = Stage

# frame | stage before | event | stage after
FRAMES = [
    (f'{{{CURSOR},"S":1,"M":[]}}', WAITING, Event.INIT, WAITING),
    (f'{{{CURSOR},"S":1,"M":[{MESSAGE}]}}', WAITING, Event.INIT, WAITING),
    (f'{{{CURSOR},"M":[{MESSAGE}]}}', WAITING, Event.DATA, WAITING),
    ("{}", WAITING, Event.KEEPALIVE, WAITING),
    ("{}", LIVE, Event.KEEPALIVE, LIVE),
    (f'{{{CURSOR},"M":[{MESSAGE}]}}', STARTING, Event.DATA, STARTING),
    (f'{{{CURSOR},"M":[{MESSAGE},{MESSAGE}]}}', SUBSCRIBING, Event.DATA, LIVE),
    (f'{{{CURSOR},"M":[{MESSAGE}]}}', LIVE, Event.DATA, LIVE),
    (f'{{{CURSOR},"G":"abc","M":[{MESSAGE}]}}', LIVE, Event.DATA, LIVE),
    (f'{{{CURSOR},{LONG_GROUPS},"M":[{MESSAGE}]}}', LIVE, Event.DATA, LIVE),
    (f'{{ "M" : [ {MESSAGE} ] }}', LIVE, Event.DATA, LIVE),
    (f'{{{CURSOR},"G":"abc","M":[]}}', SUBSCRIBING, Event.OTHER, SUBSCRIBING),
    (f'{{{CURSOR},"M":[]}}', LIVE, Event.OTHER, LIVE),
    ('{"I":"0"}', SUBSCRIBING, Event.REPLY, LIVE),
    ('{"I":0}', SUBSCRIBING, Event.REPLY, LIVE),
    ('{"I":"7"}', SUBSCRIBING, Event.OTHER, SUBSCRIBING),
    ('{"I":"0"}', STARTING, Event.OTHER, STARTING),
    ('{"I":"0","E":"no such channel","H":true}', SUBSCRIBING, Event.REFUSAL, SUBSCRIBING),
    ('{"I":"0","E":"too late, but still"}', LIVE, Event.REFUSAL, LIVE),
    (f'{{{CURSOR},"T":1,"M":[]}}', LIVE, Event.SHUTDOWN, LIVE),
    (f'{{{CURSOR},"T":1,"M":[{MESSAGE}]}}', LIVE, Event.SHUTDOWN, LIVE),
    (f'{{{CURSOR},"M":[{ERROR}]}}', LIVE, Event.ERROR, LIVE),
    (f'{{{CURSOR},"M":[{ERROR}]}}', SUBSCRIBING, Event.ERROR, SUBSCRIBING),
    (f'{{{CURSOR},"M":[{ERROR}]}}', WAITING, Event.ERROR, WAITING),
    (f'{{{CURSOR},"M":[{MESSAGE},{ERROR}]}}', SUBSCRIBING, Event.ERROR, LIVE),
    (f'{{{CURSOR},"M":[{ERROR},{MESSAGE}]}}', LIVE, Event.ERROR, LIVE),
    (f'{{ "M" : [ {ERROR} ] }}', LIVE, Event.ERROR, LIVE),
    (f'{{{CURSOR},"M":[{QUOTED}]}}', LIVE, Event.DATA, LIVE),
    (f'{{{CURSOR},"M":[{{"x":[{ERROR}]}}]}}', LIVE, Event.DATA, LIVE),
    (f'[{{{CURSOR},"M":[{ERROR}]}}]', LIVE, Event.GARBAGE, LIVE),
    (f'{{"x":{{"M":[{ERROR}]}}}}', LIVE, Event.GARBAGE, LIVE),
    (f'{{{CURSOR},"M":[{ERROR}', LIVE, Event.GARBAGE, LIVE),
    (f'{{{CURSOR},"M":[{ERROR}]}}{" " * ERROR_FRAME_BYTES_MAX}', LIVE, Event.DATA, LIVE),
    ('{"I":"7","E":"of another time"}', LIVE, Event.ERROR, LIVE),
    ('{"I":"7","E":"of another time"}', STARTING, Event.ERROR, STARTING),
    ('{"X":1}', LIVE, Event.OTHER, LIVE),
    ("[]", LIVE, Event.GARBAGE, LIVE),
    ("", LIVE, Event.GARBAGE, LIVE),
    ("garbage", LIVE, Event.GARBAGE, LIVE),
    (" " * (CONTROL_BYTES_MAX + 1) + "{}", LIVE, Event.GARBAGE, LIVE),
]


@pytest.mark.parametrize(("frame", "before", "event", "after"), FRAMES)
def test_what_a_frame_means(frame, before, event, after):
    for payload in (frame.encode(), memoryview(frame.encode())):
        link = link_at(before)
        assert link.receive(payload, 101.0) is event
        assert link.stage is after


def test_a_refusal_keeps_the_reason():
    link = link_at(SUBSCRIBING)
    link.receive(b'{"I":"0","E":"no such channel"}', 101.0)
    assert link.refusal == "no such channel"


@pytest.mark.parametrize(
    ("frame", "texts"),
    [
        (f'{{{CURSOR},"M":[{MESSAGE},{ERROR},{ERROR}]}}', [QUOTA, QUOTA]),
        ('{"M":[{"H":"h","M":"Error","A":["one",2]}]}', ["one 2"]),
        ('{ "M":[{"H":"h","M":"Error","A":["a"]}, {"H":"h","M":"Broadcast"}]}', ["a"]),
        ('{ "M" : [{"H":"h","M":"Error","A":"bare"}]}', ["bare"]),
        ('{"M":[{"H":"h","M":"Error","A":[]}]}', ["no reason given"]),
        ('{ "M" : [{"H":"h","M":"Error"}]}', ["no reason given"]),
        ('{"I":"7","E":"of another time"}', ["invocation 7 failed: of another time"]),
    ],
)
def test_a_complaint_keeps_its_words(frame, texts):
    link = link_at(LIVE)
    assert link.receive(frame.encode(), 101.0) is Event.ERROR
    assert link.errors == texts


def test_switch_channels_counts_its_invocations():
    link = link_at(STARTING)
    for number in range(3):
        assert orjson.loads(link.switch_channels("X:ALL,MI:ALL")) == {
            "H": HUB,
            "M": "SwitchChannels",
            "A": ["X:ALL,MI:ALL"],
            "I": number,
        }


def test_any_frame_restarts_the_silence():
    link = link_at(LIVE)
    assert (link.warn_s, link.dead_s) == pytest.approx((100.0 + 20.0 * 2 / 3, 120.0))
    for now_s, frame in ((110.0, b"{}"), (115.0, b"garbage"), (119.0, b'{"C":"x","M":[{}]}')):
        link.receive(frame, now_s)
        assert link.dead_s == now_s + 20.0
    link.heard(130.0)
    assert link.dead_s == 150.0
