"""The worker and loads of an odd shape: one conversation that has nearly everything, and very many that have one chat.

CHAT_SIZE=full takes the sizes that the documents speak of; the default ones show the same in less time.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter

import harness
import pytest
from harness import PARTITIONS, Replies, Sent, chat, judge, read_replies, until
from kafka.partitioner.default import murmur2

pytestmark = pytest.mark.deep
IS_FULL = os.environ.get("CHAT_SIZE") == "full"
IS_SANITIZED = b"__asan_init" in harness.Worker.program.read_bytes()
HOT = 20_000 if IS_FULL else 6_000
CONVERSATIONS = 200_000 if IS_FULL else 10_000
MIB = 1 << 20


def home(conversation: str) -> int:
    return (murmur2(conversation.encode()) & 0x7FFFFFFF) % PARTITIONS


class Neighbours:
    """Chats of other conversations at a steady rate, until they are stopped."""

    def __init__(self, site: harness.Site) -> None:
        self.sent: list[Sent] = []
        self._site = site
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        producer = harness.Producer(self._site)
        while not self._is_stopping.wait(0.05):
            number = len(self.sent)
            self.sent += producer.send_all([chat(f"n{number + i}", f"n{number + i}", "Hello") for i in range(5)])
        producer.close()

    def stop(self) -> list[Sent]:
        self._is_stopping.set()
        self._thread.join(60)
        return self.sent


def told(replies: list[harness.Reply]) -> Counter[str]:
    return Counter(reply.body["error"]["reason"] if reply.body["error"] else "answered" for reply in replies)


def test_worker_hot_conversation_keeps_its_order_and_starves_no_other_partition(
        make_worker, upstream, producer, replies: Replies, site, capsys):
    worker = make_worker(upstream.url).start().wait_ready()
    neighbours = Neighbours(site)
    try:
        until("the neighbours are answered", lambda: replies.poll() and len(replies.all) > 50)
        hot = producer.send_all([chat(f"h{i}", "hot", f"{i}") for i in range(HOT)])
        began = time.monotonic()
        seen = {each.request_id for each in hot}

        def is_hot_done() -> bool:
            replies.poll()
            return sum(reply.body["request_id"] in seen for reply in replies.all) == HOT

        until("the hot conversation is answered", is_hot_done, 60)
        took_s = time.monotonic() - began
    finally:
        others = neighbours.stop()
    replies.wait(HOT + len(others), 30)
    judge([*hot, *others], read_replies(site)).assert_clean()
    asked = {(each.partition, each.offset): each for each in others}
    theirs = [reply for reply in replies.all if reply.source in asked]
    late_ms = {True: 0, False: 0}
    for reply in theirs:
        is_beside = reply.source[0] == home("hot")
        late_ms[is_beside] = max(late_ms[is_beside], reply.timestamp_ms - asked[reply.source].timestamp_ms)
    elsewhere = [reply for reply in theirs if reply.source[0] != home("hot")]
    beside = [reply for reply in theirs if reply.source[0] == home("hot")]
    with capsys.disabled():
        print(f"\nhot conversation of {HOT}: {dict(told([r for r in replies.all if r.source not in asked]))} in {took_s:.1f} s; "
              f"other partitions {dict(told(elsewhere))}, slowest {late_ms[False]} ms; "
              f"same partition {dict(told(beside))}, slowest {late_ms[True]} ms")
    assert told(elsewhere) == {"answered": len(elsewhere)}
    # Its own partition waits for it at most until its chats have run out of time.
    assert max(late_ms.values()) < 11_000
    until("the lanes are empty", lambda: worker.metric("chat_worker_waiting") == 0)


def wave(producer: harness.Producer, replies: Replies, name: str, count: int) -> list[Sent]:
    """So many conversations of one chat each, a few thousand under way at a time."""
    sent: list[Sent] = []
    for first in range(0, count, 5000):
        chats = [chat(f"{name}{i}", f"{name}{i}", "Hello") for i in range(first, min(first + 5000, count))]
        before = len(replies.all)
        sent += producer.send_all(chats)
        replies.wait(before + max(0, len(chats) - 4000), 120)
    return sent


def test_worker_memory_returns_after_very_many_conversations(make_worker, producer, replies: Replies, site, tmp_path, capsys):
    with harness.standin(tmp_path, "--latency", "0", "--keepalive", "0") as upstream:
        worker = make_worker(upstream.url, chat__deadline_ms=600_000, worker__drain_ms=601_000,
                             worker__grace_ms=700_000).start().wait_ready()
        sizes: list[int] = []
        sent: list[Sent] = []
        began = time.monotonic()
        for name, count in (("warm", 5000), ("first", CONVERSATIONS), ("second", CONVERSATIONS)):
            sent += wave(producer, replies, name, count)
            replies.wait(len(sent), 300)
            until("the lanes are empty", lambda: worker.metric("chat_worker_waiting") == 0)
            sizes.append(int(worker.metric("process_resident_memory_bytes")))
        took_s = time.monotonic() - began
        with capsys.disabled():
            print(f"\n{2 * CONVERSATIONS} conversations in {took_s:.0f} s: resident "
                  f"{', '.join(f'{size / MIB:.0f}' for size in sizes)} MiB after 5000, {CONVERSATIONS} and as many again; "
                  f"peak {worker.usage()[1] / MIB:.0f} MiB")
        counts = Counter(reply.source for reply in replies.all)
        assert len(counts) == len(sent) and set(counts.values()) == {1}
        # A sanitizer keeps what was freed.
        if not IS_SANITIZED:
            assert sizes[2] < sizes[1] + 8 * MIB, "a second wave needs more memory than the first"
            assert sizes[2] < sizes[0] + 64 * MIB
