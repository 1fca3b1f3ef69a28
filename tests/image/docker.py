"""Docker for the tests of the image: the daemon that is there, or our own; images pulled, or made here."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
FOLDER = CACHE / "docker"
KAFKA_VERSION = "4.1.1"
BASE_IMAGE = "debian:trixie-slim"
KAFKA_IMAGE = f"apache/kafka:{KAFKA_VERSION}"
PR_SET_PDEATHSIG = 1
OUTPUT_MAX = 10_000


# What a table is like that iptables-save does not mention: there, but empty.
EMPTY_TABLES = {
    "filter": "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n",
    "nat": "*nat\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\nCOMMIT\n",
}


class CommandFailed(AssertionError):
    """A command ended with an error; the message has the end of what it printed."""


def run(*command: str, timeout_s: float = 900, env: dict[str, str] | None = None, check: bool = True, **options):
    """Runs a command to its end and returns it with its output, the end of which is in the error when it fails."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if options.pop("apart", False) else subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        env={**os.environ, **(env or {})},
        **options,
    )
    if check and done.returncode != 0:
        output = done.stdout + (done.stderr or "")
        raise CommandFailed(f"{' '.join(command)}: exit {done.returncode}\n{output[-OUTPUT_MAX:]}")
    return done


class Daemon:
    """Our own dockerd below .cache/docker. It ends with the thread that started it, and its network rules with it."""

    def __init__(self) -> None:
        self.address = f"unix://{FOLDER / 'docker.sock'}"
        self.process: subprocess.Popen[bytes] | None = None
        self.rules = ""

    def start(self) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.rules = run("iptables-save", apart=True).stdout
        self.rules += "".join(empty for name, empty in EMPTY_TABLES.items() if f"*{name}\n" not in self.rules)
        with (FOLDER / "dockerd.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "dockerd",
                    *("--data-root", str(FOLDER / "data")),
                    *("--exec-root", str(FOLDER / "exec")),
                    *("--pidfile", str(FOLDER / "pid")),
                    *("--host", self.address),
                    *("--log-level", "warn"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
            )
        end = time.monotonic() + 30
        while not answers(self.address):
            if self.process.poll() is not None or time.monotonic() > end:
                raise CommandFailed(f"dockerd did not start:\n{(FOLDER / 'dockerd.log').read_text()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends the daemon. Layers that no image has any more go first, so that repeated runs do not fill the disk."""
        if self.process is None:
            return
        run("docker", "image", "prune", "--force", env={"DOCKER_HOST": self.address}, check=False)
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        subprocess.run(["ip", "link", "delete", "docker0"], capture_output=True)
        subprocess.run(["iptables-restore"], input=self.rules, text=True, check=True)


def answers(address: str | None = None) -> bool:
    """Whether a daemon answers at the address, or at the one the environment names."""
    env = {"DOCKER_HOST": address} if address else None
    return run("docker", "version", env=env, check=False, timeout_s=20).returncode == 0


def wait_until(what: str, is_so: Callable[[], bool], timeout_s: float) -> None:
    """Asks again and again until `is_so()`; fails naming `what` after `timeout_s`."""
    end = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.2)


def has_image(name: str) -> bool:
    return run("docker", "image", "inspect", name, check=False).returncode == 0


def inspect(name: str) -> dict:
    return json.loads(run("docker", "image", "inspect", name, apart=True).stdout)[0]


def pull(name: str) -> bool:
    """Whether the image could be pulled; a machine without a way to the registry soon says no."""
    try:
        return run("docker", "pull", "-q", name, check=False, timeout_s=300).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def need_base_image() -> None:
    if has_image(BASE_IMAGE) or pull(BASE_IMAGE):
        return
    rootfs = FOLDER / "rootfs"
    shutil.rmtree(rootfs, ignore_errors=True)
    mirror = run(str(ROOT / "scripts" / "setup"), "mirror", apart=True).stdout.strip()
    run("debootstrap", "--variant=minbase", "--include=ca-certificates", "trixie", str(rootfs), mirror)
    for leftover in (*(rootfs / "var/cache/apt/archives").glob("*.deb"), *(rootfs / "var/lib/apt/lists").glob("*_*")):
        leftover.unlink()
    tar = subprocess.Popen(["tar", "-C", str(rootfs), "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(
        ["docker", "import", "-c", 'CMD ["bash"]', "-", BASE_IMAGE], stdin=tar.stdout, check=True, capture_output=True
    )
    assert tar.wait() == 0, "the base image was packed in part only"
    shutil.rmtree(rootfs)


def need_kafka_image() -> None:
    if has_image(KAFKA_IMAGE) or pull(KAFKA_IMAGE):
        return
    run(str(ROOT / "scripts" / "setup"), "kafka", KAFKA_VERSION)
    context = FOLDER / "kafka"
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(Path(__file__).parent / "kafka", context)
    shutil.copytree(CACHE / f"kafka-{KAFKA_VERSION}" / "libs", context / "libs")
    run("docker", "build", "-t", KAFKA_IMAGE, str(context))
    shutil.rmtree(context)


def compose_command() -> list[str]:
    """`docker compose` where it is there, else Debian's docker-compose."""
    if run("docker", "compose", "version", check=False).returncode == 0:
        return ["docker", "compose"]
    return ["docker-compose"]
