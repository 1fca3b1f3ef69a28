"""`chat-replay send` on real Kafka, against a worker of a few lines with an independent Kafka client."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator

import msgpack
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.partitioner.default import murmur2
from replay_tool import ROOT, replay

sys.path.insert(0, str(ROOT / "tests"))
from kafka_broker import Broker  # noqa: E402

MSGPACK_TYPE, JSON_TYPE = "application/vnd.msgpack", "application/json"


def answer(request: dict, **fields) -> dict:
    """A reply with everything that the contract has."""
    return {
        "request_id": request["request_id"],
        "conversation_id": request["conversation_id"],
        "outcome": "answered",
        "message": {"role": "assistant", "content": f"You said {request['messages'][-1]['content']}"},
        "finish_reason": "stop",
        "model": "a/b",
        "provider": "P",
        "generation_id": "gen-1",
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "cost": 0.25},
        "error": None,
        "attempts": 1,
        "timing": {"received_ms": 5, "replied_ms": 9, "waited_ms": 0, "upstream_ms": 3, "first_token_ms": None},
        "source": {"topic": "chat.requests", "partition": 1, "offset": 2},
        **fields,
    }


class Worker:
    """Answers everything on chat.requests in a thread; `make` turns a request into a reply, or None for silence."""

    def __init__(self, brokers: str) -> None:
        self.requests: list[dict] = []
        self.records: list = []
        self.make: Callable[[dict], dict | bytes | None] = answer
        self.brokers = brokers
        self.is_ending = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        consumer = KafkaConsumer(
            bootstrap_servers=self.brokers, auto_offset_reset="earliest", enable_auto_commit=False, fetch_max_wait_ms=20
        )
        consumer.assign([TopicPartition("chat.requests", number) for number in range(12)])
        producer = KafkaProducer(bootstrap_servers=self.brokers)
        while not self.is_ending.is_set():
            for records in consumer.poll(timeout_ms=50).values():
                for record in records:
                    self.reply(producer, record)
            producer.flush()
        consumer.close()
        producer.close()

    def reply(self, producer: KafkaProducer, record) -> None:
        headers = dict(record.headers)
        is_json = headers["content-type"] == JSON_TYPE.encode()
        request = json.loads(record.value) if is_json else msgpack.unpackb(record.value)
        self.requests.append(request)
        self.records.append(record)
        reply = self.make(request)
        if reply is None:
            return
        if isinstance(reply, dict):
            reply = json.dumps(reply).encode() if is_json else msgpack.packb(reply)
        echoed = [("content-type", headers["content-type"]), ("correlation-id", headers["correlation-id"])]
        producer.send("chat.responses", key=record.key, value=reply, headers=echoed)


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Worker]:
    with Broker(tmp_path_factory.mktemp("kafka")) as broker:
        broker.create_topics({"chat.requests": 12, "chat.responses": 12})
        worker = Worker(broker.bootstrap)
        worker.thread.start()
        try:
            yield worker
        finally:
            worker.is_ending.set()
            worker.thread.join(20)


@pytest.fixture
def worker(running) -> Worker:
    running.requests.clear()
    running.records.clear()
    running.make = answer
    return running


def send(worker: Worker, *arguments: str, **options):
    return replay("send", "-b", worker.brokers, *arguments, **options)


def test_text_of_the_reply_is_printed(worker) -> None:
    done = send(worker, "Hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, "You said Hello\n", "")


def test_request_is_msgpack_with_ids_and_key(worker) -> None:
    send(worker, "--conversation", "conv-1", "Hello")
    (request,), (record,) = worker.requests, worker.records
    assert re.fullmatch("replay-[0-9a-f]{16}", request["request_id"])
    assert request == {
        "request_id": request["request_id"],
        "conversation_id": "conv-1",
        "messages": [{"role": "user", "content": "Hello"}],
    }
    assert record.key == b"conv-1"
    request_id = request["request_id"].encode()
    headers = [("content-type", MSGPACK_TYPE.encode()), ("correlation-id", request_id), ("chat-replay-id", request_id)]
    assert record.headers == headers


def test_partition_is_the_one_that_java_takes(worker) -> None:
    for conversation in ("a", "conv-2", "käse", "another one"):
        send(worker, "--conversation", conversation, "Hello")
    wanted = [(murmur2(record.key) & 0x7FFFFFFF) % 12 for record in worker.records]
    assert [record.partition for record in worker.records] == wanted
    assert len(set(wanted)) > 1


def test_all_options_reach_the_request(worker, tmp_path) -> None:
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"x": [1, -2, 2.5, True, None]}}}]
    (tmp_path / "history").write_text(json.dumps(history))
    (tmp_path / "tools").write_text(json.dumps(tools))
    options = ["--history", str(tmp_path / "history"), "--tools", str(tmp_path / "tools")]
    for coding in ("--msgpack", "--json-coding"):
        done = send(worker, coding, "--model", "c/d", "--system", "Be brief", *options, "-", input="from stdin")
        assert (done.returncode, done.stdout) == (0, "You said from stdin\n")
    first, second = worker.requests
    assert {**first, "request_id": 0, "conversation_id": 0} == {**second, "request_id": 0, "conversation_id": 0}
    assert first["model"] == "c/d" and first["tools"] == tools
    assert first["messages"] == [
        {"role": "system", "content": "Be brief"},
        *history,
        {"role": "user", "content": "from stdin"},
    ]
    assert dict(worker.records[1].headers)["content-type"] == JSON_TYPE.encode()


def test_json_is_the_whole_reply(worker) -> None:
    for coding in ("--msgpack", "--json-coding"):
        done = send(worker, "--json", coding, "Hello")
        assert json.loads(done.stdout) == answer(worker.requests[-1])


def test_raw_is_the_reply_as_it_came(worker) -> None:
    done = send(worker, "--raw", "Hello", text=False)
    assert done.stdout == msgpack.packb(answer(worker.requests[0]))


def test_fallback_is_printed_and_fails(worker) -> None:
    error = {"reason": "timeout", "message": "The model did not answer in time.", "retryable": True}
    worker.make = lambda request: answer(
        request, outcome="fallback", message={"role": "assistant", "content": "Sorry."}, error=error, attempts=3, usage=None
    )
    done = send(worker, "Hello")
    assert (done.returncode, done.stdout) == (1, "Sorry.\n")
    assert "fallback: timeout after 3 attempts: The model did not answer in time." in done.stderr


def test_tool_calls_are_printed_as_json(worker) -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    worker.make = lambda request: answer(request, message=message, finish_reason="tool_calls")
    assert json.loads(send(worker, "Hello").stdout) == calls


@pytest.mark.parametrize("reply", [b"\xc1", b"[]", b"\x93\x01", msgpack.packb({"attempts": "many"}), msgpack.packb([1])])
def test_reply_that_is_none_fails(worker, reply) -> None:
    worker.make = lambda request: reply
    done = send(worker, "Hello")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be read" in done.stderr


def test_no_reply_in_time_fails(worker) -> None:
    worker.make = lambda request: None
    done = send(worker, "--wait", "300ms", "Hello")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no reply" in done.stderr


def test_replies_of_others_are_not_taken(worker) -> None:
    """Two at once: each prints its own."""
    done: dict[str, str] = {}
    threads = [threading.Thread(target=lambda word=word: done.update({word: send(worker, word).stdout})) for word in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert done == {"a": "You said a\n", "b": "You said b\n"}


def test_brokers_come_from_the_environment(worker) -> None:
    done = replay("send", "Hello", env={"KAFKA_BOOTSTRAP_SERVERS": worker.brokers})
    assert done.stdout == "You said Hello\n"


def test_no_broker_is_3() -> None:
    done = replay("send", "-b", "127.0.0.1:1", "Hello")
    assert (done.returncode, done.stdout) == (3, "")
    assert "no broker answers" in done.stderr


def test_refused_property_is_78(worker) -> None:
    assert send(worker, "-X", "no.such.property=1", "Hello").returncode == 78
    assert send(worker, "-X", "nonsense", "Hello").returncode == 78
    assert send(worker, "-X", "client.id=me", "Hello").returncode == 0


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--nothing", "a"], ["--json-coding", "--msgpack", "a"]])
def test_wrong_options_are_2(arguments) -> None:
    done = replay("send", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


def test_bad_files_are_4(worker, tmp_path) -> None:
    (tmp_path / "object").write_text("{}")
    for path in ("object", "missing"):
        done = send(worker, "--history", str(tmp_path / path), "Hello")
        assert (done.returncode, done.stdout) == (4, "")
    assert send(worker, "-", input=b"\xff", text=False).returncode == 4


def test_commands_and_version_are_told() -> None:
    done = replay("--help")
    assert done.returncode == 0 and all(name in done.stdout for name in ("demo", "sandbox", "send"))
    assert re.fullmatch(r"chat-replay \d+\.\d+\.\d+\n", replay("--version").stdout)
    assert replay().returncode == replay("nothing").returncode == 2
