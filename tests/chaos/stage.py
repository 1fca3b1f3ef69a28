"""What the tests of this folder share: a site whose workers reach Kafka through the proxy, and load that goes on."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import harness
from harness import Producer, Sent, Site, chat, read_replies, until
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

WITHOUT_E1 = harness.BUILD / "tests/chaos/chat-worker-without-e1"


@dataclass
class ProxiedSite(Site):
    """Workers go through the proxy; the test's own clients go past it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.bootstrap = self.broker.internal_bootstrap

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "kafka.bootstrap_servers": self.broker.bootstrap}


class Load:
    """Sends chats of many conversations, a few at a time, until it is stopped."""

    def __init__(self, site: Site, conversations: int = 40, burst: int = 5, is_tolerant: bool = False) -> None:
        self.conversations, self.burst, self.is_tolerant = conversations, burst, is_tolerant
        self.sent: list[Sent] = []
        self.failure: BaseException | None = None
        self._number = 0
        self._producer = Producer(site)
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._is_stopping.is_set():
                self._send()
                time.sleep(0.03)
        except BaseException as failure:
            self.failure = failure

    def _send(self) -> None:
        chats = [self._chat(self._number + i) for i in range(self.burst)]
        self._number += self.burst
        try:
            self.sent += self._producer.send_all(chats)
        except KafkaError:
            if not self.is_tolerant:
                raise

    def _chat(self, number: int) -> dict[str, Any]:
        return chat(f"r{number}", f"c{number * 7919 % self.conversations}", f"chat {number}")

    def stop(self) -> list[Sent]:
        """All that Kafka is known to have taken. What it may or may not have taken is an error unless tolerated."""
        self._is_stopping.set()
        self._thread.join(150)
        self._producer.close()
        if self.failure is not None:
            raise self.failure
        return self.sent


def open_ends(bootstrap: str, topics: list[str]) -> dict[str, tuple[int, int]]:
    """Partitions in which a transaction is open: last stable offset and high watermark."""
    ends: list[dict[TopicPartition, int]] = []
    for isolation in ("read_committed", "read_uncommitted"):
        consumer = KafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation, enable_auto_commit=False)
        try:
            places = [TopicPartition(topic, p) for topic in topics for p in consumer.partitions_for_topic(topic) or ()]
            ends.append(consumer.end_offsets(places))
        finally:
            consumer.close()
    stable, high = ends
    return {f"{place.topic}/{place.partition}": (stable[place], high[place])
            for place in stable if stable[place] != high[place]}


def all_topics(site: Site) -> list[str]:
    return [site.requests, site.responses, site.dead_letters, "__consumer_offsets"]


def finish(site: Site, load: Load, replies: harness.Replies, timeout_s: float = 40.0) -> harness.Verdict:
    """Ends the load and demands one reply each, in order, and no transaction left open."""
    sent = load.stop()
    replies.wait(len(sent), timeout_s)
    until("no transaction is open", lambda: not open_ends(site.bootstrap, all_topics(site)), timeout_s)
    verdict = harness.judge(sent, read_replies(site))
    verdict.assert_clean()
    return verdict
