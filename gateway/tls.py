"""TLS of whatever clients connect to: certificate files in, a context out."""

import ssl
import stat
from pathlib import Path

from engine.errors import ConfigError


def server_context(cert: Path | str, key: Path | str) -> ssl.SSLContext:
    """Return a context that serves with this certificate, TLS 1.2 or newer.

    Parameters
    ----------
    cert
        Certificate chain, PEM, ours first.
    key
        Its private key, PEM, without a passphrase, mode 0600.

    Raises
    ------
    ConfigError
        Says which file, and why it cannot be used.
    """
    cert, key = Path(cert).expanduser(), Path(key).expanduser()
    _need_readable("gateway.tls_cert_file", cert)
    mode = _need_readable("gateway.tls_key_file", key) & 0o077
    if mode:
        raise ConfigError(
            f"gateway.tls_key_file {key} is open to others (mode bits {mode:03o}): chmod 600 it"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a client could make us work for nothing
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A passphrase would be asked for on the terminal of a process that has none.
        context.load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError(_why(error, cert, key)) from None
    return context


def _need_readable(name: str, path: Path) -> int:
    """Return the mode of a file that can be opened."""
    try:
        with path.open("rb") as file:
            file.read(1)
            return stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise ConfigError(f"{name} {path} cannot be read: {error.strerror}") from None


def _why(error: Exception, cert: Path, key: Path) -> str:
    """Tell which of the two files it was; OpenSSL does not."""
    reason = getattr(error, "reason", None) or ""
    if reason == "KEY_VALUES_MISMATCH":
        return f"gateway.tls_key_file {key} is not the key of gateway.tls_cert_file {cert}"
    probe = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        probe.load_verify_locations(cert)
    except (ssl.SSLError, OSError, ValueError):
        return f"gateway.tls_cert_file {cert} holds no certificate in PEM"
    return (
        f"gateway.tls_key_file {key} holds no private key in PEM that opens without a passphrase"
        + (f" ({reason})" if reason else "")
    )
