"""The worker in a control group, as a container has one: too little memory, little of the processor, too few threads."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import cgroup_tool
import harness
import pytest
from cgroup_tool import Cgroup
from harness import chat, judge, read_replies, until

PERIOD_US = 100_000
CORE_TENTH_US = PERIOD_US // 10
EXIT_FAILED = 1
# The sanitizer's search for leaks wants a thread of its own at the exit.
NO_LEAK_SEARCH = {"ASAN_OPTIONS": "detect_leaks=0"}


@pytest.fixture
def memory() -> Iterator[Cgroup]:
    with cgroup_tool.cgroup("memory", "memory.swappiness") as group:
        group.set("memory.swappiness", 0)  # or what does not fit goes there, where the machine has swap
        yield group


@pytest.fixture
def processor() -> Iterator[Cgroup]:
    with cgroup_tool.cgroup("cpu", "cpu.cfs_quota_us") as group:
        yield group


@pytest.fixture
def threads() -> Iterator[Cgroup]:
    with cgroup_tool.cgroup("pids", "pids.max") as group:
        yield group


def test_worker_killed_for_its_memory_is_replaced_and_each_request_has_one_reply(
        memory, make_worker, upstream, producer, replies, site):
    worker = make_worker(upstream.url)
    memory.hold(worker)
    worker.start().wait_ready()
    few = producer.send_all([chat(f"a{i}", f"c{i % 20}", "Hello") for i in range(100)])
    replies.wait(len(few))
    # Room for some chats more than it has, and not for all that come.
    memory.set("memory.limit_in_bytes", memory.get("memory.usage_in_bytes") + (8 << 20))
    large = producer.send_all([chat(f"b{i}", f"c{i % 20}", "a" * 100_000) for i in range(150)])
    assert worker.wait() == -signal.SIGKILL
    assert memory.counts("memory.oom_control")["oom_kill"] == 1
    make_worker(upstream.url, name="w1", kafka__transactional_id=f"{site.name}-w0").start()
    replies.wait(len(few) + len(large), 120)
    judge([*few, *large], read_replies(site)).assert_clean()


def test_worker_with_a_tenth_of_a_processor_answers_all_and_keeps_its_place(
        processor, make_worker, upstream, producer, replies, site):
    processor.set("cpu.cfs_period_us", PERIOD_US)
    processor.set("cpu.cfs_quota_us", CORE_TENTH_US)
    worker = make_worker(upstream.url, kafka__session_timeout_ms=6000, worker__stuck_ms=10_000)
    processor.hold(worker)
    worker.start().wait_ready()
    sent = producer.send_all([chat(f"a{i}", f"c{i % 20}", "Hello") for i in range(400)])
    replies.wait(len(sent))
    verdict = judge(sent, read_replies(site))
    verdict.assert_clean()
    assert processor.counts("cpu.stat")["nr_throttled"] > 0
    assert set(verdict.outcomes) <= {"answered", "fallback"}
    assert worker.process.poll() is None and "a thread is stuck" not in worker.tail()
    assert worker.metric("chat_worker_rebalances_total", type="lost") == 0


def test_worker_that_may_have_too_few_threads_says_so_and_ends(
        threads, make_worker, upstream, producer, replies, site):
    """Whichever is the first that it cannot have; librdkafka by itself would abort at some and hang at others."""

    def start(count: int) -> harness.Worker:
        threads.set("pids.max", count)
        worker = make_worker(upstream.url, name=f"w{count}", environment=NO_LEAK_SEARCH)
        threads.hold(worker)
        return worker.start()

    def told(worker: harness.Worker, name: str) -> int:
        found = re.search(rf'"too few threads.*"{name}":(\d+)', worker.tail())
        assert found, worker.tail()
        return int(found[1])

    first = start(1)
    assert first.wait(30) == EXIT_FAILED
    needed = told(first, "needed")
    for count in range(2, needed + 1):
        worker = start(count)
        assert worker.wait(30) == EXIT_FAILED
        assert told(worker, "possible") == count - 1
        assert "cannot start" in worker.tail(), worker.tail()
    start(needed + 1).wait_ready()
    sent = producer.send_all([chat("a", "c", "Hello")])
    replies.wait(len(sent))
    judge(sent, read_replies(site)).assert_clean()
