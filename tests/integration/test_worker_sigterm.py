"""SIGTERM at moments when the worker is not simply at work: it ends in order and in time, and nothing is lost.

With calls running, and twice: test_worker.py."""

from __future__ import annotations

import harness
import pytest
from harness import chat, judge, read_replies, until

# Who is a member no more within this was not thrown out, but left.
LONG_SESSION = {"kafka__session_timeout_ms": 20_000}
DRAIN_MS = 12_000


def chats(count: int) -> list[dict[str, object]]:
    return [chat(f"r{i}", f"c{i % 20}", "Hello") for i in range(count)]


def members(site: harness.Site) -> tuple[str, int]:
    """State of the group and how many members it has, ghosts included."""
    admin = site.broker.admin()
    try:
        found = admin.describe_consumer_groups([site.group])[0]
        return found.state, len(found.members)
    finally:
        admin.close()


def test_worker_sigterm_without_partitions_leaves_the_group(upstream, broker, tmp_path):
    """Else the group would wait for it at the next rebalance, for as long as its session lasts."""
    site = harness.Site(broker, "one-partition", partitions=1)
    workers = [harness.Worker(tmp_path, name, site, upstream.url, **LONG_SESSION) for name in ("p0", "p1")]

    def owned() -> list[float]:
        return [worker.metric("chat_worker_assigned_partitions") for worker in workers]

    try:
        for worker in workers:
            worker.start()
        until("both are members, one with the partition",
              lambda: sorted(owned()) == [0, 1] and members(site) == ("Stable", 2))
        idle, = (worker for worker, count in zip(workers, owned(), strict=True) if count == 0)
        idle.terminate()
        assert idle.wait(30) == 0
        until("it is no member any more", lambda: members(site)[1] == 1, 10)
    finally:
        for worker in workers:
            worker.end()


@pytest.mark.parametrize("moment", ["admin endpoints", "started", "rebalance"])
def test_worker_sigterm_while_starting_ends_in_order(moment, make_worker, upstream, producer, replies, site):
    sent = producer.send_all(chats(50))
    worker = make_worker(upstream.url).start()
    until(moment, lambda: f'"{moment}"' in worker.tail())
    worker.terminate()
    assert worker.wait(30) == 0
    make_worker(upstream.url, name="w1").start()
    replies.wait(len(sent))
    judge(sent, read_replies(site)).assert_clean()


def test_worker_sigterm_while_a_member_joins_ends_in_order(make_worker, upstream, producer, replies, site):
    worker = make_worker(upstream.url).start().wait_ready()
    sent = producer.send_all(chats(200))
    other = make_worker(upstream.url, name="w1").start()
    until("partitions are asked for", lambda: '"type":"revoke"' in worker.tail())
    worker.terminate()
    assert worker.wait(30) == 0
    replies.wait(len(sent))
    judge(sent, read_replies(site)).assert_clean()
    assert other.process.poll() is None


def test_worker_sigterm_while_no_broker_answers_ends_in_time(upstream, tmp_path):
    """The broker is stopped, so connections stay, and nothing comes over them."""
    with harness.Broker(tmp_path / "kafka") as broker:
        site = harness.Site(broker)
        worker = harness.Worker(tmp_path, "w0", site, upstream.url, worker__drain_ms=DRAIN_MS).start().wait_ready()
        successor = harness.Worker(tmp_path, "w1", site, upstream.url)
        producer, replies = harness.Producer(site), harness.Replies(site)
        try:
            sent = producer.send_all(chats(50))
            until("calls run", upstream.calls)
            broker.pause()
            worker.terminate()
            assert worker.wait(2 * DRAIN_MS / 1000) == 0
            broker.resume()
            successor.start()
            replies.wait(len(sent))
            judge(sent, read_replies(site)).assert_clean()
        finally:
            broker.resume()
            for each in (worker, successor):
                each.end()
            producer.close()
            replies.close()
