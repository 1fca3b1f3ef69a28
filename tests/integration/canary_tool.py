"""Where a key could come out, collected for the scanner (tests/canary.py): one function a sink. And the fixtures of the tests
that look there."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import BUILD, ROOT, Broker, Site, Worker, free_port, read_topic

sys.path.insert(0, str(ROOT / "tests/upstream"))
from echo_server import EchoServer  # noqa: E402

_numbers = itertools.count(1)
LEAKY = BUILD / "tests/tools/leaky_worker"
NOBODY = 65534
# Of a data folder: offsets and times, in files that are as large as they may become.
NUMBERS_ONLY = (".index", ".timeindex")


class Tap:
    """Passes TCP on to another port of this host and keeps what went by, each way of each connection by itself."""

    def __init__(self, target: Callable[[], int], port: int = 0) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._ways: list[bytearray] = []
        self._is_over = False
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Tap:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._listener.close()

    def bytes(self) -> bytes:
        return b"\n\n".join(bytes(each) for each in self._ways)

    def forget(self) -> None:
        for way in self._ways:
            way.clear()

    def _accept(self) -> None:
        while not self._is_over:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target()))
            except OSError:
                continue
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        kept = bytearray()
        self._ways.append(kept)
        try:
            while data := source.recv(1 << 16):
                kept += data
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@dataclass
class TappedSite(Site):
    """Workers reach Kafka through a tap; the test's own clients do not."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.bootstrap = self.broker.internal_bootstrap

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "kafka.bootstrap_servers": self.broker.bootstrap}


@pytest.fixture(scope="module")
def tapped(tmp_path_factory) -> Iterator[tuple[Broker, Tap]]:
    with Broker(tmp_path_factory.mktemp("kafka"), advertised_port=free_port()) as broker:
        with Tap(lambda: broker.port, broker.advertised_port) as tap:
            yield broker, tap


@pytest.fixture
def site(tapped) -> TappedSite:
    return TappedSite(tapped[0], f"canary{next(_numbers)}")


@pytest.fixture
def service() -> Iterator[EchoServer]:
    with EchoServer() as server:
        yield server


def output_of(arguments: Iterable[Any], environment: dict[str, str], program: Path = Worker.program,
              folder: Path | None = None) -> bytes:
    """What a program says on stdout and stderr until it ends by itself."""
    kept = {"PATH": os.environ["PATH"], **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}}
    done = subprocess.run([program, *map(str, arguments)], env={**kept, **environment}, capture_output=True, timeout=60,
                          check=False, cwd=folder)
    return b"%d\n%s\n%s" % (done.returncode, done.stdout, done.stderr)


def process_files(pid: int) -> dict[str, bytes]:
    return {f"/proc/PID/{name}": Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline")}


def admin_answers(port: int) -> dict[str, bytes]:
    """The whole answers, status line and headers included, of all paths and in both forms of the metrics."""
    asked = {"/healthz": "", "/readyz": "", "/metrics": "", "/nothing": "",
             "/metrics, OpenMetrics": "accept: application/openmetrics-text\r\n"}
    found = {}
    for name, header in asked.items():
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            path = name.partition(",")[0]
            connection.sendall(f"GET {path} HTTP/1.0\r\n{header}\r\n".encode())
            found[name] = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    return found


def record_bytes(records: Iterable[Any]) -> bytes:
    """Keys, values and headers; a part after the other, so that none runs into the next."""
    parts: list[bytes] = []
    for record in records:
        parts += [record.key or b"", record.value or b""]
        for name, value in record.headers:
            parts += [name.encode(), value or b""]
    return b"\n\n".join(parts)


def topics_and_offsets(site: Site) -> dict[str, bytes]:
    return {
        "replies": record_bytes(read_topic(site.bootstrap, site.responses, "read_uncommitted")),
        "dead letters": record_bytes(read_topic(site.bootstrap, site.dead_letters, "read_uncommitted")),
        "committed metadata": "\n\n".join(text for _, text in site.committed().values()).encode(),
    }


def broker_disk(broker: Any) -> dict[str, bytes]:
    """All that the broker keeps, whatever topic it belongs to, and its own log."""
    parts = [path.read_bytes() for path in sorted(broker.data.rglob("*"))
             if path.is_file() and not path.name.endswith(NUMBERS_ONLY)]
    return {"broker's files": b"\n\n".join(parts), "broker's log": broker.log.read_bytes()}


def as_nobody() -> dict[str, Any]:
    """Options of subprocess: root may look into every process, so what an equal may do is tried by somebody else."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


READ_MEMORY = """
import sys
for line in open(f"/proc/{sys.argv[1]}/maps"):
    begin, end = (int(each, 16) for each in line.split()[0].split("-"))
    if "rw" not in line.split()[1] or end - begin > 1 << 27: continue
    with open(f"/proc/{sys.argv[1]}/mem", "rb") as memory:
        memory.seek(begin)
        try: sys.stdout.buffer.write(memory.read(end - begin))
        except OSError: pass
"""


def memory_read_by_an_equal(pid: int) -> tuple[int, bytes]:
    """Exit code and output of a process of the same user that reads the memory of this one, as a debugger would."""
    done = subprocess.run(["/usr/bin/python3", "-c", READ_MEMORY, str(pid)], capture_output=True, timeout=60, check=False,
                          **as_nobody())
    return done.returncode, done.stdout


ATTACH = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
pid = int(sys.argv[1])
if libc.ptrace(PTRACE_ATTACH, pid, None, None) != 0: sys.exit(1)
os.waitpid(pid, 0)
libc.ptrace(PTRACE_DETACH, pid, None, None)
"""


def is_attach_refused(pid: int) -> bool:
    """May a process of the same user not become the tracer of this one, as gcore has to?"""
    return subprocess.run(["/usr/bin/python3", "-c", ATTACH, str(pid)], timeout=60, check=False, **as_nobody()).returncode == 1
