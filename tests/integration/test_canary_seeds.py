"""The search for the key is worth something only if it finds one: a leak is planted in each sink, and it has to be found.

Leaks come from outside where that is possible (a request, a key on the command line, a header of Kafka's), else from
tests/tools/leaky_worker.c, which is the worker with a leak linked in. The last test prints which encoding was found in
which sink.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import canary
import harness
import pytest
from canary_tool import (  # noqa: F401
    LEAKY,
    Tap,
    admin_answers,
    as_nobody,
    broker_disk,
    is_attach_refused,
    memory_read_by_an_equal,
    output_of,
    process_files,
    record_bytes,
    service,
    site,
    tapped,
    topics_and_offsets,
)
from harness import Worker, chat, free_port, read_topic, until

# Forms that can be in text that has to be UTF-8, and in a word of a command line.
TEXTUAL = [name for name in canary.ENCODINGS if name not in ("gzip", "zlib", "UTF-16LE", "UTF-16BE")]
COMMANDS = ("config", "config --format=libconfig", "config --format=md", "config --format=man", "config --format=json-schema",
            "check --no-environment", "metrics", "version", "--no-such-option")

_found: dict[str, dict[str, bool]] = defaultdict(dict)


class Seed:
    """The text that a leaky worker leaks, in whatever encoding is wanted now."""

    def __init__(self, folder: Path) -> None:
        self.key = canary.make_key()
        self.file = folder / "leak"
        self.file.write_bytes(b"")

    def text(self, encoding: str) -> bytes:
        return canary.ENCODINGS[encoding](self.key.encode())

    def plant(self, encoding: str) -> None:
        fresh = self.file.with_suffix(".fresh")
        fresh.write_bytes(self.text(encoding))
        fresh.replace(self.file)

    def look(self, sink: str, encoding: str, data: bytes, find=canary.find) -> bool:
        """Is it found, as what it is?"""
        names = [name for name, _ in find(data, self.key)]
        _found[sink][encoding] = _found[sink].get(encoding, False) or canary.family(encoding) in names
        return _found[sink][encoding]

    def must_find(self, sink: str, encoding: str, collect: Callable[[], bytes]) -> None:
        _found[sink][encoding] = False
        until(f"{encoding} in {sink}", lambda: self.look(sink, encoding, collect()), 15)


@pytest.fixture
def seed(tmp_path: Path) -> Seed:
    return Seed(tmp_path)


@pytest.fixture
def leaky(make_worker, service, seed) -> Worker:
    worker = make_worker(service.url, log__level="error")
    worker.program = LEAKY
    worker.environment = {"OPENROUTER_API_KEY": seed.key, "CANARY_TEXT": str(seed.file)}
    return worker.start().wait_ready()


@pytest.mark.parametrize("encoding", canary.ENCODINGS)
def test_seed_in_the_output_of_each_command_is_found(seed, encoding, tmp_path):
    seed.plant(encoding)
    good = tmp_path / "good.conf"
    good.write_text('openrouter: { models = ["a/b"]; }; kafka: { bootstrap_servers = "127.0.0.1:1"; };')
    # All commands in each encoding would take minutes, and all print in the same way.
    some = COMMANDS if encoding == "raw" else COMMANDS[list(canary.ENCODINGS).index(encoding) % len(COMMANDS) :][:1]
    for command in some:
        environment = {"CANARY_TEXT": str(seed.file), "CHAT_WORKER_CONFIG": str(good)}
        assert seed.look(f"chat-worker {command}", encoding, output_of(command.split(), environment, LEAKY)), command


def test_seed_in_a_running_worker_s_output_and_admin_port_is_found(leaky, seed):
    for encoding in canary.ENCODINGS:
        seed.plant(encoding)
        before = leaky.log.stat().st_size
        with Tap(lambda: leaky.port) as tap:
            for path, answer in admin_answers(tap.port).items():
                assert seed.look(path, encoding, answer), f"{encoding} in {path}"
            seed.must_find("admin traffic", encoding, tap.bytes)
        seed.must_find("stdout and stderr", encoding, lambda at=before: leaky.log.read_bytes()[at:])


def test_seed_in_dead_letters_and_on_the_way_to_them_is_found(leaky, seed, producer, replies, site, tapped):
    broker, tap = tapped
    for count, encoding in enumerate(canary.ENCODINGS):
        tap.forget()
        producer.send_raw(b"\xc1" + seed.text(encoding), b"bad", [("trace", seed.text(encoding))])
        replies.wait(count + 1)
        letter = read_topic(site.bootstrap, site.dead_letters)
        assert seed.look("dead letters", encoding, record_bytes(letter[-1:]))
        seed.must_find("Kafka traffic", encoding, tap.bytes)
    files = broker_disk(broker)["broker's files"]
    for encoding in canary.ENCODINGS:
        assert seed.look("broker's files", encoding, files), encoding


def test_seed_in_replies_and_committed_metadata_is_found(leaky, seed, producer, replies, site):
    for count, encoding in enumerate(TEXTUAL):
        seed.plant(encoding)
        order = json.dumps({"do": "answer", "text": "KEY", "as": encoding})
        producer.send_all([chat(f"r{count}", "c", order)])
        reply = replies.wait(count + 1)[-1]
        assert seed.look("replies", encoding, reply.value), encoding
        seed.must_find("committed metadata", encoding, lambda: topics_and_offsets(site)["committed metadata"])


def test_seed_in_a_reply_header_is_found(leaky, seed, producer, replies, site):
    producer.send_all([chat("r0", "c", json.dumps({"do": "echo", "text": "KEY"}))])
    headers = replies.wait(1)[0].headers
    assert seed.look("reply headers", "raw", b"\n".join(headers.values()))


def test_seed_in_what_kafka_clients_say_of_themselves_is_found(make_worker, service, seed, tapped):
    tap = tapped[1]
    tap.forget()
    worker = make_worker(service.url, kafka__properties=[f"client.id={seed.key}"])
    worker.start().wait_ready()
    assert seed.look("Kafka client id", "raw", tap.bytes())


def test_seed_in_environment_and_command_line_is_found(seed, tmp_path):
    good = tmp_path / "good.conf"
    good.write_text('openrouter: { models = ["a/b"]; }; kafka: { bootstrap_servers = "127.0.0.1:1"; };'
                    f'admin: {{ listen = "127.0.0.1:{free_port()}"; }};')
    words = [f"--set=chat.system_prompt={seed.text(name).decode()}" for name in TEXTUAL]
    with started([*words, "-c", str(good)], seed, {"CANARY_OPEN": "1"}, tmp_path) as process:
        files = process_files(process.pid)
    for encoding in TEXTUAL:
        assert seed.look("/proc/PID/cmdline", encoding, files["/proc/PID/cmdline"]), encoding
    assert seed.look("/proc/PID/environ", "raw", files["/proc/PID/environ"])


class started:
    """A leaky worker without a broker, as nobody; `open` to others when CANARY_OPEN is set."""

    def __init__(self, arguments: list[str], seed: Seed, environment: dict[str, str], folder: Path) -> None:
        folder.chmod(0o777)
        for parent in folder.parents:
            if parent.stat().st_uid == os.geteuid() and parent.name.startswith(("pytest-", "popen-")):
                parent.chmod(parent.stat().st_mode | 0o055)
        self.log = folder / "nobody.log"
        kept = {"PATH": os.environ["PATH"], "ASAN_OPTIONS": "disable_coredump=0"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [LEAKY, "run", "--log-format=json", *arguments], stdout=log, stderr=log, cwd=folder,
                env={**kept, "OPENROUTER_API_KEY": seed.key, **environment}, preexec_fn=self._prepare, **as_nobody())

    @staticmethod
    def _prepare() -> None:
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        harness.die_with_parent()

    def __enter__(self) -> subprocess.Popen:
        until("it serves", lambda: '"msg":"started"' in self.log.read_text())
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def settings_for_nobody(folder: Path) -> list[str]:
    path = folder / "nobody.conf"
    path.write_text('openrouter: { models = ["a/b"]; base_url = "http://127.0.0.1:1/v1"; };'
                    'kafka: { bootstrap_servers = "127.0.0.1:1"; }; admin: { listen = "127.0.0.1:0"; };')
    return ["-c", str(path)]


def core_of(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in folder.iterdir() if path.name.startswith("core"))


def test_seed_in_memory_and_core_of_an_open_process_is_found(seed, tmp_path):
    with started(settings_for_nobody(tmp_path), seed, {"CANARY_OPEN": "1"}, tmp_path) as process:
        assert not is_attach_refused(process.pid)
        code, memory = memory_read_by_an_equal(process.pid)
        assert code == 0 and seed.look("memory", "raw", memory, canary.find_plain)
        process.send_signal(signal.SIGABRT)
        process.wait(60)
    if Path("/proc/sys/kernel/core_pattern").read_text().startswith("core"):
        assert seed.look("core dump", "raw", core_of(tmp_path), canary.find_plain)


def test_worker_gives_no_equal_its_memory_and_leaves_no_core(seed, tmp_path):
    """What the seeds above show in an open process, a closed one does not do: nothing is planted here."""
    with started(settings_for_nobody(tmp_path), seed, {}, tmp_path) as process:
        code, memory = memory_read_by_an_equal(process.pid)
        assert code != 0 and memory == b""
        assert is_attach_refused(process.pid)
        if shutil.which("gcore"):
            gcore = subprocess.run(["gcore", "-o", tmp_path / "core", str(process.pid)], capture_output=True, timeout=60,
                                   check=False, **as_nobody())
            assert gcore.returncode != 0
        process.send_signal(signal.SIGABRT)
        assert process.wait(60) == -signal.SIGABRT
    assert core_of(tmp_path) == b""
    assert canary.scan({"log": (tmp_path / "nobody.log").read_bytes()}, seed.key) == []


def test_seed_in_what_replay_prints_is_found(leaky, seed, site):
    program = harness.BUILD / "replay/chat-replay"
    send = ["send", "--brokers", site.bootstrap, "--topic", site.requests, "--reply-topic", site.responses, "--wait", "30s"]
    for encoding, form in zip(TEXTUAL, ["", "--json"] * len(TEXTUAL), strict=False):
        words = [*send, *form.split(), json.dumps({"do": "answer", "text": "KEY", "as": encoding})]
        assert seed.look(f"chat-replay send {form}", encoding, output_of(words, {}, program)), encoding


def test_every_seed_was_found(capsys):
    """The table: + found, - planted and not found, blank not planted there."""
    if len(_found) < 10:
        pytest.skip("only after the other tests of this file")
    width = max(map(len, _found))
    with capsys.disabled():
        print()
        for number, encoding in enumerate(canary.ENCODINGS):
            print(f"{'':{width}} {'  ' * number}{encoding}")
        for sink, found in _found.items():
            marks = [{True: "+", False: "-", None: " "}[found.get(name)] for name in canary.ENCODINGS]
            print(f"{sink:{width}} {' '.join(marks)}")
        planted = [was for found in _found.values() for was in found.values()]
        print(f"{len(_found)} sinks, {len(planted)} seeds planted, {sum(planted)} found")
    assert all(planted)
    assert {name for found in _found.values() for name in found} == set(canary.ENCODINGS)
