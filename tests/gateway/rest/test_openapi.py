"""/openapi.json says what the service does, and nothing else."""

import re

import pytest

from gateway.rest.errors import BadParameter
from gateway.rest.openapi import document
from gateway.rest.parameters import Parameter
from gateway.rest.routes import ROUTES
from tests.gateway.rest.service import Service, run
from tests.gateway.rest.test_market import gallery


def operations():
    return [(path, item["get"]) for path, item in document()["paths"].items()]


def test_every_route_is_in_the_document_with_its_parameters():
    found = dict(operations())
    assert set(found) == {route.path for route in ROUTES}
    for route in ROUTES:
        told = found[route.path]
        query = [p["name"] for p in told["parameters"] if p["in"] == "query"]
        path = [p["name"] for p in told["parameters"] if p["in"] == "path"]
        assert query == [parameter.name for parameter in route.parameters]
        assert path == re.findall(r"{(\w+)}", route.path)
        assert set(told["responses"]["200"]["content"]) == set(route.media)
        assert ("security" in told) == (route.guard != "open")
    assert len({told["operationId"] for told in found.values()}) == len(found)


def test_it_is_openapi_3_1_and_its_references_lead_somewhere():
    whole = document()
    assert whole["openapi"] == "3.1.0"
    text = str(whole)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in whole["components"]["schemas"]


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        (Parameter("minutes", "m", "integer", 60, 1, 360), ["1", "360"], ["0", "361", "x", "-1"]),
        (Parameter("state", "s", words=("open", "closed")), ["open", "CLOSED"], ["", "ajar"]),
        (Parameter("symbol", "s", "codes"), ["FPT", "FPT,HPG"], ["", "FPT,", "A" * 17, "Ơ"]),
    ],
)
def test_what_a_parameter_may_be_is_checked_as_it_is_told(parameter, good, bad):
    schema = parameter.schema()
    assert schema["type"] in ("integer", "string", "array")
    for text in good:
        parameter.read(text)
    for text in bad:
        with pytest.raises(BadParameter) as caught:
            parameter.read(text)
        assert caught.value.field == parameter.name
        assert caught.value.status == 422


def test_every_example_in_the_document_is_answered_as_it_says(tmp_path):
    """Ask every path with nothing, or with what it requires, and look the status up."""

    async def scenario(service: Service):
        _, whole = await service.get("/openapi.json")
        for path, item in whole["paths"].items():
            operation = item["get"]
            where = re.sub(r"{table}", "trades", path)
            where = re.sub(r"{\w+}", "FPT", where)
            query = {p["name"]: "FPT" for p in operation["parameters"] if p.get("required")}
            query = {name: value for name, value in query.items() if f"{{{name}}}" not in path}
            status, _, headers = await service.ask(where, **query)
            assert str(status) in operation["responses"], (path, status)
            if "304" in operation["responses"]:
                assert "ETag" in headers, path
            status, told, _ = await service.ask(where, nonsense="1")
            if path.startswith("/api/"):
                assert (status, told["field"]) == (422, "nonsense"), path

    run(scenario, tmp_path, gallery())
