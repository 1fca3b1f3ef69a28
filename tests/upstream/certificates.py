"""Certificates for tests, made with the openssl command: an authority and what it signed, good and bad.

    certificates = Certificates(tmp_path)
    ScriptedServer(tls=certificates.context("good"))  # to be trusted with certificates.authority
"""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

HERE = "IP:127.0.0.1,DNS:localhost"
# All but the first are bad, each in its own way.
NAMES = (
    "good", "wrong-host", "expired", "not-yet-valid", "self-signed", "unknown-authority", "client-only",
    "signed-by-leaf", "missing-link", "weak-key",
)  # fmt: skip
BAD_NAMES = NAMES[1:]
AUTHORITY_USE = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")


class Certificates:
    def __init__(self, folder: Path):
        self.folder = folder
        self.authority = folder / "authority.pem"
        self._root("authority", *AUTHORITY_USE)
        self._root("stranger", *AUTHORITY_USE)
        self._root("self-signed", "-addext", f"subjectAltName={HERE}", subject="/CN=127.0.0.1")
        self._sign("good", HERE)
        self._sign("wrong-host", "DNS:example.org")
        self._sign("unknown-authority", HERE, issuer="stranger")
        self._sign("client-only", HERE, use="extendedKeyUsage=clientAuth")
        self._sign("signed-by-leaf", HERE, issuer="good")
        self._sign("link", HERE, use="basicConstraints=critical,CA:TRUE")
        self._sign("missing-link", HERE, issuer="link")
        self._sign("weak-key", HERE, key=("genrsa", "-out", "weak-key.key", "1024"))
        self._sign_between("expired", "20200101000000Z", "20200201000000Z")
        self._sign_between("not-yet-valid", "20490101000000Z", "20490201000000Z")

    def context(self, name: str, **settings: object) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if name == "weak-key":
            context.set_ciphers("ALL:@SECLEVEL=0")
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        for setting, value in settings.items():
            setattr(context, setting, value)
        return context

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def _new_key(self, name: str) -> None:
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")

    def _root(self, name: str, *extensions: str, subject: str = "") -> None:
        self._new_key(name)
        subject = subject or f"/CN=test {name}"
        self._openssl("req", "-x509", "-new", "-key", f"{name}.key", "-subj", subject, "-days", "30", *extensions,
                      "-out", f"{name}.pem")  # fmt: skip

    def _ask(self, name: str, extensions: str, key: tuple[str, ...] = ()) -> None:
        if key:
            self._openssl(*key)
        else:
            self._new_key(name)
        self._openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr")
        (self.folder / f"{name}.ext").write_text(extensions)

    def _sign(
        self, name: str, host: str, issuer: str = "authority", use: str = "", key: tuple[str, ...] = ()
    ) -> None:
        self._ask(name, f"subjectAltName={host}\n{use}\n", key)
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key",
                      "-CAcreateserial", "-extfile", f"{name}.ext", "-days", "30", "-out", f"{name}.pem")  # fmt: skip

    def _sign_between(self, name: str, begin: str, end: str) -> None:
        """Only `openssl ca` of OpenSSL 3.0 takes a beginning; it keeps a register."""
        self._ask(name, f"subjectAltName={HERE}\n")
        (self.folder / "register").mkdir(exist_ok=True)
        (self.folder / "index.txt").touch()
        serial = self.folder / "serial"
        if not serial.exists():
            serial.write_text("01\n")
        (self.folder / "ca.conf").write_text(
            "[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=register\n"
            "default_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n"
        )
        self._openssl(
            "ca", "-batch", "-config", "ca.conf", "-in", f"{name}.csr", "-cert", "authority.pem", "-keyfile",
            "authority.key", "-extfile", f"{name}.ext", "-startdate", begin, "-enddate", end, "-out", f"{name}.pem",
        )  # fmt: skip
