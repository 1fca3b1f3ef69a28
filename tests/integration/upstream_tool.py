"""Drives build/*/tests/tools/upstream_tool: orders for a scripted server in, one result a call out."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 120


@dataclass
class Run:
    results: list[dict]  # by id
    order: list[int]  # ids as they came back
    summary: dict
    stdout: str
    stderr: str


def tool_path() -> Path:
    """The tool of the build folder that CHAT_BUILD names; build/dev by default."""
    return ROOT / os.environ.get("CHAT_BUILD", "build/dev") / "tests/tools/upstream_tool"


def _arguments(options: dict[str, object]) -> list[str]:
    arguments = []
    for name, value in options.items():
        arguments += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    return arguments


def start(url: str, *orders: dict, environment: dict[str, str] | None = None, **options: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error; one call an order when `calls` is not given."""
    options.setdefault("calls", max(1, len(orders)))
    bodies = [part for order in orders for part in ("--body", json.dumps(order))]
    done = subprocess.run(
        [tool_path(), "--url", url, *_arguments(options), *bodies],
        capture_output=True, text=True, timeout=LIMIT_S, env=os.environ | (environment or {}),
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def run(url: str, *orders: dict, environment: dict[str, str] | None = None, **options: object) -> Run:
    """Calls with these orders in turn. Fails when the tool does, which includes leaks and data races in builds that
    look for them, and checks what holds for every run: each call comes back once, and no descriptor is left."""
    code, stdout, stderr = start(url, *orders, environment=environment, **options)
    assert code == 0, stderr[-4000:]
    lines = [json.loads(line) for line in stdout.splitlines()]
    *results, summary = lines
    ids = [result["id"] for result in results]
    assert len(ids) == len(set(ids))
    if "stop_after" not in options and "bench" not in options:
        assert sorted(ids) == list(range(1, len(ids) + 1))
        assert summary["calls"] == len(ids)
    assert summary["fds_left"] == 0
    return Run(sorted(results, key=lambda result: result["id"]), ids, summary, stdout, stderr)


def reasons(done: Run) -> list[str]:
    return [result["reason"] for result in done.results]
