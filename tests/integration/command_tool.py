"""Runs the built chat-worker from outside, with a key that must never show.

The program is the one that CHAT_WORKER_BIN names, else that of the build folder CHAT_BUILD (build/dev).
"""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("CHAT_BUILD", "build/dev")
PROGRAM = os.environ.get("CHAT_WORKER_BIN", str(BUILD / "worker/chat-worker"))
CANARY = "sk-or-v1-" + "c0ffee" * 10
LIMIT_S = 5  # of one run; a start that is refused takes milliseconds

GOOD = {
    "kafka.bootstrap_servers": '"127.0.0.1:1"',
    "kafka.group_id": '"tests"',
    "openrouter.base_url": '"http://127.0.0.1:1/v1"',
    "openrouter.models": '["a/b", "c/d"]',
    "chat.deadline_ms": "8000",
    "admin.listen": '"127.0.0.1:0"',
}


def environment(**more):
    given = {"PATH": os.environ["PATH"], "OPENROUTER_API_KEY": CANARY}
    given.update({name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")})
    given.update(more)
    return {name: value for name, value in given.items() if value is not None}


def run(*arguments, env=None):
    """Runs the program to its end; its output never holds the key."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], env=environment() if env is None else env,
                          capture_output=True, timeout=LIMIT_S, check=False)
    done.out = done.stdout.decode()
    done.err = done.stderr.decode()
    assert CANARY not in done.out + done.err
    assert "c0ffeec0ffee" not in done.out + done.err
    return done


def write_settings(path, values):
    """A settings file with one setting a line; gives the line of each."""
    lines, text, number = {}, [], 0
    sections = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, []).append((key, name, value))
    for section, settings in sections.items():
        text.append(f"{section}: {{")
        number += 1
        for key, name, value in settings:
            text.append(f"  {name} = {value};")
            number += 1
            lines[key] = number
            number += value.count("\n")
        text.append("};")
        number += 1
    path.write_text("\n".join(text) + "\n")
    return lines
