"""Secrets of one lab: SSH keys, certificates, passwords. All fresh at every `up`, none in the source."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


@dataclass(frozen=True)
class KeyPair:
    """An SSH key: `private` in OpenSSH's format, `public` as one line without comment."""

    private: str
    public: str


@dataclass(frozen=True)
class Certificate:
    """PEM texts."""

    certificate: str
    key: str


@dataclass(frozen=True)
class Material:
    """Everything secret, by purpose. `host_keys`, `files_keys` and `certificates` are by host name."""

    operator: KeyPair
    host_keys: dict[str, KeyPair]
    files_keys: dict[str, KeyPair]
    authority: str
    certificates: dict[str, Certificate]
    front_door: Certificate
    passwords: dict[str, str] = field(repr=False)


def ssh_key() -> KeyPair:
    """Return a fresh ed25519 key without a passphrase."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return KeyPair(private.decode(), public.decode())


class Authority:
    """The lab's own certification authority; its key is forgotten when `up` ends."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._sign("lpse-dr lab authority", self._key, [], [], authority=True)

    @property
    def pem(self) -> str:
        """The certificate that everybody trusts."""
        return _pem(self._certificate)

    def issue(self, name: str, names: Iterable[str], addresses: Iterable[str]) -> Certificate:
        """Return a server certificate for these DNS names and addresses."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, key, list(names), list(addresses), authority=False)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return Certificate(_pem(certificate), pem.decode())

    def _sign(
        self, name: str, key: EllipticCurvePrivateKey, names: list[str], addresses: list[str], *, authority: bool
    ) -> x509.Certificate:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.x509.oid import NameOID

        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        others: list[x509.GeneralName] = [x509.DNSName(text) for text in names]
        others += [x509.IPAddress(ipaddress.ip_address(text)) for text in addresses]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if authority else self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        # Python 3.13 checks by the letter of RFC 5280: key identifiers, and an authority that says what its key is for.
        own, signer = key.public_key(), self._key.public_key()
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
        if authority:
            builder = builder.add_extension(_signs_certificates(), critical=True)
        if others:
            builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _signs_certificates() -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def make(addresses: dict[str, list[str]], servers: Iterable[str], files: Iterable[str], domain: str) -> Material:
    """Make all keys of a lab. `addresses` is by host; `servers` need a certificate, `files` a stream key."""
    authority = Authority()
    return Material(
        operator=ssh_key(),
        host_keys={host: ssh_key() for host in addresses},
        files_keys={host: ssh_key() for host in files},
        authority=authority.pem,
        certificates={host: authority.issue(host, [host], addresses[host]) for host in servers},
        front_door=authority.issue(domain, [domain], []),
        passwords={
            "epns": secrets.token_urlsafe(24),
            "replicator": secrets.token_urlsafe(24),
            "backup": secrets.token_urlsafe(24),
            "tsig": base64.b64encode(secrets.token_bytes(32)).decode(),
            "fence": secrets.token_hex(32),
            "vault": secrets.token_urlsafe(24),
        },
    )
