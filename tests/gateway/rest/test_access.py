"""Who may ask: tokens, scopes, hosts, origins, rates."""

import hashlib

import pytest

from engine.schema.channels import BY_NAME
from gateway.rest.routes import ROUTES, topics
from tests.gateway.rest.service import Service, run
from tests.gateway.rest.test_market import gallery

SECRETS = {"desk": "vnt_" + "a" * 43, "narrow": "vnt_" + "b" * 43}
PAGE = "https://desk.example"


@pytest.fixture
def tokens_file(tmp_path):
    file = tmp_path / "tokens.toml"
    lines = []
    for name, scopes in (("desk", '["*"]'), ("narrow", '["stats.FPT", "market.*"]')):
        digest = hashlib.sha256(SECRETS[name].encode()).hexdigest()
        lines.append(f'[tokens.{name}]\nhash = "sha256:{digest}"\nscopes = {scopes}\n')
    file.write_text("".join(lines))
    file.chmod(0o600)
    return str(file)


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRETS[name]}"}


def test_with_a_tokens_file_everybody_needs_a_token(tmp_path, tokens_file):
    async def scenario(service: Service):
        path = "/api/market/snapshot"
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {SECRETS['desk']}"},
            {"Authorization": f"Bearer {SECRETS['desk']}x"},
            {"Authorization": "Bearer " + "x" * 5_000},
        ):
            status, told, answer = await service.ask(path, headers=headers)
            assert (status, told["error"], told["field"]) == (401, "unauthorized", "Authorization")
            assert answer["WWW-Authenticate"] == "Bearer"
        assert service.cell["unauthorized"] == 5
        assert (await service.ask(path, headers=bearer("desk")))[0] == 200
        status, told, _ = await service.ask(path, token=SECRETS["desk"])
        assert status == 401, "a token in the URL is none"
        assert SECRETS["desk"] not in str(told)
        status, told, _ = await service.ask(path, token=SECRETS["desk"], headers=bearer("desk"))
        assert (status, told["field"]) == (422, "token")
        assert SECRETS["desk"] not in str(told)

    run(scenario, tmp_path, gallery(), tokens_file=tokens_file)


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/api/market/volume-stats", {"symbol": "FPT"}, 200),
        ("/api/market/volume-stats", {"symbol": "FPT,VN30F2108"}, 403),
        ("/api/market/snapshot", {}, 403),  # the indices, too
        ("/api/market/alerts", {}, 403),
        ("/api/history/trades", {}, 403),
        ("/api/history/FPT/bars", {"interval": "1m"}, 403),
    ],
)
def test_a_token_reaches_its_scopes(tmp_path, tokens_file, path, query, status):
    async def scenario(service: Service):
        found, told, _ = await service.ask(path, headers=bearer("narrow"), **query)
        assert found == status, told
        wide, _, _ = await service.ask(path, headers=bearer("desk"), **query)
        assert wide in (200, 503)  # no history is recorded here

    run(scenario, tmp_path, gallery(), tokens_file=tokens_file)


def test_operators_on_this_machine_need_no_token_but_those_behind_a_proxy_do(tmp_path, tokens_file):
    async def scenario(service: Service):
        for path in ("/statusz", "/metrics"):
            assert (await service.ask(path))[0] == 200
            for headers in ({"X-Forwarded-For": "203.0.113.9"}, {"Host": "tape.example"}):
                assert (await service.ask(path, headers=headers))[0] == 401
                assert (await service.ask(path, headers=headers | bearer("desk")))[0] == 200
        for path in ("/livez", "/readyz", "/openapi.json", "/asyncapi.json"):
            assert (await service.ask(path, headers={"Host": "tape.example"}))[0] == 200

    run(scenario, tmp_path, gallery(), tokens_file=tokens_file)


def test_without_tokens_only_this_machine_is_answered_under_its_own_name(tmp_path):
    async def scenario(service: Service):
        for path in ("/api/market/snapshot", "/statusz", "/livez"):
            assert (await service.ask(path))[0] == 200
            status, told, _ = await service.ask(path, headers={"Host": "evil.example"})
            assert (status, told["field"]) == (403, "Host")

    run(scenario, tmp_path, gallery())


def test_pages_of_the_origins_in_the_configuration_may_ask(tmp_path, tokens_file):
    async def scenario(service: Service):
        path = "/api/market/snapshot"
        asks = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
        status, _, headers = await service.ask(path, method="OPTIONS", headers=asks)
        assert status == 204, "a browser asks without a token"
        assert headers["Access-Control-Allow-Origin"] == PAGE
        assert "Authorization" in headers["Access-Control-Allow-Headers"]
        assert "If-None-Match" in headers["Access-Control-Allow-Headers"]
        for headers in (bearer("desk"), {}):
            _, _, told = await service.ask(path, headers={"Origin": PAGE, **headers})
            assert told["Access-Control-Allow-Origin"] == PAGE, "a page may read a refusal as well"
            assert "ETag" in told["Access-Control-Expose-Headers"]
        for stranger in ("https://evil.example", f"{PAGE}.evil.example", "null", f"{PAGE}:8443"):
            asks["Origin"] = stranger
            assert (await service.ask(path, method="OPTIONS", headers=asks))[0] == 403
            _, _, told = await service.ask(path, headers={"Origin": stranger, **bearer("desk")})
            assert "Access-Control-Allow-Origin" not in told
            assert told["Vary"] == "Origin"

    run(scenario, tmp_path, gallery(), tokens_file=tokens_file, origins=(PAGE,))


def test_without_origins_no_page_elsewhere_may_ask(tmp_path):
    async def scenario(service: Service):
        asks = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
        assert (await service.ask("/api/history", method="OPTIONS", headers=asks))[0] == 403
        _, _, told = await service.ask("/livez", headers={"Origin": PAGE})
        assert "Access-Control-Allow-Origin" not in told

    run(scenario, tmp_path)


def test_an_address_that_asks_too_much_is_told_to_wait(tmp_path):
    async def scenario(service: Service):
        answers = [await service.ask("/livez") for _ in range(12)]
        late = [headers for status, _, headers in answers if status == 429]
        assert late
        assert late[0]["Retry-After"] == "1"

    run(scenario, tmp_path, address_requests_max=5)


def test_nothing_can_be_changed(tmp_path):
    async def scenario(service: Service):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            status, told, headers = await service.ask("/api/market/snapshot", method=method)
            assert (status, told["error"]) == (405, "method_not_allowed")
            assert headers["Allow"] == "GET, HEAD"
        status, told, _ = await service.ask("/api/nothing")
        assert (status, told["error"], told["field"]) == (404, "not_found", "path")

    run(scenario, tmp_path)


def test_every_route_about_the_market_names_what_it_shows():
    values = {"symbol": (), "contract": (), "table": "trades", "symbols": (), "interval": None}
    for route in ROUTES:
        if route.path.startswith("/api") and route.name != "history_tables":
            assert route.shows(values), route.path
            assert route.guard == "token"
    (exact,) = topics((BY_NAME["trade"],), ("VN30F1M",))
    assert (exact.pattern, exact.wildcard) == ("VN30F1M", False)
