"""A hostile environment: variables that make libraries write TLS keys, take other credentials or go through a proxy."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import harness
import pytest
from harness import ROOT, chat

sys.path.insert(0, str(ROOT / "tests/upstream"))
from certificates import Certificates  # noqa: E402
from echo_server import EchoServer  # noqa: E402


class Trap:
    """A port that nobody has reason to connect to."""

    def __init__(self) -> None:
        self.visitors = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                visitor, _ = self._listener.accept()
            except OSError:
                return
            self.visitors += 1
            visitor.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def trap() -> Iterator[Trap]:
    trap = Trap()
    yield trap
    trap.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def hostile(variable: str, trap: Trap, folder: Path) -> dict[str, str]:
    if variable == "SSLKEYLOGFILE":
        return {variable: str(folder / "tls-keys")}
    if variable in ("NETRC", "HOME"):
        for name in (".netrc", "_netrc"):
            (folder / name).write_text("machine 127.0.0.1 login thief password swag\n")
        return {variable: str(folder / ".netrc" if variable == "NETRC" else folder)}
    scheme = "socks5h" if variable.lower() == "all_proxy" else "http"
    return {variable: f"{scheme}://{trap.address}", "no_proxy": "example.org", "NO_PROXY": "example.org"}


@pytest.mark.parametrize("variable", ["SSLKEYLOGFILE", "NETRC", "HOME", "https_proxy", "HTTPS_PROXY", "http_proxy",
                                      "all_proxy", "ALL_PROXY"])
def test_worker_in_a_hostile_environment_calls_the_service_and_nobody_else(
        variable, make_worker, certificates, trap, tmp_path, producer, replies):
    tls = None if variable == "http_proxy" else certificates.context("good")
    with EchoServer({harness.KEY}, tls) as service:
        worker = make_worker(service.url, openrouter__ca_file=str(certificates.authority))
        worker.environment = hostile(variable, trap, tmp_path)
        worker.start()
        producer.send_all([chat("r0", "c0", "Hello")])
        assert replies.wait(1)[0].body["outcome"] == "answered"
        assert {each.key for each in service.seen} == {harness.KEY}
    assert trap.visitors == 0
    assert not (tmp_path / "tls-keys").exists()


FETCH = """
import ssl, sys, urllib.request
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler())
try: opener.open(urllib.request.Request(sys.argv[1], headers={"authorization": "Bearer x"}), timeout=10)
except OSError: pass
"""


def test_traps_of_a_hostile_environment_catch_who_heeds_it(certificates, trap, tmp_path):
    """The check of the checks: a client that heeds these variables is caught by the same traps."""
    for variable, tls in (("SSLKEYLOGFILE", certificates.context("good")), ("http_proxy", None)):
        with EchoServer(None, tls) as service:
            environment = {"PATH": os.environ["PATH"], **hostile(variable, trap, tmp_path)}
            subprocess.run([sys.executable, "-c", FETCH, f"{service.url}/key"], env=environment, timeout=60, check=True)
    assert trap.visitors == 1
    assert (tmp_path / "tls-keys").stat().st_size > 0
