"""Brokers gone for longer than the session, and partitions that come back: no call is made again.

PARK_OUTAGE_S sets how long the brokers stand still (default 8 s: session and transaction time-outs are over by then).
"""

from __future__ import annotations

import os
import time
from collections import Counter

import harness
from harness import Replies, Sent, Site, Standin, Worker, chat, judge, read_replies, until

OUTAGE_S = float(os.environ.get("PARK_OUTAGE_S", "8"))
RATE = 100  # chats a second
LOAD_S = 4.0
# Of the client and the broker; the broker looks for transactions that are too old five times a second.
TRANSACTION_S = 4
LATENCIES_MS = (30, 300, 1500, 2500)
# Another attempt, because one takes longer than others did, is not what is looked for here.
PATIENT = {"retry__max_attempts": 1, "openrouter__first_token_timeout_ms": 9000, "openrouter__stall_timeout_ms": 9000}


def text(number: int) -> str:
    return f"chat {number} [[latency {LATENCIES_MS[number % len(LATENCIES_MS)]}]]"


def send_for(producer: harness.Producer, seconds: float) -> list[Sent]:
    """Chats at a steady rate; three of four are in a conversation with others."""
    sent: list[Sent] = []
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * RATE) - len(sent)
        if due <= 0:
            until("the next chat is due", lambda: int((time.monotonic() - began) * RATE) > len(sent))
            continue
        numbers = range(len(sent), len(sent) + due)
        sent += producer.send_all([chat(f"r{n}", f"c{n if n % 4 == 0 else n % 97}", text(n)) for n in numbers])
    return sent


def calls_by_text(upstream: Standin) -> Counter[str]:
    return Counter(call["text"].partition(" [[")[0] for call in upstream.calls())


def wait_for_outage(worker: Worker, paused: float) -> None:
    until("all partitions are lost", lambda: worker.metric("chat_worker_rebalances_total", type="lost") > 0)
    until("the calls that ran have ended", lambda: worker.metric("chat_worker_inflight") == 0)
    until("the outage is over", lambda: time.monotonic() - paused >= OUTAGE_S, OUTAGE_S + 5)


def assert_called_once(upstream: Standin, replies: Replies, sent: list[Sent]) -> Counter[str]:
    """No chat has two calls, and each that has one got its answer."""
    calls = calls_by_text(upstream)
    twice = {name: count for name, count in calls.items() if count > 1}
    assert not twice, f"{len(twice)} chats were called again, such as {list(twice.items())[:3]}"
    outcomes = {reply.body["request_id"]: reply.body["outcome"] for reply in replies.all}
    called = {f"r{name.removeprefix('chat ')}" for name in calls}
    assert {outcomes[each] for each in called} == {"answered"}
    # The others were never read before the brokers went, and their time is over.
    assert {outcomes[each.request_id] for each in sent} <= {"answered", "fallback"}
    return Counter(outcomes.values())


def test_worker_brokers_gone_longer_than_the_session_repeat_no_call(
        make_worker, upstream, producer, replies, site: Site):
    hasty = [f"transaction.timeout.ms={TRANSACTION_S * 1000}"]
    worker = make_worker(upstream.url, kafka__producer_properties=hasty, **PATIENT).start().wait_ready()
    sent = send_for(producer, LOAD_S)
    site.broker.pause()
    try:
        paused = time.monotonic()
        running = worker.metric("chat_worker_inflight")
        wait_for_outage(worker, paused)
        kept = worker.metric("chat_worker_parked_replies")
        assert running > 0 and kept > 0
        assert worker.metric("chat_worker_parked_calls") == 0
        called = len(upstream.calls())
        # Replies count when they are committed.
        assert worker.metric("chat_worker_requests_total") == called - kept
    finally:
        site.broker.resume()
    replies.wait(len(sent), 60)
    recovered = time.monotonic() - paused
    outcomes = assert_called_once(upstream, replies, sent)
    judge(sent, read_replies(site)).assert_clean()
    used = worker.metric("chat_worker_reused_results_total")
    print(f"brokers gone for {OUTAGE_S:g} s: {len(sent)} chats, {called} called before, {running:g} of them running; "
          f"{kept:g} replies kept, {used:g} used; {dict(outcomes)}; 0 called again, all replied to "
          f"{recovered - OUTAGE_S:.1f} s after the brokers were back")
    assert used > 0
    until("all is counted", lambda: worker.metric("chat_worker_requests_total") == len(sent))
    until("nothing is kept any more", lambda: worker.metric("chat_worker_parked_bytes") == 0)
    assert worker.process.poll() is None


def test_worker_partitions_taken_by_one_that_dies_come_back_to_running_calls(
        make_worker, upstream, producer, replies, site: Site):
    slow = {**PATIENT, "openrouter__first_token_timeout_ms": 29000, "openrouter__stall_timeout_ms": 29000,
            "chat__deadline_ms": 30000, "worker__drain_ms": 31000}
    first = make_worker(upstream.url, "first", **slow).start().wait_ready()
    sent = producer.send_all([chat(f"r{i}", f"c{i}", f"chat {i} [[latency 12000]]") for i in range(300)])
    until("all are called", lambda: first.metric("chat_worker_inflight") == 300)
    second = make_worker(upstream.url, "second", **slow).start()
    until("the second has called its share, too",
          lambda: 0 < first.metric("chat_worker_parked_calls") == second.metric("chat_worker_inflight"))
    begun = int(second.metric("chat_worker_inflight"))
    second.kill()
    until("all is back", lambda: first.metric("chat_worker_assigned_partitions") == harness.PARTITIONS)
    replies.wait(len(sent), 60)
    verdict = judge(sent, read_replies(site))
    verdict.assert_clean()
    assert verdict.outcomes == {"answered": 300}
    # The first made each call once; those that the second had begun died with it.
    assert len(upstream.calls()) == 300 + begun
    assert first.metric("chat_worker_reused_results_total") == begun
    print(f"{begun} of 300 calls ran on while their partitions were away, and were used; 0 were made again")
