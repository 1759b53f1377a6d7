"""What a request to the gateway's port gets, as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from engine.tokens import Token, new_secret
from gateway.presets import PRESETS
from gateway.settings import GatewaySettings
from gateway.upgrade import Rules, judge, rules_of

SECRET = "vnt_good"
TOKEN = Token("desk-1", ("trade.*",), b"\0" * 32)
OPEN = Rules()
CLOSED = Rules(tokens=True)
LISTED = rules_of(GatewaySettings((), origins=("https://desk.example", "http://Dev.Example:3000")))
LISTED_CLOSED = Rules(LISTED.origins, tokens=True)


def ask(path="/ws", *more, rules=OPEN, drop=()):
    """Ask with the headers of a good upgrade and these; of two, the later stands."""
    usual = {
        "Host": "127.0.0.1:8765",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    named = {name.lower() for name, _ in more} | {name.lower() for name in drop}
    headers = CIMultiDict(
        (name, value) for name, value in usual.items() if name.lower() not in named
    )
    for name, value in more:
        headers.add(name, value)
    return judge(path.encode("latin-1"), headers, rules, {SECRET: TOKEN}.get)


# --- where ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "preset"),
    [
        ("/ws", 101, None),
        ("/ws?x=1", 101, None),
        *[(f"/ws/{name}", 101, name) for name in PRESETS],
        ("/ws/market?x=1", 101, "market"),
        ("/", 200, None),
        ("/?x", 200, None),
        ("/ws/", 404, None),
        ("/ws/weather", 404, None),
        ("/ws/market/", 404, None),
        ("/market", 404, None),
        ("/wsmarket", 404, None),
        ("/WS", 404, None),
        ("//ws", 404, None),
        ("http://127.0.0.1/ws", 404, None),
        ("*", 404, None),
        ("/ws/<script>", 404, None),
        ("/\xff[", 404, None),
    ],
)
def test_places(path, status, preset):
    verdict = ask(path)
    assert (verdict.status, verdict.preset) == (status, preset)
    if status == 404:
        assert b"/ws, /ws/market, /ws/foreign, /ws/index, /ws/alerts" in verdict.body


def test_the_page_is_html_and_needs_no_upgrade():
    verdict = ask("/", drop=["Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version"])
    assert verdict.status == 200
    assert verdict.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"vntape" in verdict.body


@pytest.mark.parametrize(
    ("more", "drop", "status", "word"),
    [
        ([], ["Upgrade"], 426, "WebSocket"),
        ([("Upgrade", "h2c")], [], 426, "WebSocket"),
        ([("Upgrade", "WebSocket")], [], 101, ""),
        ([], ["Sec-WebSocket-Version"], 426, "13"),
        ([("Sec-WebSocket-Version", "12")], [], 426, "13"),
        ([], ["Sec-WebSocket-Key"], 400, "Sec-WebSocket-Key"),
        ([("Sec-WebSocket-Key", "AAAA")], [], 400, "16 bytes"),
        ([("Sec-WebSocket-Key", "!" * 24)], [], 400, "16 bytes"),
        ([("Sec-WebSocket-Key", "\udcff")], [], 400, "16 bytes"),
    ],
)
def test_what_is_no_websocket(more, drop, status, word):
    verdict = ask("/ws", *more, drop=drop)
    assert verdict.status == status
    assert word in verdict.body.decode()


# --- what is spoken ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "spoken", "chosen"),
    [
        ([], "json", None),
        ([""], "json", None),
        (["vntape.v1.json"], "json", "vntape.v1.json"),
        (["vntape.v1.bin"], "bin", "vntape.v1.bin"),
        (["vntape.v1.bin, vntape.v1.json"], "bin", "vntape.v1.bin"),
        (["vntape.v1.json ,vntape.v1.bin"], "json", "vntape.v1.json"),
        (["vntape.v2.json,vntape.v1.bin"], "bin", "vntape.v1.bin"),
        (["vntape.v2.json", "vntape.v1.bin"], "bin", "vntape.v1.bin"),  # two lines are one list
    ],
)
def test_the_client_chooses_the_format(offered, spoken, chosen):
    verdict = ask("/ws", *[("Sec-WebSocket-Protocol", line) for line in offered])
    assert (verdict.status, verdict.format) == (101, spoken)
    assert verdict.headers.get("Sec-WebSocket-Protocol") == chosen


def test_an_unknown_format_is_refused_and_not_repeated():
    verdict = ask("/ws", ("Sec-WebSocket-Protocol", "s3cret, vntape.v2.json"))
    assert verdict.status == 400
    assert b"vntape.v1.json or vntape.v1.bin" in verdict.body
    assert b"s3cret" not in verdict.body


# --- pages ---------------------------------------------------------------------------------------

LOCAL, ELSEWHERE = "127.0.0.1:8765", "tape.example:8765"


@pytest.mark.parametrize(
    ("rules", "host", "origin", "welcome"),
    [
        (OPEN, LOCAL, None, True),
        (OPEN, LOCAL, "http://127.0.0.1:8765", True),
        (OPEN, LOCAL, "http://localhost:3000", True),  # a page under development
        (OPEN, "[::1]:8765", "http://[::1]:8765", True),
        (OPEN, LOCAL, "https://evil.example", False),
        (OPEN, LOCAL, "null", False),
        (OPEN, LOCAL, "", False),
        (OPEN, LOCAL, "file://", False),
        (OPEN, LOCAL, "http://[", False),
        (OPEN, LOCAL, "http://localhost.evil.example", False),
        (OPEN, LOCAL, "http://evil.example@127.0.0.1:8765", False),
        (OPEN, LOCAL, "http://127.0.0.1:8765/path", False),
        # A name of theirs that points at us: without tokens nothing else would keep them out.
        (OPEN, "evil.example:8765", "http://evil.example:8765", False),
        (CLOSED, ELSEWHERE, "http://tape.example:8765", True),
        (CLOSED, ELSEWHERE, "http://TAPE.example:8765", True),
        (CLOSED, ELSEWHERE, "http://tape.example:9999", False),
        (CLOSED, ELSEWHERE, "http://tape.example", False),
        (CLOSED, ELSEWHERE, "http://other.example:8765", False),
        (CLOSED, "tape.example", "https://tape.example", True),  # a proxy's usual port
        (CLOSED, "tape.example:443", "https://tape.example", True),
        (CLOSED, "tape.example", "https://tape.example:8443", False),
        (CLOSED, "", "https://tape.example", False),
        (CLOSED, "tape.example", "http://127.0.0.1", False),
        (LISTED, LOCAL, "https://desk.example", True),
        (LISTED, LOCAL, "https://DESK.example:443", True),
        (LISTED, LOCAL, "http://desk.example", False),
        (LISTED, LOCAL, "https://desk.example:8443", False),
        (LISTED, LOCAL, "https://a.desk.example", False),
        (LISTED, LOCAL, "https://desk.example.evil", False),
        (LISTED, LOCAL, "http://dev.example:3000", True),
        (LISTED, LOCAL, "http://dev.example:3001", False),
        (LISTED_CLOSED, ELSEWHERE, "https://desk.example", True),
    ],
)
def test_which_pages_may_connect(rules, host, origin, welcome):
    more = [("Host", host)] + ([] if origin is None else [("Origin", origin)])
    verdict = ask("/ws", *more, rules=rules)
    assert verdict.status == (101 if welcome else 403)
    assert welcome or b"gateway.origins" in verdict.body


# --- tokens --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "status", "token"),
    [
        (f"Bearer {SECRET}", 101, TOKEN),
        (f"bearer   {SECRET}", 101, TOKEN),
        (None, 101, None),  # to be said in the first message
        ("Bearer vnt_wrong", 401, None),
        ("Bearer ", 401, None),
        ("Bearer", 401, None),
        ("", 401, None),
        (SECRET, 401, None),
        (f"Basic {SECRET}", 401, None),
        (f"Bearer {SECRET} x", 401, None),
        (f"Bearer {SECRET}\udcff", 401, None),
    ],
)
def test_tokens_in_the_header(said, status, token):
    more = [] if said is None else [("authorization", said)]
    verdict = ask("/ws", *more, rules=CLOSED)
    assert (verdict.status, verdict.token) == (status, token)
    if status == 401:
        assert verdict.headers["WWW-Authenticate"].startswith("Bearer")
        assert b"unknown, revoked or expired" in verdict.body
        assert b"vnt_" not in verdict.body


def test_where_nobody_needs_a_token_none_is_looked_at():
    verdict = ask("/ws", ("Authorization", "Bearer whatever"))
    assert (verdict.status, verdict.token) == (101, None)


def test_a_page_of_somebody_else_learns_nothing_about_tokens():
    more = [("Origin", "https://evil.example"), ("Authorization", "Bearer x")]
    assert ask("/ws", *more, rules=CLOSED).status == 403


@pytest.mark.parametrize(
    "target",
    [
        "/ws?token=x",
        "/ws?a=1&Access_Token=x",
        "/ws?auth=x",
        "/ws?authorization=x",
        "/ws?bearer",
        "/ws?api-key=x",
        "/ws?apikey=x",
        "/ws?key=x",
        "/ws?client_secret=x",
        "/ws?password=x",
        "/ws?%74oken=x",
        "/ws?x=vnt_abc",
        "/ws?x=%76nt_abc",
        "/ws/vnt_abc",
        "/?token=x",
        "/nothing?token=x",
        f"/ws?x={new_secret()}",
    ],
)
@pytest.mark.parametrize("rules", [OPEN, CLOSED])
def test_a_token_in_the_url_is_refused_and_the_reason_told(target, rules):
    verdict = ask(target, rules=rules)
    assert verdict.status == 400
    assert b"does not belong in a URL" in verdict.body
    assert b"abc" not in verdict.body


@pytest.mark.parametrize(
    "target", ["/ws?x=1&y=keyboard", "/ws?q=token", "/ws?", "/ws?&&=", "/ws?%"]
)
def test_other_queries_do_no_harm(target):
    assert ask(target).status == 101


# --- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("Origin", 300),
        ("HOST", 300),
        ("Authorization", 512),
        ("sec-websocket-protocol", 512),
        ("Sec-WebSocket-Key", 64),
        ("Cookie", 4_096),
    ],
)
def test_long_headers_are_refused(name, most):
    assert ask("/ws", (name, "x" * (most + 1))).status == 431
    assert ask("/ws", (name, "x" * most)).status != 431


def test_long_targets_are_refused():
    assert ask("/ws?" + "x" * 1_020).status == 101
    assert ask("/ws?" + "x" * 1_021).status == 414


@pytest.mark.parametrize(
    "name", ["Authorization", "Host", "Origin", "Sec-WebSocket-Key", "Sec-WebSocket-Version"]
)
def test_what_stands_there_twice_is_refused(name):
    verdict = ask("/ws", (name, "a"), (name.lower(), "b"), rules=CLOSED)
    assert verdict.status == 400
    assert f"{name} stands there twice" in verdict.body.decode()


ANY_TEXT = st.text(st.characters(codec="latin-1"), max_size=40)


@given(
    ANY_TEXT,
    st.lists(
        st.tuples(
            st.sampled_from(
                ["Origin", "Host", "Authorization", "Sec-WebSocket-Protocol", "Upgrade", "Cookie"]
            ),
            ANY_TEXT,
        ),
        max_size=5,
    ),
    st.booleans(),
)
def test_any_request_gets_an_answer_that_repeats_nothing(path, more, closed):
    mark = "Zq9"
    more = [(name, value + mark) for name, value in more]
    verdict = ask(f"/{path}{mark}", *more, rules=CLOSED if closed else OPEN)
    assert verdict.status in (101, 200, 400, 401, 403, 404, 426)
    said = verdict.body.decode() + "".join(verdict.headers.values())
    assert mark not in said
    verdict = ask("/ws", *more, rules=CLOSED if closed else OPEN)
    assert verdict.status in (101, 400, 401, 403, 426)
    assert mark not in verdict.body.decode() + "".join(verdict.headers.values())


def test_refusals_are_plain_text_that_no_browser_reinterprets():
    verdict = ask("/nothing")
    assert verdict.headers["Content-Type"].startswith("text/plain")
    assert verdict.headers["X-Content-Type-Options"] == "nosniff"
