"""Certificates for tests, made with the openssl command: an authority and what it signed, good and bad.

    certificates = Certificates(tmp_path)
    ScriptedServer(tls=certificates.context("good"))  # to be trusted with certificates.authority
"""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

# name → host in the certificate, days it is valid from now on
LEAVES = {"good": ("IP:127.0.0.1,DNS:localhost", 30), "wrong-host": ("DNS:example.org", 30)}


class Certificates:
    def __init__(self, folder: Path):
        self.folder = folder
        self.authority = folder / "authority.pem"
        self._new_key("authority")
        self._openssl(
            "req", "-x509", "-new", "-key", "authority.key", "-subj", "/CN=test authority", "-days", "30",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-out", "authority.pem",
        )  # fmt: skip
        for name, (host, days) in LEAVES.items():
            self._sign(name, host, "-days", str(days))
        self._sign("expired", "IP:127.0.0.1", "-not_before", "20200101000000Z", "-not_after", "20200201000000Z")
        self._new_key("self-signed")
        self._openssl(
            "req", "-x509", "-new", "-key", "self-signed.key", "-subj", "/CN=127.0.0.1", "-days", "30",
            "-addext", "subjectAltName=IP:127.0.0.1", "-out", "self-signed.pem",
        )  # fmt: skip

    def context(self, name: str, **settings: object) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        for setting, value in settings.items():
            setattr(context, setting, value)
        return context

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def _new_key(self, name: str) -> None:
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")

    def _sign(self, name: str, host: str, *validity: str) -> None:
        self._new_key(name)
        self._openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr")
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={host}\n")
        if "-days" in validity:
            self._openssl(
                "x509", "-req", "-in", f"{name}.csr", "-CA", "authority.pem", "-CAkey", "authority.key",
                "-CAcreateserial", "-extfile", f"{name}.ext", *validity, "-out", f"{name}.pem",
            )  # fmt: skip
            return
        # Only `openssl ca` of OpenSSL 3.0 takes a beginning in the past; it keeps a register.
        (self.folder / "register").mkdir(exist_ok=True)
        (self.folder / "index.txt").touch()
        (self.folder / "serial").write_text("01\n")
        (self.folder / "ca.conf").write_text(
            "[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=register\n"
            "default_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n"
        )
        begin, end = validity[1], validity[3]
        self._openssl(
            "ca", "-batch", "-config", "ca.conf", "-in", f"{name}.csr", "-cert", "authority.pem", "-keyfile",
            "authority.key", "-extfile", f"{name}.ext", "-startdate", begin, "-enddate", end, "-out", f"{name}.pem",
        )  # fmt: skip
