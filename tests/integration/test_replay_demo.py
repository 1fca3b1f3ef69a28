"""`chat-replay demo`: holds with a good worker, and fails, saying why, when a promise is broken."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest
from replay_tool import replay, replay_path

TITLES = ["answered", "first turn", "second turn", "retried", "second model", "fallback", "rejected", "tool call"]


def lines_of(done: subprocess.CompletedProcess, mark: str) -> list[str]:
    """The titles of all lines with this mark, in their order."""
    return [line[7:21].strip() for line in done.stdout.splitlines() if line.startswith(f"{mark} ")]


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_every_promise_holds(tmp_path) -> None:
    done = replay("demo", env={**os.environ, "TMPDIR": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert lines_of(done, "sent") == TITLES
    held = lines_of(done, "ok")
    assert sorted(held) == sorted([*TITLES, "dead letter", "shutdown", "replies"])
    assert held.index("first turn") < held.index("second turn")
    assert held.index("answered") < held.index("fallback"), "nobody waits for the stalled one"
    assert held.index("retried") < held.index("fallback"), "nor does one that is called again"
    assert "11 of 11 promises held." in done.stdout
    assert "\033" not in done.stdout, "colours are for terminals"
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [("upstream", "reason: wanted -, got connect"), ("key", "reason: wanted -, got auth"), ("worker", "exit code 137")],
)
def test_broken_promise_fails_and_is_named(kind, complaint) -> None:
    done = replay("demo", "--break", kind)
    assert done.returncode == 1
    assert "BROKEN" in done.stdout and complaint in done.stdout
    assert "end of the worker's log" in done.stderr


def test_worker_that_cannot_start_is_told(tmp_path) -> None:
    worker = program(tmp_path / "worker", "#!/bin/sh\necho 'no such setting' >&2\nexit 78\n")
    done = replay("demo", "--worker", str(worker))
    assert done.returncode == 1
    assert "chat-worker ended with exit code 78" in done.stderr and "no such setting" in done.stderr


def test_missing_worker_is_told(tmp_path) -> None:
    done = replay("demo", "--worker", str(tmp_path / "nothing"))
    assert done.returncode == 1 and "chat-worker is not there" in done.stderr


def test_worker_gets_its_settings_and_the_standins_key_only(tmp_path) -> None:
    """A worker of a few lines that tells what it was given, and ends."""
    worker = program(tmp_path / "worker", '#!/bin/sh\necho "$@" >&2\nenv | sort >&2\ncat "$3" >&2\nexit 1\n')
    environment = {
        "PATH": os.environ["PATH"],
        "OPENROUTER_API_KEY": "the-users-own",
        "OPENROUTER_API_KEY_FILE": "/nowhere",
        "CHAT_WORKER_LOG_LEVEL": "debug",
        "OTHER": "stays",
    }
    talk = replay("demo", "--worker", str(worker), env=environment).stderr
    assert "run -c " in talk and "OTHER=stays" in talk
    assert "OPENROUTER_API_KEY=sk-or-v1-standin" in talk
    for absent in ("the-users-own", "OPENROUTER_API_KEY_FILE", "CHAT_WORKER_LOG_LEVEL"):
        assert absent not in talk
    assert 'delivery = "at_least_once"' in talk and 'models = ["stand-in/first", "stand-in/second"]' in talk


def test_live_without_a_key_is_78() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENROUTER_API_KEY")}
    done = replay("demo", "--live", "Hello?", env=environment)
    assert done.returncode == 78 and "OPENROUTER_API_KEY" in done.stderr


def test_live_uses_the_users_key_and_the_real_address(tmp_path) -> None:
    worker = program(tmp_path / "worker", '#!/bin/sh\nenv | sort >&2\ncat "$3" >&2\nexit 1\n')
    done = replay(
        *("demo", "--live", "Hello?", "--model", "a/b", "--worker", str(worker)),
        env={"PATH": os.environ["PATH"], "OPENROUTER_API_KEY": "the-users-own"},
    )
    assert done.returncode == 1
    assert "OPENROUTER_API_KEY=the-users-own" in done.stderr and 'models = ["a/b"]' in done.stderr
    assert "base_url" not in done.stderr


@pytest.mark.parametrize("arguments", [["--break", "nothing"], ["--unknown"], ["operand"]])
def test_wrong_options_are_a_usage_error(arguments) -> None:
    done = replay("demo", *arguments)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize(("no_colour", "is_coloured"), [("", True), ("1", False)])
def test_colours_are_for_terminals_that_want_them(no_colour, is_coloured) -> None:
    """On a terminal; the killed worker makes it short."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [replay_path(), "demo", "--break", "worker"],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": no_colour},
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # the terminal's other side is closed
        pass
    os.close(ours)
    assert process.wait(30) == 1
    assert (b"\033[" in shown) is is_coloured and b"BROKEN" in shown
