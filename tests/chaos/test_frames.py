"""Single frames of transactions lost, late or doubled on Apache Kafka: every request still has exactly one reply.

Each test lets a worker answer a small load through the proxy and interferes with one frame. At the end every request has
one reply, in its conversation's order, and no transaction is open.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import harness
import pytest
from frame_proxy import (
    ADD_OFFSETS,
    ADD_PARTITIONS,
    CUT,
    DROP,
    DUPLICATE,
    END_TXN,
    HOLD,
    HOLD_ASIDE,
    PRODUCE,
    REQUEST,
    RESPONSE,
    TXN_OFFSET_COMMIT,
    FrameProxy,
    Rule,
)
from harness import Worker, until
from stage import PLANTED, Load, arrived, finish, late_copy, let_it_arrive, open_ends

STEPS = {ADD_PARTITIONS: "AddPartitions", ADD_OFFSETS: "AddOffsets", TXN_OFFSET_COMMIT: "TxnOffsetCommit"}
FENCED = {22, 25, 47, 49, 90}  # of the group or of the producer
UNTOUCHED = {"aborted": 0, "uncertain": 0, "renewed": 0, "rule E1": 0}
BY_RULE_E1 = {"aborted": 0, "uncertain": 1, "renewed": 1, "rule E1": 1}
# From this version of EndTxn on brokers raise the epoch with each end, and copies are fenced without rule E1 (KIP-890).
# librdkafka does not speak it, so all here is the same on brokers that have it (Kafka 4) and that do not (Kafka 3.9).
RAISES_EPOCH = 5
# Short, so that a frame that never comes is given up within a test's time.
HASTY = {"kafka__producer_properties": ["transaction.timeout.ms=4000"]}


@pytest.fixture
def worker(make_worker, upstream) -> Worker:
    return make_worker(upstream.url, chat__deadline_ms=60000, worker__drain_ms=61000, **HASTY).start().wait_ready()


@pytest.fixture
def load(site, worker, replies) -> Iterator[Load]:
    load = Load(site)
    try:
        replies.wait(10)
        yield load
    finally:
        load.stop()


def ends(worker: Worker) -> dict[str, float]:
    found = {word: worker.metric("chat_worker_commits_total", result=word) for word in ("aborted", "uncertain")}
    found["renewed"] = worker.metric("chat_worker_producer_restarts_total")
    found["rule E1"] = worker.metric("chat_worker_producer_restarts_total", reason="unanswered")
    return found


def committed_more(worker: Worker) -> Callable[[], bool]:
    """Whether the worker has gone on for three transactions from now."""
    before = worker.metric("chat_worker_commits_total", result="committed")
    return lambda: worker.metric("chat_worker_commits_total", result="committed") >= before + 3


def epochs(proxy: FrameProxy) -> set[int]:
    """Of the producer, in all ends of transactions that it asked for."""
    return {frame.epoch() for frame in proxy.frames(END_TXN)}


# K1


@pytest.mark.parametrize("side,action", [(RESPONSE, CUT), (REQUEST, CUT)], ids=["answer lost", "request lost"])
def test_end_txn_lost_with_its_connection_is_resolved_under_rule_e1(worker, load, replies, site, proxy, side, action):
    rule = proxy.add(Rule(END_TXN, action, side))
    rule.wait()
    until("rule E1 has acted", lambda: ends(worker)["rule E1"] == 1)
    until("it goes on", committed_more(worker))
    finish(site, load, replies)
    assert ends(worker) == BY_RULE_E1


@pytest.mark.ci
def test_end_txn_answer_that_never_comes_is_resolved_from_what_is_committed(worker, load, replies, site, proxy):
    rule = proxy.add(Rule(END_TXN, DROP, RESPONSE))
    rule.wait()
    until("its end is uncertain", lambda: ends(worker)["uncertain"] == 1)
    until("it goes on", committed_more(worker))
    finish(site, load, replies)
    assert ends(worker)["renewed"] == 1


# K2


def test_end_txn_copy_that_arrives_in_the_next_transaction_is_fenced(worker, load, replies, site, proxy):
    stray, half_done = late_copy(proxy, END_TXN)
    assert ends(worker) == BY_RULE_E1
    assert let_it_arrive(proxy, stray) in FENCED
    assert open_ends(site.bootstrap, [site.responses]), "the half-done transaction must still be open"
    half_done.release()
    until("it goes on", committed_more(worker))
    finish(site, load, replies)
    assert ends(worker) == BY_RULE_E1
    assert epochs(proxy) == {stray.hits[0].epoch(), stray.hits[0].epoch() + 1}


def test_end_txn_copy_that_arrives_in_the_next_transaction_makes_duplicates_without_rule_e1(
        make_worker, upstream, replies, site, proxy, monkeypatch):
    monkeypatch.setattr(Worker, "program", PLANTED)
    worker = make_worker(upstream.url, environment={"CHAT_PLANT": "no-rule-e1"}, **HASTY).start().wait_ready()
    load = Load(site)
    try:
        replies.wait(10)
        stray, half_done = late_copy(proxy, END_TXN)
        assert ends(worker) == UNTOUCHED
        assert stray.hits[0].api_version < RAISES_EPOCH and epochs(proxy) == {stray.hits[0].epoch()}
        assert let_it_arrive(proxy, stray) == 0
        assert not open_ends(site.bootstrap, [site.responses]), "the copy must have committed the half-done transaction"
        half_done.release()
    finally:
        sent = load.stop()
    replies.wait(len(sent) + 1)
    until("the rest", lambda: not (replies.poll() or harness.judge(sent, replies.all).lost))
    verdict = harness.judge(sent, replies.all)
    print(f"without rule E1: {len(verdict.duplicates)} requests have two replies, {len(verdict.lost)} have none")
    assert verdict.duplicates


# K3

WAYS = {
    "request lost": (CUT, REQUEST, BY_RULE_E1),
    "answer lost": (CUT, RESPONSE, BY_RULE_E1),
    "doubled": (DUPLICATE, REQUEST, UNTOUCHED),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", STEPS, ids=STEPS.values())
def test_step_lost_or_doubled_leaves_one_reply_each(worker, load, replies, site, proxy, key, way):
    action, side, expected = WAYS[way]
    proxy.add(Rule(key, action, side)).wait()
    until("it goes on", committed_more(worker))
    finish(site, load, replies)
    assert ends(worker) == expected


@pytest.mark.ci
@pytest.mark.parametrize("key", STEPS, ids=STEPS.values())
def test_step_held_for_a_while_only_delays(worker, load, replies, site, proxy, key):
    rule = proxy.add(Rule(key, HOLD))
    rule.wait()
    until("work piles up behind it", lambda: len(load.sent) > len(replies.all) + 20 or replies.poll())
    rule.release()
    until("it goes on", committed_more(worker))
    finish(site, load, replies)
    assert ends(worker) == UNTOUCHED


@pytest.mark.ci
@pytest.mark.parametrize("key", STEPS, ids=STEPS.values())
def test_step_copy_that_arrives_in_the_next_transaction_changes_nothing(worker, load, replies, site, proxy, key):
    stray, half_done = late_copy(proxy, key)
    stray.release()
    until("the held copy has arrived", lambda: arrived(proxy, stray))
    half_done.release()
    until("it goes on", committed_more(worker))
    finish(site, load, replies)
    assert ends(worker) == BY_RULE_E1


@pytest.mark.ci
def test_offsets_answer_that_never_comes_is_given_up_in_time(worker, load, replies, site, proxy):
    proxy.add(Rule(TXN_OFFSET_COMMIT, DROP, RESPONSE)).wait()
    until("it goes on", committed_more(worker))
    finish(site, load, replies)
    assert ends(worker)["renewed"] == 1


# K4


@pytest.mark.ci
def test_produce_held_past_the_end_of_its_transaction_writes_nothing_later(worker, load, replies, site, proxy):
    stray = proxy.add(Rule(PRODUCE, HOLD))
    stray.wait()
    until("the transaction was given up", lambda: ends(worker)["renewed"] >= 1)
    until("it goes on", committed_more(worker))
    stray.release()
    until("the held copy has arrived", lambda: arrived(proxy, stray))
    until("it goes on", committed_more(worker))
    finish(site, load, replies)
    assert ends(worker)["renewed"] == 1


def test_produce_copy_that_arrives_in_the_next_transaction_writes_nothing(worker, load, replies, site, proxy):
    stray, half_done = late_copy(proxy, PRODUCE)
    stray.release()
    until("the held copy has arrived", lambda: arrived(proxy, stray))
    half_done.release()
    until("it goes on", committed_more(worker))
    finish(site, load, replies)
    assert ends(worker) == BY_RULE_E1


@pytest.mark.parametrize("side", [REQUEST, RESPONSE])
def test_produce_lost_with_its_connection_is_resolved_under_rule_e1(worker, load, replies, site, proxy, side):
    proxy.add(Rule(PRODUCE, CUT, side)).wait()
    until("it goes on", committed_more(worker))
    finish(site, load, replies)
    assert ends(worker) == BY_RULE_E1
