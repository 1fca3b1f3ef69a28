"""A worker that stood still for longer than its session, while another one took over: it begins no call for chats that the
other one has answered. One that nobody has missed goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import harness
from harness import Site, Standin, Worker, chat, judge, read_replies, until

from kafka_broker import die_with_parent

CHATS = 100
WAIT_S = 5  # longer than the session of two seconds
# A chat's first call is told to wait for so long, and so does every chat, since there is no other model.
ASKED_TO_WAIT = f" [[429 once retry-after {WAIT_S}]]"
SETTINGS = {"openrouter__models": ["stand-in/first"], "retry__budget_max": 10 * CHATS, "breaker__min_calls": 1_000_000,
            "chat__deadline_ms": 30_000, "worker__drain_ms": 31_000}


def owned(worker: Worker) -> float:
    return worker.metric("chat_worker_assigned_partitions")


def chats(name: str, suffix: str = "") -> list[dict[str, object]]:
    return [chat(f"{name}{i}", f"c-{name}{i}", f"{name} {i}{suffix}") for i in range(CHATS)]


def group_threads(worker: Worker) -> list[int]:
    """Those of librdkafka that hear of the group."""
    tasks = Path(f"/proc/{worker.pid}/task").iterdir()
    return [int(task.name) for task in tasks if (task / "comm").read_text().strip() == "rdk:main"]


@contextmanager
def frozen(worker: Worker) -> Iterator[None]:
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker.pid, signal.SIGCONT)


@contextmanager
def starved(threads: list[int]) -> Iterator[None]:
    """They get what somebody who never rests leaves over of one processor: next to nothing. Later any processor again."""
    processors = os.sched_getaffinity(0)
    processor = min(processors)

    def share() -> None:
        die_with_parent()
        os.sched_setaffinity(0, {processor})

    with subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=share) as glutton:
        try:
            for thread in threads:
                os.sched_setaffinity(thread, {processor})
                os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
            yield
        finally:
            glutton.kill()
            for thread in threads:
                with suppress(ProcessLookupError, PermissionError):  # only some users may give up being idle
                    os.sched_setaffinity(thread, processors)
                    os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def calls(upstream: Standin) -> int:
    return len(upstream.calls())


def test_worker_thawed_after_another_took_over_begins_no_call_for_what_is_answered(
        make_worker, upstream, producer, replies, site: Site):
    one, other = (make_worker(upstream.url, name, **SETTINGS).start().wait_ready() for name in ("w0", "w1"))
    until("each has its share", lambda: owned(one) == owned(other) == harness.PARTITIONS / 2)
    sent = producer.send_all(chats("a", ASKED_TO_WAIT))
    # A call that was handed over, and not sent yet, would be sent after the thaw.
    until("its chats wait, and no call of them runs",
          lambda: one.metric("chat_worker_cooling_models") == 1 and one.metric("chat_worker_inflight") == 0)
    with ExitStack() as until_told:
        with frozen(one):
            replies.wait(CHATS)
            before = calls(upstream)
            until_told.enter_context(starved(group_threads(one)))
        until("it hears of its loss", lambda: one.metric("chat_worker_rebalances_total", type="lost") > 0, 120)
    until("it has partitions again", lambda: owned(one) > 0)
    wasted = calls(upstream) - before
    print(f"{wasted} calls by the thawed worker for chats that were answered")
    more = producer.send_all(chats("b"))
    replies.wait(2 * CHATS)
    verdict = judge([*sent, *more], read_replies(site))
    verdict.assert_clean()
    assert verdict.outcomes == {"answered": 2 * CHATS}
    assert wasted == 0


def test_worker_thawed_that_is_a_member_still_begins_calls_again(make_worker, upstream, producer, replies, site: Site):
    """Frozen for longer than a session less the time between heartbeats, which is when doubt begins, but not much longer, so
    that the group hardly ever misses it; if it does, the worker joins again."""
    worker = make_worker(upstream.url, kafka__session_timeout_ms=6000, kafka__heartbeat_interval_ms=2000).start()
    worker.wait_ready()
    with frozen(worker):
        sent = producer.send_all(chats("a"))
        thaw_s = time.monotonic() + 4.2
        until("it stood still for long enough", lambda: time.monotonic() >= thaw_s)
    until("it has seen that", lambda: "stood still" in worker.log.read_text())
    # The deadline is ten seconds.
    more = producer.send_all(chats("b"))
    replies.wait(len(sent) + len(more))
    verdict = judge([*sent, *more], read_replies(site))
    verdict.assert_clean()
    assert verdict.outcomes == {"answered": len(sent) + len(more)}
    assert calls(upstream) == len(sent) + len(more)
