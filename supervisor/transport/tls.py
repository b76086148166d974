"""TLS from files: a certificate and its private key, and one sentence for whatever is wrong with them."""

from __future__ import annotations

import ssl
from os import PathLike, fspath

from supervisor.errors import ApplicationError

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_KEY = b"PRIVATE KEY-----"
_OF_ANOTHER = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""What OpenSSL calls it where a key is that of another certificate; the last one, if it is of another kind too."""


def make_ssl_context(certfile: str | PathLike[str], keyfile: str | PathLike[str] | None = None) -> ssl.SSLContext:
    """What `Server(ssl_context=…)` takes, of PEM files: TLS 1.2 or newer.

    Args:
        certfile: the server's certificate, followed by those that lead to one which browsers know.
        keyfile: its private key, without a passphrase; None if the certificate's file has it too.

    Raises:
        ApplicationError: one sentence names the file, and what is wrong with it.
    """
    certificate, key = fspath(certfile), fspath(certfile if keyfile is None else keyfile)
    if _CERTIFICATE not in _read(certificate, "certificate"):
        raise ApplicationError(
            f"the file {certificate} has no certificate in it: PEM begins with {_CERTIFICATE.decode()}"
        )
    if _KEY not in _read(key, "private key"):
        where = "; name the key's own file too" if keyfile is None else ": PEM begins with -----BEGIN PRIVATE KEY-----"
        raise ApplicationError(f"the file {key} has no private key in it{where}")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except _Encrypted as error:
        raise ApplicationError(
            f"the private key in {key} has a passphrase, which the server can't ask for; "
            f"write a key without one: openssl pkey -in {key} -out NEW_FILE"
        ) from error
    except ssl.SSLError as error:
        if error.reason in _OF_ANOTHER:
            raise ApplicationError(
                f"the private key in {key} is not that of the certificate in {certificate}"
            ) from error
        reason = f" ({error.reason.lower().replace('_', ' ')})" if error.reason else ""
        raise ApplicationError(
            f"the certificate in {certificate} or the private key in {key} is damaged, or of an unsupported kind"
            f"{reason}"
        ) from error
    return context


class _Encrypted(Exception):
    """The key has a passphrase."""


def _no_passphrase() -> str:
    # Without this OpenSSL would ask at the terminal, and wait.
    raise _Encrypted


def _read(file: str, what: str) -> bytes:
    try:
        with open(file, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise ApplicationError(f"the {what} file {file} can't be read: {error.strerror}") from error
