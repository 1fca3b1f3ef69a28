"""Runs build/*/replay/chat-replay; sandboxes end with the test run."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-or-v1-test"


def replay_path() -> Path:
    """The program of the build folder that CHAT_BUILD names; build/dev by default."""
    return ROOT / os.environ.get("CHAT_BUILD", "build/dev") / "replay/chat-replay"


def replay(*arguments: str, timeout_s: float = 60, **options) -> subprocess.CompletedProcess:
    options = {"capture_output": True, "text": True, **options}
    return subprocess.run([replay_path(), *arguments], timeout=timeout_s, **options)


@contextmanager
def sandbox(*arguments: str) -> Iterator[dict[str, str]]:
    """A running sandbox: the addresses it printed. It is stopped by SIGTERM and has to end with 0 and no word of
    complaint (a sanitizer's report would be one)."""
    process = subprocess.Popen(
        [replay_path(), "sandbox", "--for", "300s", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    talk: list[str] = []
    reader = threading.Thread(target=lambda: talk.extend(process.stderr))
    reader.start()
    try:
        wanted = 1 if "--only" in arguments else 2
        addresses = dict(process.stdout.readline().rstrip("\n").partition("=")[::2] for _ in range(wanted))
        assert all(addresses.values()), f"the sandbox did not start: {addresses} {talk}"
        yield addresses
    finally:
        process.terminate()
        process.wait(30)
        reader.join(10)
        process.stdout.close()
        process.stderr.close()
    assert (process.returncode, talk) == (0, [])


def journal(path: Path) -> list[dict]:
    """All lines that are there; the stand-in writes them before it goes to sleep."""
    return [json.loads(line) for line in path.read_text().splitlines()]
