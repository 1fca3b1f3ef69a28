"""The worker with hedging on: a second call beside a slow one, the first content wins, and all of it is counted."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import harness
import psutil
import pytest
from harness import chat, judge, read_replies, until

FIRST, SECOND = "stand-in/first", "stand-in/second"
# Hedges come soon here, and attempts do not end by their own clock before.
SETTINGS: dict[str, Any] = {
    "hedge__enabled": True,
    "hedge__max_share": 1.0,
    "hedge__delay_ms": 400,
    "hedge__delay_min_ms": 300,
    "openrouter__first_token_timeout_ms": 8000,
    "openrouter__connect_timeout_ms": 3000,
}


def models(upstream: harness.Standin) -> list[str]:
    return [call["model"] for call in upstream.calls()]


def hedges(worker: harness.Worker) -> dict[str, int]:
    words = ("started", "won", "lost", "no_share", "no_budget", "no_model", "no_slot", "no_time", "no_memory", "draining")
    counts = {word: int(worker.metric("chat_worker_hedges_total", result=word)) for word in words}
    return {word: count for word, count in counts.items() if count > 0}


def connections(worker: harness.Worker, upstream: harness.Standin) -> int:
    """How many the worker has to the stand-in."""
    port = urlsplit(upstream.url).port
    return sum(each.status == psutil.CONN_ESTABLISHED and bool(each.raddr) and each.raddr.port == port
               for each in psutil.Process(worker.pid).net_connections("tcp"))


def test_worker_hedge_second_model_answers_while_the_first_is_stuck(make_worker, upstream, producer, replies, site):
    worker = make_worker(upstream.url, **SETTINGS).start().wait_ready()
    sent = producer.send_all([chat("r-1", "c-1", f"[[stall model {FIRST}]] [[ttft 1000]] [[latency 5000]] Hello")])
    until("both calls run", lambda: connections(worker, upstream) == 2)
    # The stuck call is cancelled at the first content of the other, long before that has answered.
    until("the connection of the stuck call is closed", lambda: connections(worker, upstream) == 1)
    assert replies.poll() == []
    (reply,) = replies.wait(1, 15)
    assert reply.body["outcome"] == "answered"
    assert reply.body["model"] == SECOND
    assert reply.body["attempts"] == 2
    assert models(upstream) == [FIRST, SECOND]
    until("its end is counted", lambda: worker.metric("chat_worker_upstream_attempts_total", status="cancelled") == 1)
    assert worker.metric("chat_worker_upstream_attempts_total", status="200") == 1
    assert worker.metric("chat_worker_upstream_retries_total") == 0
    assert hedges(worker) == {"started": 1, "won": 1}
    assert worker.metric("chat_worker_stale_results_total") == 0
    judge(sent, read_replies(site)).assert_clean()


def test_worker_hedge_first_model_that_speaks_in_the_end_wins(make_worker, upstream, producer, replies, site):
    worker = make_worker(upstream.url, **SETTINGS).start().wait_ready()
    text = f"[[stall model {SECOND}]] [[ttft 1500]] [[latency 1600]] Hello"
    sent = producer.send_all([chat("r-1", "c-1", text)])
    (reply,) = replies.wait(1, 15)
    assert (reply.body["outcome"], reply.body["model"], reply.body["attempts"]) == ("answered", FIRST, 2)
    assert models(upstream) == [FIRST, SECOND]
    until("the second call's end is counted",
          lambda: worker.metric("chat_worker_upstream_attempts_total", status="cancelled") == 1)
    assert hedges(worker) == {"started": 1, "lost": 1}
    judge(sent, read_replies(site)).assert_clean()


def test_worker_hedge_both_stuck_is_a_fallback_by_the_deadline(make_worker, upstream, producer, replies, site):
    worker = make_worker(upstream.url, chat__deadline_ms=4000, **SETTINGS | {"openrouter__first_token_timeout_ms": 3900,
                         "openrouter__stall_timeout_ms": 2000, "retry__max_attempts": 1}).start().wait_ready()
    sent = producer.send_all([chat("r-1", "c-1", "[[stall]] Hello")])
    (reply,) = replies.wait(1, 15)
    assert (reply.body["outcome"], reply.body["error"]["reason"]) == ("fallback", "timeout")
    assert reply.body["attempts"] == 2
    until("both connections are closed", lambda: connections(worker, upstream) == 0)
    assert hedges(worker) == {"started": 1, "lost": 1}
    judge(sent, read_replies(site)).assert_clean()


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_worker_hedge_share_is_a_bound_and_every_call_is_accounted_for(
        make_worker, upstream, producer, replies, site, share):
    chats = 100
    worker = make_worker(upstream.url, **SETTINGS | {"hedge__max_share": share}).start().wait_ready()
    sent = producer.send_all([chat(f"r-{i}", f"c-{i}", "[[ttft 1500]] [[latency 1550]] Hello") for i in range(chats)])
    found = replies.wait(chats, 30)
    assert Counter(reply.body["outcome"] for reply in found) == {"answered": chats}
    calls = len(upstream.calls())
    until("all calls are back", lambda: worker.metric("chat_worker_upstream_attempts_total") == calls)
    counts = hedges(worker)
    print(counts)
    assert 0 < counts["started"] <= chats * share
    assert 0 < counts["no_share"] <= chats - counts["started"]
    assert counts.get("won", 0) + counts.get("lost", 0) == counts["started"]
    assert calls == chats + counts["started"] == sum(reply.body["attempts"] for reply in found)
    judge(sent, read_replies(site)).assert_clean()


def test_worker_hedge_is_off_by_default(make_worker, upstream, producer, replies, site):
    worker = make_worker(upstream.url).start().wait_ready()
    sent = producer.send_all([chat("r-1", "c-1", "[[ttft 2500]] [[latency 2550]] Hello")])
    (reply,) = replies.wait(1, 15)
    assert (reply.body["outcome"], reply.body["attempts"]) == ("answered", 1)
    assert models(upstream) == [FIRST]
    assert hedges(worker) == {}
    judge(sent, read_replies(site)).assert_clean()
