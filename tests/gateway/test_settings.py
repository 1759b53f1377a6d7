"""A gateway that cannot work, or would not be safe, refuses to start and says what to do."""

from dataclasses import fields

import pytest

from engine.config import GatewayConfig
from engine.errors import ConfigError
from engine.tokens import digest_of
from gateway.settings import GatewaySettings, check_public
from tests.peers.tls import certificate

ENDPOINTS = (("ipc://d", "ipc://s"),)


def settings(**values):
    return GatewaySettings(ENDPOINTS, **values)


@pytest.fixture
def tokens_file(tmp_path):
    path = tmp_path / "tokens.toml"

    def write(scope="trade.*", mode=0o600):
        digest = digest_of("x").hex()
        path.write_text(f'[tokens.a]\nhash = "sha256:{digest}"\nscopes = ["{scope}"]\n')
        path.chmod(mode)
        return str(path)

    return write


def refused(**values):
    with pytest.raises(ConfigError) as caught:
        settings(**values).check()
    return str(caught.value)


def test_what_is_usual_is_fine_and_what_the_configuration_says():
    usual = settings()
    usual.check()
    assert usual.warnings() == []
    config = GatewayConfig()
    here = {item.name for item in fields(GatewaySettings)}
    for item in fields(GatewayConfig):
        if item.name != "count":
            assert item.name in here, "a key of the configuration that no gateway reads"
            want = getattr(config, item.name)
            assert getattr(usual, item.name) == (tuple(want) if isinstance(want, list) else want)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com", ""])
def test_a_public_address_needs_tokens(host, tokens_file):
    text = refused(host=host)
    assert f"gateway.host is {host!r}" in text
    assert "gateway.tokens_file" in text
    assert "vntape token new" in text
    assert "loopback" in text
    settings(host=host, tokens_file=tokens_file()).check()


def test_other_services_ask_the_same_question():
    with pytest.raises(ConfigError, match=r"rest\.host is '0\.0\.0\.0'"):
        check_public("rest.host", "0.0.0.0", "")
    check_public("rest.host", "::1", "")


def test_a_tokens_file_must_be_usable(tokens_file, tmp_path):
    assert "does not exist" in refused(tokens_file=str(tmp_path / "none"))
    assert "open to others" in refused(tokens_file=tokens_file(mode=0o644))
    assert "a has the scope 'tarde.*'" in refused(tokens_file=tokens_file("tarde.*"))


def test_tls_files_come_in_pairs_and_exist(tmp_path):
    pem = certificate(tmp_path)
    both = {"tls_cert_file": str(pem), "tls_key_file": str(tmp_path / "key.pem")}
    settings(**both).check()
    for name in both:
        assert "belong together" in refused(**{name: both[name]})
    assert "tls_key_file" in refused(**both | {"tls_key_file": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"port": -1}, "gateway.port is -1"),
        ({"port": 65_536}, "gateway.port is 65536, allowed 0 to 65535"),
        ({"origins": ("https://desk.example/",)}, "gateway.origins: 'https://desk.example/'"),
        ({"origins": ("*",)}, "without *"),
        ({"origins": ("desk.example",)}, "write https://desk.example"),
        ({"trusted_proxies": ("proxy.example",)}, "gateway.trusted_proxies: 'proxy.example'"),
        ({"trusted_proxies": ("0.0.0.0/0",)}, "everybody"),
        ({"clients_max": 0}, "gateway.clients_max is 0, at least 1"),
        ({"topics_max": 0}, "gateway.topics_max is 0"),
        ({"client_budget_bytes": 0}, "gateway.client_budget_bytes is 0"),
        ({"message_bytes_max": 0}, "gateway.message_bytes_max is 0"),
        ({"heartbeat_ms": 0}, "gateway.heartbeat_ms is 0"),
        ({"conflate_ms": -1}, "gateway.conflate_ms is -1"),
        ({"address_clients_max": 0}, "gateway.address_clients_max is 0"),
        ({"address_messages_max": 0}, "gateway.address_messages_max is 0"),
        ({"auth_ms": 0}, "gateway.auth_ms is 0"),
        ({"silence_ms": 999}, "gateway.silence_ms is 999, at least 1000"),
        ({"resume_bytes": -1}, "gateway.resume_bytes is -1"),
        ({"replays_max": -1}, "gateway.replays_max is -1"),
        ({"symbols_max": 1 << 20}, "symbols_max is 1048576"),
    ],
)
def test_what_cannot_work_is_refused(values, words):
    assert words in refused(**values)


def test_off_is_a_setting_too():
    settings(conflate_ms=0, resume_bytes=0, replays_max=0, port=0).check()


def test_what_works_but_should_be_known(tokens_file):
    public = {"host": "0.0.0.0", "tokens_file": tokens_file()}
    (said,) = settings(**public).warnings()
    assert "in the clear" in said
    assert settings(**public, tls_cert_file="c", tls_key_file="k").warnings() == []
    assert settings(**public, trusted_proxies=("10.0.0.7",)).warnings() == []
    (said,) = settings(trusted_proxies=("10.0.0.7",)).warnings()
    assert "needs no token" in said
