"""The sandbox command: journal, addresses, options and its end."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from replay_tool import journal, replay, replay_path, sandbox
from standin_client import FIRST, SECOND, Client, wait_for


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with sandbox("--only", "openrouter") as addresses:
        yield Client(addresses["OPENROUTER_BASE_URL"])


@pytest.fixture
def journaled(tmp_path) -> Iterator[tuple[Client, object]]:
    path = tmp_path / "journal"
    with sandbox("--only", "openrouter", "--journal", str(path)) as addresses:
        yield Client(addresses["OPENROUTER_BASE_URL"]), path


# Journal


def test_journal_has_one_line_for_each_chat(journaled) -> None:
    client, path = journaled
    client.chat("one")
    client.chat("two [[503 once]]", SECOND)
    client.chat("three [[tool]]", stream=False)
    client.chat("no key", key=None)
    client.request("GET", "/api/v1/key")
    lines = wait_for(lambda: len(found := journal(path)) >= 3 and found)
    seen = [(line["text"], line["model"], line["behaviour"], line["status"], line["stream"]) for line in lines]
    assert seen == [
        ("one", FIRST, "answer", 200, True),
        ("two [[503 once]]", SECOND, "status", 503, True),
        ("three [[tool]]", FIRST, "tool", 200, False),
    ]
    assert all(abs(line["ms"] / 1000 - time.time()) < 60 and line["messages"] == 1 for line in lines)
    assert len({line["hash"] for line in lines}) == len({line["generation"] for line in lines}) == 3
    assert lines[0]["open"] == 1 and all(line["open"] <= 3 for line in lines)


def test_journal_is_appended_to_and_cuts_long_texts(tmp_path) -> None:
    path = tmp_path / "journal"
    for _ in range(2):
        with sandbox("--only", "openrouter", "--journal", str(path)) as addresses:
            Client(addresses["OPENROUTER_BASE_URL"]).chat("ä" * 5000)
    lines = journal(path)
    assert [line["text"] for line in lines] == ["ä" * 512] * 2
    assert lines[0]["hash"] == lines[1]["hash"]


# The command


def test_addresses_are_written_whole(tmp_path) -> None:
    path = tmp_path / "addresses"
    with sandbox("--write", str(path)) as addresses:
        assert dict(line.split("=", 1) for line in path.read_text().splitlines()) == addresses
        assert set(addresses) == {"KAFKA_BOOTSTRAP_SERVERS", "OPENROUTER_BASE_URL"}


def test_sandbox_ends_by_itself() -> None:
    done = replay("sandbox", "--only", "openrouter", "--for", "10ms")
    assert (done.returncode, done.stderr) == (0, "")


def test_sandbox_ends_with_its_parent() -> None:
    """A Python in between starts the sandbox, prints its pid and address, and dies."""
    code = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen([{str(replay_path())!r}, 'sandbox', '--only', 'openrouter', '--for', '300s', "
        "'--with-parent'], stdout=subprocess.PIPE, text=True)\n"
        "print(p.stdout.readline().strip(), flush=True)\n"
        "import os; os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    address = urlsplit(done.stdout.strip().partition("=")[2]).netloc

    def is_gone() -> bool:
        try:
            socket.create_connection(address.split(":"), timeout=5).close()
        except ConnectionRefusedError:
            return True
        return False

    assert address
    wait_for(is_gone)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "nothing"],
        ["--fail", "429"],
        ["--fail", "429:60%,502:60%"],
        ["--deltas", "0"],
        ["--latency", "soon"],
        ["--listen", "nowhere"],
        ["--unknown"],
        ["operand"],
    ],
)
def test_wrong_options_are_a_usage_error(arguments) -> None:
    done = replay("sandbox", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


def test_address_in_use_is_told(client) -> None:
    done = replay("sandbox", "--only", "openrouter", "--listen", client.address)
    assert done.returncode == 1 and "in use" in done.stderr


def test_help_names_every_option() -> None:
    done = replay("sandbox", "--help")
    assert done.returncode == 0
    for option in ("--only", "--listen", "--write", "--fail", "--journal", "--for", "--with-parent", "--ttft"):
        assert option in done.stdout


def test_slip_of_the_pen_is_corrected() -> None:
    assert "did you mean --latency?" in replay("sandbox", "--latancy", "5").stderr
