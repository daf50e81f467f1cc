"""Closes SeaweedFS's own ports: each asks for a certificate that only its own parts hold.

Master, volume server, filer and the S3 gateway's gRPC ask for no password by themselves and go
around the keys of S3. ``python -m spatialreward.stack.mutual_tls DIR`` writes the same files for
docker-compose.yml.
"""

import argparse
import datetime
import ipaddress
from pathlib import Path

from spatialreward.stack.endpoints import write_private

CERTIFICATE, KEY, SETTINGS = "cert.pem", "key.pem", "security.toml"
_LISTENING = {
    "grpc": ("master", "volume", "filer", "s3"),
    "https": ("master", "volume", "filer"),
}
_VALID = datetime.timedelta(days=3650)


def write_mutual_tls(folder: Path) -> None:
    """Write a fresh certificate, its key and SeaweedFS's settings for both, for their owner only.

    The settings name the files relative to ``folder``: SeaweedFS is to be started there, where it
    finds the settings by itself. The certificate is for 127.0.0.1.
    """
    certificate, key = _self_signed()
    write_private(folder / CERTIFICATE, certificate)
    write_private(folder / KEY, key)
    write_private(folder / SETTINGS, _settings())


def _settings() -> str:
    pair = f'cert = "{CERTIFICATE}"\nkey = "{KEY}"\n'
    trusted = f'ca = "{CERTIFICATE}"\n'
    sections = [f"[grpc]\n{trusted}", f"[grpc.client]\n{pair}"]
    sections += [f"[grpc.{part}]\n{pair}" for part in _LISTENING["grpc"]]
    sections += [f"[https.client]\nenabled = true\n{pair}{trusted}"]
    sections += [f"[https.{part}]\n{pair}{trusted}" for part in _LISTENING["https"]]
    return "".join(sections)


def _self_signed() -> tuple[str, str]:
    """A certificate that vouches for itself, and its key, both as PEM.

    Built with ``cryptography`` itself: the authority and the certificate are one file here, where
    trustme makes two, and trustme is meant for tests.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "seaweedfs")])
    now = datetime.datetime.now(datetime.UTC)
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks differ a little.
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def main() -> None:
    """Write the files to a folder, unless they are there: a running SeaweedFS may use them."""
    parser = argparse.ArgumentParser(
        prog="python -m spatialreward.stack.mutual_tls", description=main.__doc__
    )
    parser.add_argument("folder", type=Path, help="where SeaweedFS will be started")
    folder = parser.parse_args().folder
    if not (folder / SETTINGS).exists():
        write_mutual_tls(folder)


if __name__ == "__main__":
    main()
