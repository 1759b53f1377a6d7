"""The simulator's formats: HTTP requests, WebSocket frames, hub words, the channel grammar."""

import json

import orjson
import pytest

from tools.simulator import hub
from tools.simulator.http import BadRequest, Response, take_request
from tools.simulator.websocket import (
    Opcode,
    ProtocolError,
    Receiver,
    accept_key,
    encode,
    encode_close,
)


def test_a_request_is_taken_whole_wherever_it_is_cut():
    wire = (
        b"POST /v2.0/signalr/negotiate?connectionData=%5B%7B%22name%22%3A+%22Hub%22%7D%5D"
        b"&Token=a%2Bb&empty= HTTP/1.1\r\nHost: x\r\nAuthorization:Bearer t.o.k\r\n"
        b"Content-Length: 4\r\n\r\nbody"
    )
    for cut in range(len(wire)):
        buffer = bytearray(wire[:cut])
        assert take_request(buffer) is None
        buffer += wire[cut:] + b"GET"
        request = take_request(buffer)
        assert buffer == b"GET"
        assert (request.method, request.path) == ("POST", "/v2.0/signalr/negotiate")
        assert request.query == {"connectiondata": '[{"name": "Hub"}]', "token": "a+b", "empty": ""}
        assert request.bearer == "t.o.k"
        assert request.body == b"body"


def test_the_bearer_may_come_in_the_query():
    request = take_request(bytearray(b"GET /?access_token=abc HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert request.bearer == "abc"


@pytest.mark.parametrize(
    "wire",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"x" * 32_769,
    ],
)
def test_bad_requests_are_refused(wire):
    with pytest.raises(BadRequest):
        take_request(bytearray(wire))


def test_a_response_has_its_length():
    assert Response(200, b"{}").encode() == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
    assert Response(101, headers={"Upgrade": "websocket"}).encode() == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    )


def test_the_accept_key_is_the_one_of_the_rfc():
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_server_frames_are_unmasked_and_shortest(size, head):
    assert encode(b"x" * size) == head + b"x" * size


def test_a_close_frame_carries_its_code():
    assert encode_close(1001, "bye") == b"\x88\x05\x03\xe9bye"


def masked(payload, opcode=Opcode.TEXT, final=True, mask=b"\x01\x02\x03\x04"):
    frame = bytearray(encode(payload, opcode, final=final))
    frame[1] |= 0x80
    body = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes(frame[: len(frame) - len(payload)]) + mask + body


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 126, 4_000, 65_535])
def test_client_frames_are_unmasked(size):
    payload = bytes(place % 251 for place in range(size))
    assert list(Receiver().take(bytearray(masked(payload)))) == [(Opcode.TEXT, payload)]


def test_client_frames_may_come_in_pieces_with_controls_between():
    wire = (
        masked(b"one ", final=False)
        + masked(b"?", Opcode.PING)
        + masked(b"two", Opcode.CONTINUATION)
        + masked(b"next")
    )
    receiver, buffer, got = Receiver(), bytearray(), []
    for byte in wire:
        buffer.append(byte)
        got += receiver.take(buffer)
    assert got == [(Opcode.PING, b"?"), (Opcode.TEXT, b"one two"), (Opcode.TEXT, b"next")]


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (encode(b"unmasked"), 1002),
        (b"\x83" + masked(b"x")[1:], 1002),
        (b"\x81\xff" + (65_537).to_bytes(8) + b"mask", 1009),
        (masked(b"x" * 40_000, final=False) + masked(b"x" * 40_000, Opcode.CONTINUATION), 1009),
    ],
)
def test_broken_client_frames_close_the_connection(wire, code):
    with pytest.raises(ProtocolError) as error:
        list(Receiver().take(bytearray(wire)))
    assert error.value.code == code


def test_hub_frames_are_the_servers_bytes():
    cursor = "d-8F1AB453-B,A|C,0|D,1|E,0"
    table = [
        (hub.init_frame(10), f'{{"C":"{cursor}","S":1,"M":[]}}'),
        (hub.groups_frame(10, "g=="), f'{{"C":"{cursor}","G":"g==","M":[]}}'),
        (hub.shutdown_frame(10), f'{{"C":"{cursor}","T":1,"M":[]}}'),
        (
            hub.data_frame(10, [b'{"a":1}', b'{"b":2}']),
            f'{{"C":"{cursor}","M":[{{"a":1}},{{"b":2}}]}}',
        ),
        (hub.reply(0), '{"I":"0"}'),
        (hub.reply("7", "no"), '{"I":"7","E":"no"}'),
        (
            hub.broadcast('{"DataType":"F"}'),
            '{"H":"FcMarketDataV2Hub","M":"Broadcast","A":["{\\"DataType\\":\\"F\\"}"]}',
        ),
    ]
    for made, expected in table:
        assert made == expected.encode()
        assert orjson.loads(made) == json.loads(expected)


EVERY = None
# calls | what is subscribed afterwards
GRAMMAR = [
    (["X:ALL"], {"X": EVERY}),
    (["X-TRADE:SSI-VND-HPG"], {"X-TRADE": {"SSI", "VND", "HPG"}}),
    (["MI:VN30-HNXindex"], {"MI": {"VN30", "HNXINDEX"}}),
    (["x-quote: ALL , mi : VN30"], {"X-QUOTE": EVERY, "MI": {"VN30"}}),
    (["X:SSI-ALL"], {"X": EVERY}),
    (["MI:VN30,MI:VNINDEX"], {"MI": {"VNINDEX"}}),
    (["X:ALL", "X:NONE"], {"X": set()}),
    (["X:ALL", "MI:ALL"], {"X": EVERY, "MI": EVERY}),
    (["X:SSI", "X:VND"], {"X": {"VND"}}),
    (["nonsense", "Y:ALL", "", ":", "X"], {}),
]


@pytest.mark.parametrize(("calls", "wanted"), GRAMMAR)
def test_the_channel_grammar(calls, wanted):
    subscription = hub.Subscription()
    for call in calls:
        subscription.switch(call)
    assert subscription.wanted == wanted
    assert bool(subscription) == any(names is EVERY or names for names in wanted.values())


def test_replace_all_forgets_other_types():
    subscription = hub.Subscription(replace_all=True)
    subscription.switch("X:ALL,MI:ALL")
    subscription.switch("R:ALL")
    assert subscription.wanted == {"R": EVERY}


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"hello", b'"M"'])
def test_what_is_no_invocation_is_ignored(text):
    assert hub.parse_invocation(text) is None
