"""One chat that takes long, and 10,000 of its partition that finish above it: a crash repeats none of those."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from harness import Producer, Replies, Sent, Site, chat, judge, read_replies, until

pytestmark = pytest.mark.deep
ABOVE = 10_000
PARTITION = 5


def send_to_partition(producer: Producer, chats: list[dict]) -> list[Sent]:
    """All to one partition, which is not the way of a producer that means well."""
    futures = [(body, producer.kafka.send(producer.topic, json.dumps(body).encode(), body["conversation_id"].encode(),
                                          headers=[("content-type", b"application/json")], partition=PARTITION))
               for body in chats]
    producer.kafka.flush(120)
    places = [(body, future.get(60)) for body, future in futures]
    return [Sent(body["request_id"], body["conversation_id"], place.partition, place.offset, place.timestamp)
            for body, place in places]


def progress(site: Site) -> tuple[int, int]:
    """The committed offset, and how many characters say what is finished above it."""
    offset, metadata = site.committed()[PARTITION]
    return offset, len(metadata.split(":")[3])


def test_worker_killed_behind_10000_finished_chats_repeats_none(
        make_worker, upstream, producer, replies: Replies, site: Site):
    settings = {"retry__max_attempts": 1, "chat__deadline_ms": 300000, "worker__drain_ms": 301000,
                "openrouter__first_token_timeout_ms": 299000, "openrouter__stall_timeout_ms": 299000}
    worker = make_worker(upstream.url, **settings).start().wait_ready()
    stuck, = send_to_partition(producer, [chat("stuck", "c-stuck", "[[latency 280000]]")])
    until("the stuck chat is called", lambda: len(upstream.calls()) == 1)
    above = send_to_partition(producer, [chat(f"r{i}", f"c{i}", f"chat {i}") for i in range(ABOVE)])
    replies.wait(ABOVE, 120)

    def is_committed() -> bool:
        offset, size = progress(site)
        return offset == stuck.offset and size >= ABOVE // 6

    until("the progress above the stuck chat is committed", is_committed)
    worker.kill()
    worker.start()
    until("the stuck chat is called again",
          lambda: Counter(call["text"] for call in upstream.calls())["[[latency 280000]]"] == 2)
    after, = send_to_partition(producer, [chat("after", "c-after", "Are you back?")])
    replies.wait(ABOVE + 1, 60)
    until("all that is finished was skipped", lambda: worker.metric("chat_worker_skipped_finished_total") == ABOVE)
    counts = Counter(call["text"] for call in upstream.calls())
    again = [each for each, count in counts.items() if count > 1]
    print(f"{ABOVE} finished and committed above a stuck chat, killed: {len(again) - 1} of them called again")
    assert again == ["[[latency 280000]]"]
    judge([*above, after], read_replies(site)).assert_clean()
