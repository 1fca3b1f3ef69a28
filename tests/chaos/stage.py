"""What the tests of this folder share: a site whose workers reach Kafka through the proxy, and load that goes on."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import harness
from frame_proxy import END_TXN, HOLD, HOLD_ASIDE, PRODUCE, RESPONSE, TXN_OFFSET_COMMIT, Frame, FrameProxy, Rule
from harness import Producer, Sent, Site, chat, read_replies, until
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

# The worker with crash points (CHAT_CRASH) and with planted bugs (CHAT_PLANT); see CMakeLists.txt.
CRASH = harness.BUILD / "tests/chaos/chat-worker-crash"
PLANTED = harness.BUILD / "tests/chaos/chat-worker-planted"
STEP_S = 0.1


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

    def __init__(self, site: Site, conversations: int = 40, burst: int = 5, is_tolerant: bool = False,
                 pause_s: float = 0.03, **options: Any) -> None:
        self.conversations, self.burst, self.is_tolerant, self.pause_s = conversations, burst, is_tolerant, pause_s
        self.sent: list[Sent] = []
        self.failure: BaseException | None = None
        self._number = 0
        self._name = site.name
        self._producer = Producer(site, **options)
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._is_stopping.is_set():
                self._send()
                self._is_stopping.wait(self.pause_s)
            self._end()
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

    def _end(self) -> None:
        """Nothing is on its way between two bursts."""

    def _chat(self, number: int) -> dict[str, Any]:
        return chat(f"r{number}", f"c{number * 7919 % self.conversations}", f"{self._name} chat {number}")

    def stop(self) -> list[Sent]:
        """All that Kafka is known to have taken. What it may or may not have taken is an error unless tolerated."""
        self._is_stopping.set()
        self._thread.join(150)
        self._producer.close()
        if self.failure is not None:
            raise self.failure
        return self.sent


class SteadyLoad(Load):
    """Chats of many conversations at a rate that does not wait for brokers, unless too many are on their way. What was not
    sent then, or because the machine was busy, comes later, at no more than twice the rate."""

    def __init__(self, site: Site, conversations: int, rate: float, on_their_way: int = 5000) -> None:
        self._begun: deque[tuple[dict[str, Any], Any]] = deque()
        self._on_their_way, self._rate, self._started_s = on_their_way, rate, time.monotonic()
        super().__init__(site, conversations, max(1, round(rate * STEP_S)), True, STEP_S, enable_idempotence=True)

    def _send(self) -> None:
        if len(self._begun) < self._on_their_way:
            due = int((time.monotonic() - self._started_s) * self._rate) - self._number
            count = min(max(due, 0), 2 * self.burst)
            for body in [self._chat(self._number + i) for i in range(count)]:
                self._begun.append((body, self._producer.begin(body)))
            self._number += count
        while self._begun and self._begun[0][1].is_done:
            self._note()

    def _note(self) -> None:
        try:
            self.sent.append(self._producer.arrived(*self._begun.popleft()))
        except KafkaError:
            pass  # it may be there or not: the topic will tell

    def _end(self) -> None:
        self._producer.kafka.flush(120)
        while self._begun:
            self._note()


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


def late_copy(proxy: FrameProxy, key: int) -> tuple[Rule, Rule]:
    """A request is held, its connection breaks, its second copy wins, and the transaction after it is half done:
    records written, offsets on their way. Returns the held request and what holds the next transaction."""
    stray = proxy.add(Rule(key, HOLD, when=lambda frame: key != END_TXN or frame.commits()))
    stray.wait()
    begun = time.monotonic()
    stray.cut_client()
    until("the second copy has won", lambda: proxy.frames(END_TXN, RESPONSE, "pass", begun))
    half_done = proxy.add(Rule(TXN_OFFSET_COMMIT, HOLD_ASIDE))
    half_done.wait()
    last_end = max(at for at, _, frame in list(proxy.seen) if (frame.api_key, frame.side) == (END_TXN, RESPONSE))
    until("its records are written", lambda: proxy.frames(PRODUCE, RESPONSE, "pass", last_end))
    return stray, half_done


def arrived(proxy: FrameProxy, stray: Rule) -> list[Frame]:
    """Answers to what was held and has lost its client, whatever they say."""
    held = stray.hits[0]
    return [frame for _, _, frame in list(proxy.seen)
            if (frame.side, frame.connection, frame.correlation_id) == (RESPONSE, held.connection, held.correlation_id)]


def let_it_arrive(proxy: FrameProxy, stray: Rule) -> int:
    """The held copy goes on; returns the error of the broker's answer to it."""
    stray.release()
    answer, = until("the broker has answered the held copy", lambda: arrived(proxy, stray))
    return answer.error()
