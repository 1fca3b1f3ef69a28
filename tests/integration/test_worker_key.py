"""Another key while the worker runs: a file that is replaced is read again, a variable is not."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ROOT, chat, until

sys.path.insert(0, str(ROOT / "tests/upstream"))
from echo_server import EchoServer  # noqa: E402

OLD, NEW = "sk-or-v1-the-old-canary-key", "sk-or-v1-the-new-canary-key"


class Volume:
    """A secret as Kubernetes mounts it: `key` is a link through `..data`, which is replaced as a whole."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.version = folder, 0
        self.file = folder / "key"
        folder.mkdir()
        self.write(key)
        self.file.symlink_to("..data/key")

    def write(self, key: str) -> None:
        self.version += 1
        version = self.folder / f"..{self.version}"
        version.mkdir()
        (version / "key").write_text(key + "\n")
        fresh = self.folder / "..fresh"
        fresh.symlink_to(version.name)
        os.replace(fresh, self.folder / "..data")


@pytest.fixture
def service() -> Iterator[EchoServer]:
    with EchoServer({OLD}) as server:
        yield server


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path / "secret", OLD)


@pytest.fixture
def make_keyed(make_worker):
    """A worker whose key is in a file."""

    def make(service: EchoServer, file: Path, **settings):
        worker = make_worker(service.url, openrouter__models=["m/one"], **settings)
        worker.environment = {"OPENROUTER_API_KEY": None, "OPENROUTER_API_KEY_FILE": str(file)}
        return worker.start().wait_ready()

    return make


def outcomes(replies, count: int) -> list[tuple[str, str | None]]:
    """Outcome and reason of each chat, in the order of their numbers."""
    by_id = {each.body["request_id"]: each.body for each in replies.wait(count)}
    found = [by_id[f"r{number}"] for number in range(count)]
    return [(each["outcome"], (each["error"] or {}).get("reason")) for each in found]


def is_log(worker, text: str) -> bool:
    return text in worker.log.read_text()


def assert_not_shown(worker) -> None:
    log = worker.log.read_text()
    assert OLD not in log and NEW not in log


def test_worker_key_file_replaced_after_a_refusal_answers_again_without_a_restart(
        make_keyed, service, volume, producer, replies):
    worker = make_keyed(service, volume.file)
    producer.send_all([chat("r0", "c0", "good")])
    assert outcomes(replies, 1) == [("answered", None)]
    service.keys = {NEW}
    producer.send_all([chat("r1", "c1", "refused")])
    assert outcomes(replies, 2)[1] == ("fallback", "auth")
    until("the worker is not ready", lambda: worker.get("/readyz")[0] == 503)
    # However many chats come meanwhile, none of them is a call.
    producer.send_all([chat(f"r{number}", f"c{number}", "refused") for number in range(2, 60)])
    assert set(outcomes(replies, 60)[1:]) == {("fallback", "auth")}
    assert len(service.chats(401)) == 1
    volume.write(NEW)
    until("the other key is taken", lambda: worker.get("/readyz")[0] == 200)
    producer.send_all([chat("r60", "c60", "good")])
    assert outcomes(replies, 61)[60] == ("answered", None)
    assert service.chats()[-1].key == NEW
    assert len(service.probes(200)) == 1 and service.probes(200)[0].key == NEW
    assert len(service.chats(401)) == 1 and len(service.probes(401)) <= 3
    assert is_log(worker, "another key was read from its file")
    assert_not_shown(worker)


def test_worker_hangup_takes_another_key_and_disturbs_no_call(make_keyed, service, volume, producer, replies):
    worker = make_keyed(service, volume.file)
    service.keys = {OLD, NEW}
    hold = json.dumps({"do": "hold", "text": "held"})
    producer.send_all([chat(f"r{number}", f"c{number}", hold) for number in range(3)])
    until("all are called", lambda: len(service.chats()) == 3)
    volume.write(NEW)
    os.kill(worker.pid, signal.SIGHUP)
    until("the other key was read", lambda: is_log(worker, "another key was read from its file"))
    producer.send_all([chat("r3", "c3", "good")])
    until("another call", lambda: len(service.chats()) == 4)
    service.released.set()
    assert outcomes(replies, 4) == [("answered", None)] * 4
    assert [each.key for each in service.chats()] == [OLD] * 3 + [NEW]
    assert service.probes() == []
    assert worker.get("/readyz")[0] == 200
    assert_not_shown(worker)


def test_worker_hangup_with_the_same_or_a_bad_key_changes_nothing(make_keyed, service, volume, producer, replies):
    worker = make_keyed(service, volume.file)
    os.kill(worker.pid, signal.SIGHUP)
    until("it is told", lambda: is_log(worker, "the file has the same key as before"))
    for number, key in enumerate(["", "two words of a canary", "x" * 600]):
        volume.write(key)
        os.kill(worker.pid, signal.SIGHUP)
        until("it is told", lambda count=number + 1: worker.log.read_text().count("the key cannot be read again") == count)
    volume.file.unlink()
    os.kill(worker.pid, signal.SIGHUP)
    until("it is told", lambda: worker.log.read_text().count("the key cannot be read again") == 4)
    assert not is_log(worker, "two words")
    producer.send_all([chat("r0", "c0", "good")])
    assert outcomes(replies, 1) == [("answered", None)]
    assert service.chats()[0].key == OLD


def test_worker_key_changed_again_and_again_is_never_shown(make_keyed, service, volume, producer, replies):
    worker = make_keyed(service, volume.file, log__level="debug")
    keys = [f"sk-or-v1-canary-number-{number:03}-of-many" for number in range(12)]
    service.keys = {OLD, *keys}
    for number, key in enumerate(keys):
        volume.write(key)
        os.kill(worker.pid, signal.SIGHUP)
        until("it was read", lambda count=number + 1: worker.log.read_text().count("another key was read") == count)
        if number % 4 == 3:
            producer.send_all([chat(f"r{number // 4}", "c", json.dumps({"do": "echo", "text": "my AUTH"}))])
            reply = replies.wait(number // 4 + 1)[-1]
            assert service.chats()[-1].key == key
            assert reply.body["message"]["content"] == "my Bearer ****"
            assert key.encode() not in reply.value + repr(reply.headers).encode()
    assert "canary" not in worker.log.read_text()


def test_worker_key_of_the_environment_needs_a_restart(make_worker, service, producer, replies):
    worker = make_worker(service.url, openrouter__models=["m/one"])
    worker.environment = {"OPENROUTER_API_KEY": OLD}
    worker.start().wait_ready()
    service.keys = {NEW}
    producer.send_all([chat("r0", "c0", "refused")])
    assert outcomes(replies, 1) == [("fallback", "auth")]
    until("a probe was refused", lambda: len(service.probes(401)) == 1)
    assert worker.get("/readyz")[0] == 503
    worker.terminate()
    assert worker.wait() == 0
    worker.environment = {"OPENROUTER_API_KEY": NEW}
    worker.start().wait_ready()
    producer.send_all([chat("r1", "c1", "good")])
    assert outcomes(replies, 2)[1] == ("answered", None)
