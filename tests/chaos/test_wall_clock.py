"""The wall clock of a whole worker, librdkafka included, is set while chats come: one reply each all the same.

No clock of the machine is touched (wall_clock.c). The worker's own code alone: tests/integration/test_worker_clock.py."""

from __future__ import annotations

import os
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import harness
import pytest
from harness import BUILD, Producer, Sent, chat, judge, read_replies, until

pytestmark = pytest.mark.ci
HOUR_S, DAY_S = 3600, 86400
EXIT_FAILED, EXIT_STUCK = 1, 70
NOTICED = "the wall clock was set"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Broker]:
    """One that can be reached without the proxy, and killed."""
    with harness.Broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def site(broker: harness.Broker, request: pytest.FixtureRequest) -> harness.Site:
    return harness.Site(broker, f"clock{abs(hash(request.node.name))}")


class Clock:
    """By how many seconds the worker's wall clock is ahead."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "clock"
        self.file.write_bytes(struct.pack("=q", 0))

    def set(self, ahead_s: int) -> None:
        fd = os.open(self.file, os.O_WRONLY)
        os.pwrite(fd, struct.pack("=q", ahead_s), 0)
        os.close(fd)

    def give(self, worker: harness.Worker) -> harness.Worker:
        worker.program = BUILD / "tests/chaos/chat-worker-clock"
        worker.environment = {"CHAT_WALL_CLOCK": str(self.file)}
        return worker


class Load:
    """Chats one after the other, until it is stopped; `phase` is part of their names."""

    def __init__(self, producer: Producer) -> None:
        self.producer, self.phase, self.sent = producer, "before", list[Sent]()
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while not self.is_over.wait(0.01):
            number = len(self.sent)
            self.sent += self.producer.send_all([chat(f"{self.phase}.{number}", f"c{number % 20}", "Hello")])

    def go_on(self, count: int = 20) -> None:
        """Until so many more were sent."""
        wanted = len(self.sent) + count
        until(f"{wanted} were sent", lambda: len(self.sent) >= wanted)

    def stop(self) -> list[Sent]:
        self.is_over.set()
        self.thread.join()
        return self.sent


def reasons(replies: list[harness.Reply], phase: str) -> Counter[str]:
    found = [each.body for each in replies if each.body["request_id"].startswith(f"{phase}.")]
    return Counter(body["error"]["reason"] if body["error"] else "answered" for body in found)


def answered_or_replaced(worker: harness.Worker, replies: harness.Replies, count: int) -> bool:
    """Waits for all replies. True: librdkafka was making a producer anew when the clock was set back, and waits by it for
    as long as the step; the watchdog has ended the worker, and there is another one now."""

    def is_over() -> bool:
        replies.poll()
        return len(replies.all) >= count or worker.process.poll() is not None

    until("all have replies, or the worker has ended", is_over, 60)
    if len(replies.all) >= count:
        return False
    assert worker.wait() == EXIT_STUCK and "a thread is stuck" in worker.tail(), worker.tail()
    worker.start()
    replies.wait(count)
    return True


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S, 30 * DAY_S, -30 * DAY_S])
def test_worker_whose_wall_clock_steps_under_load_answers_each_request_once(
        step_s, make_worker, upstream, tmp_path, producer, replies, site):
    clock = Clock(tmp_path)
    worker = clock.give(make_worker(upstream.url, kafka__session_timeout_ms=6000, worker__stuck_ms=10_000))
    worker.start().wait_ready()
    load = Load(producer)
    is_replaced = False
    try:
        load.go_on()
        for turn, (phase, ahead_s) in enumerate({"while": step_s, "after": 0}.items(), 1):
            load.phase = "between"
            load.go_on(2)
            if turn == 1:
                replies.wait(len(load.sent))
            clock.set(ahead_s)
            until("it has noticed", lambda turn=turn: worker.log.read_text().count(NOTICED) == turn)
            load.go_on(2)
            load.phase = phase
            load.go_on()
            load.phase = "between"
            load.go_on(2)
            # All are taken by this clock; but brokers refuse a reply that is more than an hour ahead.
            if step_s > HOUR_S and turn == 2:
                is_replaced = answered_or_replaced(worker, replies, len(load.sent))
            elif ahead_s <= HOUR_S:
                replies.wait(len(load.sent))
            else:
                until("its replies are refused", lambda: "INVALID_TIMESTAMP" in worker.log.read_text())
                load.go_on()
    finally:
        sent = load.stop()
    replies.wait(len(sent))
    judge(sent, read_replies(site)).assert_clean()
    if is_replaced:
        return  # its chats have waited for longer than their deadline
    assert set(reasons(replies.all, "before")) == set(reasons(replies.all, "after")) == {"answered"}
    # By a clock that is ahead they have waited for longer than their deadline; one that is behind gives all their time.
    # Where replies are refused nobody can tell when a chat was taken: perhaps not before the clock was right again.
    found = set(reasons(replies.all, "while"))
    assert ("deadline" if step_s > 0 else "answered") in found
    assert len(found) == 1 or step_s > HOUR_S
    assert worker.process.poll() is None
    assert worker.metric("chat_worker_rebalances_total", type="lost") == 0


def test_worker_whose_clock_is_set_back_while_brokers_are_away_ends_and_its_replacement_answers_all(
        make_worker, upstream, tmp_path, site, broker):
    clock = Clock(tmp_path)
    worker = clock.give(make_worker(upstream.url, kafka__max_poll_interval_ms=4000)).start().wait_ready()
    until("it has its partitions", lambda: worker.metric("chat_worker_assigned_partitions") == site.partitions)
    broker.kill()
    until("its partitions are lost", lambda: worker.metric("chat_worker_rebalances_total", type="lost") == 1)
    clock.set(-HOUR_S)
    until("it has noticed", lambda: NOTICED in worker.tail())
    broker.start()
    producer, replies = Producer(site), harness.Replies(site)
    try:
        sent = producer.send_all([chat(f"r{i}", f"c{i}", "Hello") for i in range(20)])
        assert worker.wait() == EXIT_FAILED
        assert "no member since the wall clock was set back" in worker.tail()
        worker.start()
        replies.wait(len(sent))
    finally:
        producer.close()
        replies.close()
    judge(sent, read_replies(site)).assert_clean()
