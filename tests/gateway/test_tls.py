"""TLS: a context that serves, and files that cannot, each with its name and reason."""

import socket
import ssl
import subprocess
import threading

import pytest

from engine.errors import ConfigError
from gateway.tls import server_context
from tests.peers.tls import certificate

WAIT_S = 30.0


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    return certificate(folder), folder / "key.pem"


def shake_hands(context, client):
    """Let a client shake hands with a server over a real socket; returns the version spoken."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(WAIT_S)

        def serve():
            line, _ = listening.accept()
            line.settimeout(WAIT_S)
            try:
                with context.wrap_socket(line, server_side=True) as secure:
                    secure.sendall(secure.recv(4))
            except OSError:
                line.close()  # the client is told by its own failure

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                socket.create_connection(listening.getsockname(), WAIT_S) as line,
                client.wrap_socket(line, server_hostname="127.0.0.1") as secure,
            ):
                secure.sendall(b"ping")
                assert secure.recv(4) == b"ping"
                return secure.version(), secure.selected_alpn_protocol()
        finally:
            thread.join()


def test_a_client_that_trusts_the_certificate_connects(files):
    client = ssl.create_default_context(cafile=files[0])
    client.set_alpn_protocols(["h2", "http/1.1"])
    assert shake_hands(server_context(*files), client) == ("TLSv1.3", "http/1.1")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shake_hands(server_context(*map(str, files)), client)[0] == "TLSv1.2"


def test_a_client_that_trusts_nobody_does_not(files):
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server_context(*files), ssl.create_default_context())


def test_nothing_older_than_1_2_is_spoken(files):
    context = server_context(*files)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


def private(path, data):
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def why(cert, key):
    with pytest.raises(ConfigError) as refused:
        server_context(cert, key)
    return str(refused.value)


def test_files_that_cannot_serve_are_named_with_the_reason(files, tmp_path):
    cert, key = files
    nothing = tmp_path / "none.pem"
    assert why(nothing, key) == (
        f"gateway.tls_cert_file {nothing} cannot be read: No such file or directory"
    )
    assert why(cert, nothing).startswith(f"gateway.tls_key_file {nothing} cannot be read")
    assert "cannot be read" in why(cert, tmp_path)
    noise = private(tmp_path / "noise.pem", b"noise")
    assert f"gateway.tls_cert_file {noise} holds no certificate" in why(noise, key)
    assert f"gateway.tls_key_file {noise} holds no private key" in why(cert, noise)
    wide = private(tmp_path / "wide.pem", key.read_bytes())
    wide.chmod(0o640)
    assert f"{wide} is open to others (mode bits 040): chmod 600 it" in why(cert, wide)


def test_the_key_must_be_the_certificates(files, tmp_path):
    certificate(tmp_path)
    other = tmp_path / "key.pem"
    assert f"{other} is not the key of gateway.tls_cert_file" in why(files[0], other)


def test_a_key_with_a_passphrase_is_refused_without_asking_for_it(files, tmp_path, monkeypatch):
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "pkey", "-in", files[1], "-aes256", "-passout", "pass:x", "-out", locked],
        check=True,
        capture_output=True,
    )
    locked.chmod(0o600)
    asks, load = [], ssl.SSLContext.load_cert_chain

    def spied(context, cert, key, password=None):
        asks.append(password is None)  # then OpenSSL asks the terminal of whoever runs this
        load(context, cert, key, password or (lambda: ""))

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spied)
    assert "without a passphrase" in why(files[0], locked)
    assert asks == [False]
