"""The worker while something runs out: time, threads, descriptors, memory, processor, or whoever reads its log."""

from __future__ import annotations

import pytest
from harness import BUILD, chat, judge, read_replies, until

CRASH = BUILD / "tests/chaos/chat-worker-crash"
STUCK_MS = 3000
EXIT_INTERNAL = 70


def chats(name: str, count: int) -> list[dict[str, object]]:
    """Of twenty conversations, so that order is something to keep."""
    return [chat(f"{name}{i}", f"c-{name}{i % 20}", "Hello") for i in range(count)]


# The thread that hangs, by a place that it alone passes (chaos/crash_points.c).
PLACES = {"flow": "taken:5", "upstream": "hearing:5", "publisher": "begun:2"}


@pytest.mark.parametrize("thread", PLACES)
def test_worker_with_a_stuck_thread_ends_and_its_replacement_answers_all(
        thread, make_worker, upstream, producer, replies, site):
    worker = make_worker(upstream.url, worker__stuck_ms=STUCK_MS)
    worker.program = CRASH
    worker.environment = {"CHAT_CRASH": f"{PLACES[thread]}:hang"}
    worker.start()
    first = producer.send_all(chats("a", 60))
    until("it hangs", lambda: '"event":"crash point"' in worker.tail())
    # The load goes on meanwhile: threads that have work still beat, and must not hide the one that does not.
    assert worker.wait(30) == EXIT_INTERNAL
    told = next(line for line in worker.tail().splitlines() if "a thread is stuck" in line)
    assert f'"thread":"{thread}"' in told and f'"silent_ms":{STUCK_MS}' in told
    second = producer.send_all(chats("b", 20))
    make_worker(upstream.url, kafka__transactional_id=f"{site.name}-w0", name="w1").start()
    replies.wait(len(first) + len(second))
    judge([*first, *second], read_replies(site)).assert_clean()
