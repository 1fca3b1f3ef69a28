"""Workers under load on brokers that can be hurt, and the way from there to a judgement: calm, rest, drain, dump."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import checker
import harness
from chaos_size import is_sanitized
from frame_proxy import FrameProxy
from harness import Broker, Producer, Replies, Sent, Site, Standin, Worker, chat, until
from history import Fault, History, Limits, Sample
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka_cluster import Cluster
from nemesis import COMMITTED, Crew
from stage import ProxiedSite, all_topics, open_ends
from watch import Watch, group_state, is_stable, now_ms

CALM = 200
LATENCY_MS, JITTER_MS = 20, 20  # of the model service
SLACK_MS = 10
# After the last fault: the session and the transaction of whoever died last, and half a minute.
CONVERGE_S = 30.0 + 2.0 + 4.0
DEADLINE_MS = 60_000
IN_FLIGHT = 1000
SLACK_CONNECTIONS = 24  # some are being closed
# libcurl has two for itself in each handle, and a handle is made for every 64 calls at once.
HANDLES = 2 * (IN_FLIGHT // 64 + 1)
RSS_MAX = 256 << 20
WORKER = {"chat__deadline_ms": DEADLINE_MS, "worker__drain_ms": 61_000, "worker__max_in_flight": IN_FLIGHT,
          "kafka__producer_properties": ["transaction.timeout.ms=4000"]}
# Compaction would take away commits that the checker wants to see.
BROKER = {"offsets.topic.segment.bytes": str(1 << 30)}


class Follower:
    """Notes which requests have a committed reply, in a thread of its own, and keeps nothing else."""

    def __init__(self, site: Site) -> None:
        self.places: set[tuple[int, int]] = set()
        self.failure: BaseException | None = None
        self._replies = Replies(site)
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._is_stopping.is_set():
                self._poll()
        except BaseException as failure:
            self.failure = failure

    def _poll(self) -> None:
        try:
            self.places.update(reply.source for reply in self._replies.poll())
        except KafkaError:
            time.sleep(0.1)
        self._replies.all.clear()

    def wait(self, count: int, timeout_s: float) -> int | None:
        """When so many requests had replies; None when that took too long."""
        end = time.monotonic() + timeout_s
        while len(self.places) < count:
            if self.failure is not None:
                raise self.failure
            if time.monotonic() > end:
                return None
            time.sleep(0.02)
        return now_ms()

    def close(self) -> None:
        self._is_stopping.set()
        self._thread.join(30)
        self._replies.close()


def record_count(site: Site) -> int:
    """How many requests are in the topic: its producers do without transactions, so each offset is one."""
    consumer = KafkaConsumer(bootstrap_servers=site.bootstrap)
    try:
        return sum(consumer.end_offsets([TopicPartition(site.requests, p) for p in range(site.partitions)]).values())
    finally:
        consumer.close()


@dataclass
class Arena:
    broker: Broker | Cluster
    site: Site
    crew: Crew
    upstream: Standin
    producer: Producer
    follower: Follower
    guests: list[Worker] = field(default_factory=list)
    proxies: list[FrameProxy] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # of the way to rest; none in a good run
    calm_sent: list[Sent] = field(default_factory=list)

    def counted(self) -> int:
        return sum(int(worker.metric(COMMITTED)) for worker in self.crew.workers)

    def warm_up(self, watch: Watch) -> None:
        """The same calm as at the end, so that what the workers hold then can be compared."""
        self._calm_wave()
        self._come_to_rest()
        watch.look_at_rest()

    def judge(self, sent: list[Sent], faults: list[Fault], watch: Watch) -> History:
        """From the moment in which nothing is broken any more. All workers have ended afterwards."""
        healed_ms = now_ms()
        for worker in self.crew.workers:
            self.crew.must_live(worker)
        converged_ms = self.follower.wait(record_count(self.site), CONVERGE_S)
        calm = (0, 0)
        try:
            calm = self._calm_wave()
            self._come_to_rest()
        except AssertionError as error:
            self.problems.append(str(error))
        watch.look_at_rest()
        self._drain()
        history = self._gather([*sent, *self.calm_sent])
        self.problems += [worker.tail() for worker in [*self.crew.workers, *self.guests] if "Sanitizer" in worker.tail()]
        history.calm, history.faults, history.samples = calm, faults, watch.stop()
        history.healed_ms, history.converged_ms = healed_ms, converged_ms
        return history

    def _calm_wave(self) -> tuple[int, int]:
        for worker in self.crew.workers:
            worker.wait_ready()
        before = self.counted()
        first = len(self.calm_sent)
        numbers = range(first, first + CALM)
        sent = self.producer.send_all([chat(f"calm{i}", f"calm{i % 20}", f"calm {i}") for i in numbers])
        self.calm_sent += sent
        places = {(each.partition, each.offset) for each in sent}
        until("calm is replied to", lambda: places <= self.follower.places)
        until("all is counted", lambda: self.counted() >= before + CALM)
        return CALM, self.counted() - before

    def _come_to_rest(self) -> None:
        site = self.site
        until("no transaction is open", lambda: not open_ends(site.bootstrap, all_topics(site)), CONVERGE_S)
        until("progress has reached the end",
              lambda: sum(worker.metric("chat_worker_consumer_lag") for worker in self.crew.workers) == 0)

    def _drain(self) -> None:
        crew = self.crew
        for worker in crew.workers:
            crew.note(worker)
        for left, worker in enumerate(crew.workers):
            try:
                until("the group is at rest", lambda left=left: is_stable(self.broker, self.site.group, crew.workers[left:]))
            except AssertionError as error:
                self.problems.append(str(error))
            crew.leave(worker, "end")

    def _gather(self, sent: list[Sent]) -> History:
        _, members_left = group_state(self.broker, self.site.group)
        brokers = self.broker.brokers if isinstance(self.broker, Cluster) else [self.broker]
        history = checker.read(self.site, sent, self.upstream.calls())
        history.counted, history.exits, history.drains = self.crew.counted, self.crew.exits, self.crew.drains
        history.attempts, history.retries = self.crew.attempts, self.crew.retries
        history.members_left = members_left
        everyone = [*self.crew.workers, *self.guests]
        history.limits = Limits(deadline_ms=DEADLINE_MS, in_flight=len(everyone) * IN_FLIGHT, horizon_s=CONVERGE_S,
                                connections=IN_FLIGHT + SLACK_CONNECTIONS, handles=HANDLES,
                                call_ms=LATENCY_MS + JITTER_MS + SLACK_MS, rss=None if is_sanitized() else RSS_MAX)
        logs = [worker.log for worker in everyone if worker.log.exists()] + [broker.log for broker in brokers]
        history.sinks = logs + sorted(self.broker.data.glob(f"{self.site.name}*/*.log"))
        return history


def second_opinion(history: History, site: Site) -> str:
    """By another client and other code; "" when it says the same."""
    opinion = harness.audit(site, "--deadline", "0", "--group", site.group, "--dead-letters", site.dead_letters)[1]
    told = (opinion["requests"], opinion["replies"], opinion["open"], harness.audit_findings(opinion))
    wanted = (len(history.requests), len(history.replies), 0, {})
    return "" if told == wanted else f"the audit says {told}, not {wanted}"


def make_workers(folder: Path, site: Site, url: str, names: list[str]) -> list[Worker]:
    return [Worker(folder, name, site, url, kafka__properties=[f"client.id={name}"], **WORKER) for name in names]


@contextmanager
def arena(folder: Path, brokers: int, workers: int, guests: int, lifetime_s: float = 900) -> Iterator[Arena]:
    """Brokers behind proxies, and workers that are ready. What is started here ends with it."""
    with ExitStack() as stack:
        broker: Broker | Cluster
        if brokers == 1:
            broker = Broker(folder / "kafka", BROKER, advertised_port=harness.free_port())
        else:
            broker = Cluster(folder / "kafka", BROKER, proxied=True)
        stack.enter_context(broker)
        each_broker = broker.brokers if isinstance(broker, Cluster) else [broker]
        proxies = [stack.enter_context(FrameProxy(each.advertised_port or 0, lambda each=each: each.port))
                   for each in each_broker]
        upstream = stack.enter_context(harness.standin(folder, "--latency", str(LATENCY_MS), "--jitter",
                                                       str(JITTER_MS), "--keepalive", "0",
                                                       lifetime_s=lifetime_s))
        site = ProxiedSite(broker, "soak")
        crew = Crew(make_workers(folder, site, upstream.url, [f"w{i}" for i in range(workers)]))
        visitors = make_workers(folder, site, upstream.url, [f"guest{i}" for i in range(guests)])
        for worker in [*crew.workers, *visitors]:
            stack.callback(worker.end)
        for worker in crew.workers:
            worker.start()
        for worker in crew.workers:
            worker.wait_ready(60)
        producer = Producer(site)
        stack.callback(producer.close)
        follower = Follower(site)
        stack.callback(follower.close)
        yield Arena(broker, site, crew, upstream, producer, follower, visitors, proxies)
