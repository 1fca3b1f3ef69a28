"""The worker on topics that are not as they should be: missing, deleted, grown, with gaps, not allowed, too narrow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import harness
import msgpack
import pytest
from harness import PARTITIONS, Replies, Sent, chat, judge, read_replies, read_topic, until
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions

PATIENT = {"chat__deadline_ms": 60000, "worker__drain_ms": 61000}
# Applications learn of new partitions when they look again, by default after five minutes.
QUICK = {"kafka__consumer_properties": ["topic.metadata.refresh.interval.ms=500"]}


def with_admin(site: harness.Site, act: Callable) -> None:
    admin = site.broker.admin()
    try:
        act(admin)
    finally:
        admin.close()


def delete_topic(site: harness.Site, topic: str) -> None:
    def act(admin) -> None:
        admin.delete_topics([topic])
        until("the topic is gone", lambda: topic not in admin.list_topics())

    with_admin(site, act)


def some_chats(name: str, count: int, conversations: int = 40) -> list[dict]:
    return [chat(f"{name}{i}", f"{name}c{i % conversations}", f"{name} {i}") for i in range(count)]


def assert_all_answered(site: harness.Site, sent: list[Sent]) -> None:
    verdict = judge(sent, read_replies(site))
    verdict.assert_clean()
    assert verdict.outcomes == {"answered": len(sent)}


def log_ends(site: harness.Site) -> dict[int, int]:
    """Of the partitions of the requests that hold anything, marks of transactions included."""
    consumer = KafkaConsumer(bootstrap_servers=site.bootstrap)
    try:
        ends = consumer.end_offsets([TopicPartition(site.requests, p) for p in range(PARTITIONS)])
        return {place.partition: end for place, end in ends.items() if end > 0}
    finally:
        consumer.close()


def committed_ends(site: harness.Site) -> dict[int, int]:
    return {partition: offset for partition, (offset, _) in site.committed().items()}


def configure(site: harness.Site, topic: str, settings: dict[str, str]) -> None:
    """Sets the topic's configuration and makes sure that it was taken."""
    def act(admin) -> None:
        answer = admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])
        assert all(each[0] == 0 for each in answer.resources), answer

    with_admin(site, act)


def place_of(records: Iterable[Any]) -> set[tuple[int, int]]:
    return {(each.partition, each.offset) for each in records}


# Missing, deleted, grown.


def test_worker_whose_topics_are_made_after_its_start_answers(make_worker, upstream, replies, site, producer):
    for topic in (site.requests, site.responses, site.dead_letters):
        delete_topic(site, topic)
    worker = make_worker(upstream.url, **PATIENT, **QUICK).start()
    until("it says what is missing", lambda: "UNKNOWN_TOPIC_OR_PART" in worker.tail())
    assert worker.get("/healthz")[0] == 200
    site.broker.create_topics({site.requests: PARTITIONS})
    fresh = harness.Producer(site)
    sent = fresh.send_all(some_chats("r", 50))
    bad = fresh.send_raw(b"\xc1", b"bad")
    fresh.close()
    until("a batch was refused", lambda: worker.metric("chat_worker_commits_total", result="aborted") > 0)
    site.broker.create_topics({site.responses: PARTITIONS})
    replies.wait(51)
    # The topic of dead letters is still not there: no reply waits for it.
    assert "dead letter given up" in worker.log.read_text()
    assert Counter(reply.source for reply in read_replies(site)) == dict.fromkeys(place_of([*sent, bad]), 1)
    assert worker.process.poll() is None


def test_worker_whose_responses_are_deleted_under_way_answers_when_they_are_back(
        make_worker, upstream, producer, replies, site):
    worker = make_worker(upstream.url, **PATIENT, **QUICK).start().wait_ready()
    before = producer.send_all(some_chats("before", 50))
    replies.wait(50)
    assert_all_answered(site, before)
    delete_topic(site, site.responses)
    sent = producer.send_all(some_chats("r", 50))
    until("a batch was refused", lambda: worker.metric("chat_worker_commits_total", result="aborted") > 0)
    assert worker.get("/healthz")[0] == 200
    site.broker.create_topics({site.responses: PARTITIONS})
    until("all are committed", lambda: worker.metric("messaging_client_sent_messages_total") >= 100, 60)
    assert_all_answered(site, sent)
    assert len(upstream.calls()) == 100, "a call that had finished was made again"


@pytest.mark.parametrize("start_from", ["earliest", "latest"])
def test_worker_partitions_added_under_way_are_read(make_worker, upstream, producer, replies, site, start_from):
    worker = make_worker(upstream.url, kafka__start_from=start_from, **PATIENT, **QUICK).start().wait_ready()
    until("all are assigned", lambda: worker.metric("chat_worker_assigned_partitions") == PARTITIONS)
    sent = producer.send_all(some_chats("before", 50))
    replies.wait(50)
    with_admin(site, lambda admin: admin.create_partitions({site.requests: NewPartitions(PARTITIONS + 4)}))
    fresh = harness.Producer(site)
    if start_from == "latest":
        until("the new ones are assigned", lambda: worker.metric("chat_worker_assigned_partitions") == PARTITIONS + 4)
    sent += fresh.send_all(some_chats("after", 200, 200))
    fresh.close()
    assert any(each.partition >= PARTITIONS for each in sent)
    replies.wait(250)
    assert_all_answered(site, sent)


# Where to begin.


def test_worker_from_latest_answers_what_comes_while_it_is_away(make_worker, upstream, producer, replies, site):
    """`latest` is for the first start: from then on also partitions in which nothing has happened have a place."""
    producer.send_all(some_chats("old", 60))
    worker = make_worker(upstream.url, kafka__start_from="latest", **PATIENT).start().wait_ready()
    until("all are assigned", lambda: worker.metric("chat_worker_assigned_partitions") == PARTITIONS)
    until("the places are kept", lambda: len(site.committed()) == PARTITIONS, 10)
    worker.kill()
    sent = producer.send_all(some_chats("away", 60))
    worker.start().wait_ready()
    sent += producer.send_all(some_chats("back", 60))
    replies.wait(120)
    until("nothing is left", lambda: worker.metric("chat_worker_consumer_lag") == 0)
    assert_all_answered(site, sent)
    assert not any(call["text"].startswith("old") for call in upstream.calls())


def test_worker_from_earliest_answers_what_was_there(make_worker, upstream, producer, replies, site):
    sent = producer.send_all(some_chats("old", 60))
    make_worker(upstream.url, kafka__start_from="earliest", **PATIENT).start()
    sent += producer.send_all(some_chats("new", 60))
    replies.wait(120)
    assert_all_answered(site, sent)


# Gaps.


class Aborting:
    """A producer of transactions of which nearly a third is taken back."""

    def __init__(self, site: harness.Site) -> None:
        self.topic = site.requests
        self.kafka = KafkaProducer(bootstrap_servers=site.bootstrap, transactional_id=f"{site.name}-asker", linger_ms=5)
        self.kafka.init_transactions()
        self.number = 0

    def send(self, transactions: int) -> list[Sent]:
        sent = []
        for _ in range(transactions):
            self.number += 1
            is_aborted = self.number % 10 in (2, 5, 8)
            chats = some_chats(f"{'no' if is_aborted else 't'}{self.number}-", 10, 5)
            self.kafka.begin_transaction()
            futures = [self.kafka.send(self.topic, msgpack.packb(each), each["conversation_id"].encode()) for each in chats]
            self.kafka.flush()
            if is_aborted:
                self.kafka.abort_transaction()
                continue
            self.kafka.commit_transaction()
            places = [future.get(10) for future in futures]
            sent += [Sent(each["request_id"], each["conversation_id"], place.partition, place.offset, place.timestamp)
                     for each, place in zip(chats, places, strict=True)]
        return sent


def test_worker_requests_of_aborted_transactions_are_not_answered(make_worker, upstream, replies, site):
    worker = make_worker(upstream.url, **PATIENT).start().wait_ready()
    asking = Aborting(site)
    sent = asking.send(40)
    replies.wait(len(sent))
    worker.kill()
    sent += asking.send(40)
    worker.start()
    sent += asking.send(40)
    replies.wait(len(sent))
    asking.kafka.close()
    # The marks of transactions at the end of each log are no requests, and nothing is behind.
    until("nothing is left", lambda: worker.metric("chat_worker_consumer_lag") == 0)
    ends = log_ends(site)
    until(f"all is committed up to {ends}", lambda: committed_ends(site) == ends)
    assert_all_answered(site, sent)
    assert len(sent) == 120 * 10 * 7 // 10
    assert not any(call["text"].startswith("no") for call in upstream.calls())


COMPACTED = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01",
             "min.compaction.lag.ms": "0", "max.compaction.lag.ms": "200", "delete.retention.ms": "100"}


def compact(site: harness.Site, producer: harness.Producer, name: str) -> list[Sent]:
    """Sends repeats of few keys until some of them are gone, and gives all that were sent."""
    sent = producer.send_all(some_chats(name, 600, 60))

    def is_compacted() -> bool:
        # Only what is not in the newest segment is looked at.
        sent.extend(producer.send_all(some_chats(f"{name}{len(sent)}-", 60, 60)))
        left = [each for each in read_topic(site.bootstrap, site.requests) if each.key.startswith(name.encode())]
        return len(left) < len(sent) * 3 // 4

    until("records are compacted away", is_compacted, 60)
    return sent


def test_worker_reads_over_the_gaps_of_compaction(make_worker, upstream, producer, replies, site):
    """What is still in the log is answered once: compacted before the worker comes, while it works, while it is away."""
    configure(site, site.requests, COMPACTED)
    gone = compact(site, producer, "gone")
    worker = make_worker(upstream.url, **PATIENT).start().wait_ready()
    sent = [*gone, *compact(site, producer, "under")]
    until("nothing is left", lambda: worker.metric("chat_worker_consumer_lag") == 0)
    worker.kill()
    sent += compact(site, producer, "away")
    worker.start().wait_ready()
    sent += producer.send_all(some_chats("last", 60, 60))

    def is_all_answered() -> bool:
        replies.poll()
        left = place_of(read_topic(site.bootstrap, site.requests))
        return left <= {reply.source for reply in replies.all}

    until("all that is left is answered", is_all_answered)
    counts = Counter(reply.source for reply in read_replies(site))
    assert set(counts.values()) == {1}
    assert set(counts) < place_of(sent), "nothing was compacted away before it was read"
    assert {reply.body["outcome"] for reply in replies.all} == {"answered"}
    assert "offset is gone" not in worker.log.read_text()
    until("nothing is left", lambda: worker.metric("chat_worker_consumer_lag") == 0)


def delete_records(site: harness.Site, offsets: dict[int, int]) -> None:
    with_admin(site, lambda admin: admin.delete_records(
        {TopicPartition(site.requests, partition): offset for partition, offset in offsets.items()}))


def test_worker_records_deleted_behind_it_change_nothing(make_worker, upstream, producer, replies, site):
    worker = make_worker(upstream.url, openrouter__first_token_timeout_ms=20000, openrouter__stall_timeout_ms=20000,
                         **PATIENT).start().wait_ready()
    slow, = producer.send_all([chat("slow", "slow", "[[latency 5000]]")])
    until("it is called", lambda: upstream.calls())
    sent = producer.send_all(some_chats("r", 300))
    replies.wait(300)
    # All that was sent, the one that is still called, too.
    ends = {partition: 1 + max(each.offset for each in [slow, *sent] if each.partition == partition)
            for partition in {each.partition for each in [slow, *sent]}}
    delete_records(site, ends)
    sent += producer.send_all(some_chats("after", 100))
    replies.wait(401)
    assert_all_answered(site, [slow, *sent])
    worker.terminate()
    assert worker.wait(60) == 0
    worker.start().wait_ready()
    more = producer.send_all(some_chats("more", 50))
    replies.wait(451)
    assert_all_answered(site, [slow, *sent, *more])


def test_worker_records_deleted_before_it_reads_them_are_told_and_the_rest_is_answered(
        make_worker, upstream, producer, replies, site):
    """A few chats at a time are taken, slowly, so that most lie before the reader when they are deleted."""
    worker = make_worker(upstream.url, worker__max_waiting=12, worker__max_in_flight=4,
                         kafka__consumer_properties=["queued.min.messages=1", "queued.max.messages.kbytes=1",
                                                     "fetch.message.max.bytes=2000"],
                         **PATIENT).start().wait_ready()
    sent = producer.send_all([chat(f"r{i}", f"rc{i % 300}", f"{i} [[latency 300]] {'x' * 2000}") for i in range(1200)])
    replies.wait(20)
    keep = {partition: sorted(each.offset for each in sent if each.partition == partition)[-3]
            for partition in {each.partition for each in sent}}
    delete_records(site, keep)
    kept = [each for each in sent if each.offset >= keep[each.partition]]
    kept += producer.send_all(some_chats("after", 24))
    until("what is left is answered", lambda: replies.poll() is not None and
          place_of(kept) <= {reply.source for reply in replies.all}, 60)
    counts = Counter(reply.source for reply in read_replies(site))
    assert set(counts.values()) == {1}
    assert len(counts) < len(sent), "nothing was deleted in time"
    assert worker.metric("chat_worker_offsets_lost_total") > 0
    assert "offset is gone" in worker.log.read_text()
    until("nothing is left", lambda: worker.metric("chat_worker_consumer_lag") == 0)


# Too narrow.


def test_worker_reply_that_fits_only_without_its_echoes_is_not_in_the_way(make_worker, upstream, producer, replies, site):
    """What a request has echoed may be larger than what the topic takes: its reply goes without, and others go on."""
    configure(site, site.responses, {"max.message.bytes": "2500"})
    worker = make_worker(upstream.url, **PATIENT).start().wait_ready()
    value = msgpack.packb(chat("wide", "wide", "Hello"))
    wide = producer.send_raw(value, b"wide", [("correlation-id", b"x" * 3000), ("chat-replay-id", b"y" * 3000)])
    sent = producer.send_all(some_chats("r", 50))
    replies.wait(51, 30)
    assert Counter(reply.source for reply in read_replies(site)) == dict.fromkeys(place_of([wide, *sent]), 1)
    reply = next(each for each in replies.all if each.source == (wide.partition, wide.offset))
    assert (reply.body["outcome"], reply.body["error"]["reason"]) == ("fallback", "reply_too_large")
    assert reply.body["request_id"] == "wide" and reply.key == b"wide"
    until("nothing is left", lambda: worker.metric("chat_worker_consumer_lag") == 0)
