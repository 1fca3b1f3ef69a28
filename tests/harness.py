"""What integration tests and measurements share: real Kafka, the stand-in upstream, worker processes, and the judge.

Kafka is Apache Kafka (tests/kafka_broker.py); requests are produced and replies are read by kafka-python, so that one
bug of librdkafka cannot hide on both sides. Programs come from the build folder that CHAT_BUILD names (build/dev
by default). Every process started here dies with the test run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import psutil
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from kafka_broker import Broker, die_with_parent, free_ports

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / os.environ.get("CHAT_BUILD", "build/dev")
# How long a worker may take to end in order when its test is over, before it is killed: a killed one writes no counters
# of what it ran (scripts/test coverage).
END_S = float(os.environ.get("CHAT_END_S", "0"))
KEY = "sk-or-v1-0123456789abcdef-canary"
PARTITIONS = 12
# kafka-python's own bound, 1 MB, is less than what it asks a broker for, and an answer beyond it is an error for ever.
FRAME_BYTES = 256 << 20


@dataclass
class Site:
    """Topics of their own on a broker, so that tests share the broker and nothing else."""

    broker: Broker
    name: str = "chat"
    partitions: int = PARTITIONS

    def __post_init__(self) -> None:
        self.bootstrap = self.broker.bootstrap
        self.requests = f"{self.name}.requests"
        self.responses = f"{self.name}.responses"
        self.dead_letters = f"{self.name}.requests.dlq"
        self.group = f"{self.name}-worker"
        self.broker.create_topics(
            {self.requests: self.partitions, self.responses: self.partitions, self.dead_letters: 3})

    def settings(self) -> dict[str, Any]:
        return {
            "kafka.bootstrap_servers": self.bootstrap,
            "kafka.group_id": self.group,
            "kafka.requests_topic": self.requests,
            "kafka.responses_topic": self.responses,
            "kafka.dead_letter_topic": self.dead_letters,
        }

    def committed(self) -> dict[int, tuple[int, str]]:
        """Offset and metadata that the group has committed, by partition."""
        admin = self.broker.admin()
        try:
            rows = admin.list_consumer_group_offsets(self.group)
            return {place.partition: (row.offset, row.metadata) for place, row in rows.items()}
        finally:
            admin.close()


def until(what: str, is_so: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    """Waits for a condition and returns its value; fails naming it."""
    end = time.monotonic() + timeout_s
    while True:
        value = is_so()
        if value:
            return value
        assert time.monotonic() < end, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    """Not one of those that the kernel gives to clients, who could take it while a worker restarts."""
    return free_ports(1)[0]


@contextmanager
def standin(folder: Path, *options: str, lifetime_s: float = 900) -> Iterator[Standin]:
    """The stand-in OpenRouter in a process of its own, journal included."""
    journal = folder / "journal.jsonl"
    process = subprocess.Popen(
        [BUILD / "replay/chat-replay", "sandbox", "--only", "openrouter", "--for", f"{lifetime_s:.0f}s", "--journal", journal,
         *options],
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip().partition("=")[2]
        assert url, "the stand-in did not start"
        yield Standin(url, journal, process)
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@dataclass
class Standin:
    url: str
    journal: Path
    process: subprocess.Popen[str]

    def calls(self) -> list[dict[str, Any]]:
        """Every request that arrived, as the stand-in wrote it down."""
        if not self.journal.exists():
            return []
        with self.journal.open() as lines:
            return [json.loads(line) for line in lines if line.endswith("}\n")]


def libconfig(value: Any) -> str:
    """A value in libconfig's syntax."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(libconfig(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + " ".join(f"{key} = {libconfig(item)};" for key, item in value.items()) + " }"
    return repr(value)


class Worker:
    """A chat-worker process. `settings` are dotted keys over fast defaults; None in `environment` unsets a variable."""

    program = BUILD / "worker/chat-worker"

    def __init__(self, folder: Path, name: str, site: Site, url: str, environment: dict[str, str | None] | None = None,
                 **settings: Any) -> None:
        self.folder, self.name = folder, name
        self.port = free_port()
        self.log = folder / f"{name}.log"
        self.file = folder / f"{name}.conf"
        self.environment = environment or {}
        self.process: subprocess.Popen[bytes] | None = None
        rows: dict[str, Any] = {
            **site.settings(),
            "kafka.transactional_id": f"{site.name}-{name}",
            "kafka.session_timeout_ms": 2000,
            "kafka.heartbeat_interval_ms": 300,
            "openrouter.base_url": url,
            "openrouter.models": ["stand-in/first", "stand-in/second"],
            "admin.listen": f"127.0.0.1:{self.port}",
            **{key.replace("__", "."): value for key, value in settings.items()},
        }
        sections: dict[str, dict[str, Any]] = defaultdict(dict)
        for key, value in rows.items():
            section, _, rest = key.partition(".")
            sections[section][rest] = value
        self.file.write_text("".join(f"{name} = {libconfig(items)};\n" for name, items in sections.items()))

    def start(self) -> Worker:
        environment = {**os.environ, "OPENROUTER_API_KEY": KEY, **self.environment}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, "run", "-c", self.file, "--log-format=json"],
                stderr=log,
                stdout=log,
                env={name: value for name, value in environment.items() if value is not None},
                preexec_fn=die_with_parent,
            )
        return self

    def wait_ready(self, timeout_s: float = 30.0) -> Worker:
        def is_ready() -> bool:
            assert self.process is not None and self.process.poll() is None, f"ended: {self.tail()}"
            return self.get("/readyz")[0] == 200

        until(f"{self.name} is ready: {self.tail()}", is_ready, timeout_s)
        return self

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all series of this name that have these labels."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            head, _, value = line.rpartition(" ")
            if head.partition("{")[0] == name and all(f'{key}="{text}"' in head for key, text in labels.items()):
                total += float(value)
        return total

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def wait(self, timeout_s: float = 60.0) -> int:
        assert self.process is not None
        return self.process.wait(timeout_s)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                if END_S > 0:
                    self.terminate()
                    self.wait(END_S)
            self.process.kill()
            self.process.wait()

    def usage(self) -> tuple[float, int]:
        """CPU seconds so far and the peak of resident bytes."""
        times = psutil.Process(self.pid).cpu_times()
        peak = next(line for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if "VmHWM" in line)
        return times.user + times.system, int(peak.split()[1]) * 1024

    def thread_usage(self) -> list[tuple[str, float]]:
        """Name and CPU seconds of each thread that used any, the busiest first."""
        found = []
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            # After the name in brackets: user and system time are fields 14 and 15 of the whole line.
            name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
            fields = rest.split()
            found.append((name, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")))
        return sorted((each for each in found if each[1] > 0.02), key=lambda each: -each[1])

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""


@dataclass
class Sent:
    request_id: str
    conversation: str
    partition: int
    offset: int
    timestamp_ms: int


@dataclass
class Reply:
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: dict[str, bytes]
    timestamp_ms: int
    body: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.body = json.loads(self.value) if self.value[:1] == b"{" else msgpack.unpackb(self.value)

    @property
    def source(self) -> tuple[int, int]:
        return self.body["source"]["partition"], self.body["source"]["offset"]


def chat(request_id: str, conversation: str, text: str, **fields: Any) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "conversation_id": conversation,
        "messages": [{"role": "user", "content": text}],
        **fields,
    }


class Producer:
    """Sends requests as an API service would, with kafka-python (murmur2, as Java's)."""

    def __init__(self, site: Site, **options: Any) -> None:
        self.topic = site.requests
        self.kafka = KafkaProducer(bootstrap_servers=site.bootstrap, linger_ms=5, batch_size=1 << 18, acks="all", **options)

    def begin(self, body: dict[str, Any], as_json: bool = False) -> Any:
        """The future of a chat that is on its way."""
        value = json.dumps(body).encode() if as_json else msgpack.packb(body)
        kind = b"application/json" if as_json else b"application/vnd.msgpack"
        key = str(body.get("conversation_id", "")).encode()
        return self.kafka.send(self.topic, value, key, headers=[("content-type", kind)])

    @staticmethod
    def arrived(body: dict[str, Any], future: Any) -> Sent:
        place = future.get(60)
        return Sent(body["request_id"], body.get("conversation_id", ""), place.partition, place.offset, place.timestamp)

    def send_all(self, chats: Iterable[dict[str, Any]], as_json: bool = False) -> list[Sent]:
        futures = [(body, self.begin(body, as_json)) for body in chats]
        self.kafka.flush(120)
        return [self.arrived(body, future) for body, future in futures]

    def send_raw(self, value: bytes | None, key: bytes | None = b"raw", headers: list[tuple[str, bytes]] | None = None,
                 timestamp_ms: int | None = None) -> Sent:
        place = self.kafka.send(self.topic, value, key, headers=headers or [], timestamp_ms=timestamp_ms).get(30)
        return Sent("", (key or b"").decode(errors="replace"), place.partition, place.offset, place.timestamp)

    def close(self) -> None:
        self.kafka.close()


def read_topic(bootstrap: str, topic: str, isolation: str = "read_committed",
               make: Callable[[Any], Any] = lambda record: record) -> list[Any]:
    """All records that are there now, with kafka-python, in the order of each partition; of each what `make` keeps."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation, enable_auto_commit=False,
                             fetch_max_wait_ms=50, max_poll_records=5000, receive_message_max_bytes=FRAME_BYTES)
    try:
        # A broker that has just come back may know of no broker, itself included, and then of no topic.
        until(f"{topic} is known", lambda: consumer.partitions_for_topic(topic))
        partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(partitions)
        records = []
        deadline = time.monotonic() + 60
        while any(consumer.position(p) < ends[p] for p in partitions):
            assert time.monotonic() < deadline, f"{topic} cannot be read to its end: an open transaction?"
            for batch in consumer.poll(100).values():
                records.extend(map(make, batch))
                deadline = time.monotonic() + 60
        return records
    finally:
        consumer.close()


def as_reply(record: Any) -> Reply:
    return Reply(record.partition, record.offset, record.key, record.value, dict(record.headers), record.timestamp)


def read_replies(site: Site) -> list[Reply]:
    return [as_reply(record) for record in read_topic(site.bootstrap, site.responses)]


class Replies:
    """Follows the response topic until as many replies are there as are wanted."""

    def __init__(self, site: Site) -> None:
        self.consumer = KafkaConsumer(bootstrap_servers=site.bootstrap, isolation_level="read_committed",
                                      enable_auto_commit=False, fetch_max_wait_ms=50, max_poll_records=5000,
                                      receive_message_max_bytes=FRAME_BYTES)
        partitions = [TopicPartition(site.responses, p) for p in range(site.partitions)]
        self.consumer.assign(partitions)
        self.consumer.seek_to_beginning()
        self.all: list[Reply] = []

    def poll(self) -> list[Reply]:
        fresh = [as_reply(record) for batch in self.consumer.poll(50).values() for record in batch]
        self.all.extend(fresh)
        return fresh

    def wait(self, count: int, timeout_s: float = 60.0) -> list[Reply]:
        end = time.monotonic() + timeout_s
        while len(self.all) < count:
            assert time.monotonic() < end, f"{len(self.all)} of {count} replies within {timeout_s:g} s"
            self.poll()
        return self.all

    def close(self) -> None:
        self.consumer.close()


def audit(site: Site, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit code and verdict of `chat-replay audit`, which reads the topics with another client than ours."""
    done = subprocess.run(
        [BUILD / "replay/chat-replay", "audit", "--json", "--brokers", site.bootstrap, "--requests", site.requests,
         "--responses", site.responses, *options], capture_output=True, text=True, timeout=120)
    assert done.stdout, f"exit {done.returncode}: {done.stderr}"
    return done.returncode, json.loads(done.stdout)


def audit_findings(verdict: dict[str, Any]) -> dict[str, int]:
    """How often each thing is wrong that is."""
    return {key: value["count"] for key, value in verdict.items() if isinstance(value, dict) and value["count"]}


@dataclass
class Verdict:
    lost: list[Sent]
    duplicates: list[tuple[int, int]]
    disordered: list[str]
    misplaced: list[str]
    outcomes: Counter[str]

    def assert_clean(self) -> None:
        assert not self.lost, f"{len(self.lost)} lost, such as {self.lost[:3]}"
        assert not self.duplicates, f"{len(self.duplicates)} duplicates, such as {self.duplicates[:3]}"
        assert not self.disordered, f"{len(self.disordered)} out of order, such as {self.disordered[:3]}"
        assert not self.misplaced, f"{len(self.misplaced)} with a wrong key or partition: {self.misplaced[:3]}"


def judge(sent: list[Sent], replies: list[Reply]) -> Verdict:
    """One reply for each request record, under the right key, all of a conversation in one partition, in order."""
    counts = Counter(reply.source for reply in replies)
    conversations = {(each.partition, each.offset): each.conversation for each in sent}
    disordered, misplaced = [], []
    last: dict[tuple[int, str], int] = {}
    home: dict[str, int] = {}
    for reply in sorted(replies, key=lambda each: (each.partition, each.offset)):
        conversation = conversations.get(reply.source)
        if conversation is None:
            misplaced.append(f"a reply to {reply.source}, which was not sent")
            continue
        if (reply.key or b"").decode() != conversation or reply.body["conversation_id"] != conversation:
            misplaced.append(f"{reply.source} has key {reply.key!r}")
        if home.setdefault(conversation, reply.partition) != reply.partition:
            misplaced.append(f"{conversation} is in two partitions")
        if last.get((reply.source[0], conversation), -1) > reply.source[1]:
            disordered.append(f"{conversation} at {reply.source}")
        last[reply.source[0], conversation] = max(reply.source[1], last.get((reply.source[0], conversation), -1))
    return Verdict(
        lost=[each for each in sent if counts[each.partition, each.offset] == 0],
        duplicates=[place for place, count in counts.items() if count > 1],
        disordered=disordered,
        misplaced=misplaced,
        outcomes=Counter(reply.body["outcome"] for reply in replies),
    )
