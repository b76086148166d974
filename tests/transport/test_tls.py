"""Certificates and keys from files: what is taken, and the sentence for what isn't."""

import ssl

import pytest
import trio
import trustme

from supervisor.errors import ApplicationError
from supervisor.transport.tls import make_ssl_context

# Nobody's key: openssl genpkey -algorithm ed25519 | openssl pkcs8 -topk8 -v2 aes-256-cbc -passout pass:x
ENCRYPTED = """
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAj/Jnya45fPHgICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEELHUtga8D+QWeOuPdyTNbxAEQF8C
2GPiX88QQS3qkB61LmWeS21mnmJxyZ1Ojys0sjM3aY97a0vzJ2jO1V4SmzlFVAMb
1rvTG7Xa6Cb0KCPbS0E=
-----END ENCRYPTED PRIVATE KEY-----
"""


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def files(tmp_path, authority):
    """(certificate, key) of localhost."""
    issued = authority.issue_cert("localhost")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return certificate, key


def refused(*arguments):
    with pytest.raises(ApplicationError) as error:
        make_ssl_context(*arguments)
    text = str(error.value)
    assert "\n" not in text
    return text


async def greet(context, authority):
    """A handshake with a client that knows the authority."""
    theirs = ssl.create_default_context()
    authority.configure_trust(theirs)
    left, right = trio.testing.memory_stream_pair()
    client = trio.SSLStream(left, theirs, server_hostname="localhost")
    server = trio.SSLStream(right, context, server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.do_handshake)
        await client.do_handshake()
    return client.version()


async def test_a_browser_that_knows_the_authority_gets_a_modern_connection(files, authority):
    context = make_ssl_context(*files)
    assert await greet(context, authority) == "TLSv1.3"
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


async def test_one_file_may_have_both(files, authority):
    certificate, key = files
    certificate.write_bytes(key.read_bytes() + certificate.read_bytes())
    assert await greet(make_ssl_context(certificate), authority)


def test_a_file_that_is_not_there_is_named(files, tmp_path):
    certificate, _ = files
    none = tmp_path / "none.pem"
    assert f"certificate file {none} can't be read: No such file" in refused(none)
    assert f"private key file {none} can't be read: No such file" in refused(certificate, none)
    assert "Is a directory" in refused(tmp_path)


@pytest.mark.parametrize("kind", trustme.KeyType)
def test_a_key_of_another_certificate_is_told_as_such(files, tmp_path, kind):
    """Also one of another kind, which OpenSSL doesn't even compare."""
    certificate, _ = files
    other = tmp_path / "other.pem"
    other.write_bytes(trustme.CA().issue_cert("localhost", key_type=kind).private_key_pem.bytes())
    assert f"the private key in {other} is not that of the certificate in {certificate}" in refused(certificate, other)


def test_files_in_each_others_place_and_without_what_they_should_have(files):
    certificate, key = files
    assert f"{key} has no certificate in it" in refused(key, certificate)
    assert f"{certificate} has no private key in it" in refused(certificate, certificate)
    assert f"{certificate} has no private key in it; name the key's own file too" in refused(certificate)


def test_a_damaged_file_is_named(files):
    certificate, key = files
    key.write_text("-----BEGIN PRIVATE KEY-----\nrubbish\n-----END PRIVATE KEY-----\n")
    text = refused(certificate, key)
    assert str(key) in text
    assert "damaged" in text
    assert "ssl" not in text.lower().replace(str(key).lower(), "")


def test_a_key_with_a_passphrase_asks_nobody(files):
    certificate, key = files
    key.write_text(ENCRYPTED)
    text = refused(certificate, key)
    assert f"the private key in {key} has a passphrase" in text
    assert f"openssl pkey -in {key}" in text
