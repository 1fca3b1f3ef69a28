"""A small run on topics of its own: some hundred chats, one or two workers, one thing that happens, then the judgement.

For crash points and planted bugs. Scenes share one broker and one stand-in, so several can run at once, each in the
thread that made it: the workers die with that thread.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import checker
import msgpack
import watch
from harness import Broker, Producer, Replies, Sent, Site, Standin, Worker, chat, until
from history import Drain, Exit, Fault, History, Limits, Sample
from kafka_log import Coordinators
from stage import ProxiedSite

PARTITIONS = 4
DRAIN_S = 20.0  # calls take milliseconds here
IN_FLIGHT = 16
# Fast, so that a crash costs two seconds; one worker's dead transaction is ended by its successor, or after 4 s.
FAST = {
    "kafka__session_timeout_ms": 1500,
    "kafka__heartbeat_interval_ms": 200,
    "kafka__producer_properties": ["transaction.timeout.ms=4000"],
    "chat__deadline_ms": 60_000,
    "worker__drain_ms": 61_000,
    "worker__max_in_flight": IN_FLIGHT,
    "publish__max_replies": IN_FLIGHT,  # many transactions, however slow the machine
}
# The dead one's session and transaction, and half a minute.
HORIZON_S = 30.0 + 1.5 + 4.0


@dataclass
class Ground:
    """What scenes share."""

    broker: Broker
    upstream: Standin
    folder: Path


@dataclass
class Scene:
    ground: Ground
    name: str
    is_proxied: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    workers: dict[str, Worker] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    drains: list[Drain] = field(default_factory=list)
    members_left: int = 0
    healed_ms: int = 0
    converged_ms: int | None = None
    number: int = 0
    noted: set[int] = field(default_factory=set)  # process ids of the dead

    def __post_init__(self) -> None:
        self.folder = self.ground.folder / self.name
        self.folder.mkdir()
        kind = ProxiedSite if self.is_proxied else Site
        self.site = kind(self.ground.broker, self.name, PARTITIONS)
        self.producer = Producer(self.site)
        self.replies = Replies(self.site)

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.end()
        self.producer.close()
        self.replies.close()

    def send(self, count: int, script: str = "", conversations: int = 20, **fields: Any) -> None:
        numbers = range(self.number, self.number + count)
        self.number += count
        self.sent += self.producer.send_all([chat(f"{self.name}-r{i}", f"c{i % conversations}",
                                                  f"{self.name} {i}{script}", **fields) for i in numbers])

    def send_to(self, topic: str) -> None:
        """One chat whose reply is to go to another topic."""
        number, self.number = self.number, self.number + 1
        value = msgpack.packb(chat(f"{self.name}-r{number}", "elsewhere", f"{self.name} {number}"))
        self.sent.append(self.producer.send_raw(value, b"elsewhere", [("reply-to", topic.encode())]))

    def start(self, name: str = "w0", program: Path = Worker.program, **environment: str) -> Worker:
        """A worker's first life, or its next one with another program."""
        worker = self.workers.get(name)
        if worker is None:
            settings = {**FAST, "kafka__properties": [f"client.id={name}"], **self.settings}
            worker = Worker(self.folder, name, self.site, self.ground.upstream.url, **settings)
            self.workers[name] = worker
        worker.program, worker.environment = program, environment
        return worker.start()

    def look(self) -> None:
        found = [watch.look(worker, self.ground.upstream, is_at_rest=True) for worker in self.workers.values()]
        self.samples += [sample for sample in found if sample is not None]

    def ended(self, worker: Worker, cause: str) -> Exit:
        """The worker is dead already."""
        assert worker.process is not None
        worker.process.wait(30)
        self.noted.add(worker.pid)
        self.exits.append(watch.end_of(worker, cause))
        if cause != "end":
            now = watch.now_ms()
            self.faults.append(Fault(cause or "by itself", now, now, worker.name))
        return self.exits[-1]

    def kill(self, worker: Worker) -> None:
        worker.kill()
        self.ended(worker, "kill -9")

    def answered(self, count: int, timeout_s: float = 30.0) -> None:
        self.replies.wait(count, timeout_s)

    def settle(self, timeout_s: float = HORIZON_S) -> None:
        """Nothing is broken any more: waits for what must come now, as far as it comes."""
        self.healed_ms = watch.now_ms()
        wanted = {(each.partition, each.offset) for each in self.sent}
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and not wanted <= {reply.source for reply in self.replies.all}:
            self._note_deaths()
            self.replies.poll()
        if wanted <= {reply.source for reply in self.replies.all}:
            self.converged_ms = watch.now_ms()
        self._await_rest()
        self.look()

    def _await_rest(self, timeout_s: float = 5.0) -> None:
        """All are members of the group and have nothing left to do, as far as that comes about."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and not self._is_at_rest():
            time.sleep(0.1)

    def _is_at_rest(self) -> bool:
        living = self.living()
        owned = sum(worker.metric("chat_worker_assigned_partitions") for worker in living)
        lag = sum(worker.metric("chat_worker_consumer_lag") for worker in living)
        is_stable = watch.is_stable(self.ground.broker, self.site.group, living)
        return owned == PARTITIONS and lag == 0 and is_stable

    def living(self) -> list[Worker]:
        return [worker for worker in self.workers.values() if worker.process and worker.process.poll() is None]

    def _note_deaths(self) -> None:
        for worker in self.workers.values():
            if worker not in self.living() and worker.pid not in self.noted:
                self.ended(worker, "")

    def drain(self) -> None:
        """All workers are asked to end, one after the other, and the group is looked at right afterwards."""
        for worker in self.living():
            self._await_rest()
            self.drains.append(watch.drain(worker, DRAIN_S))
            self.ended(worker, "end")
        _, self.members_left = watch.group_state(self.ground.broker, self.site.group)

    def history(self, coordinators: Coordinators | None = None, is_alone: bool = True) -> History:
        history = checker.read(self.site, self.sent, self.ground.upstream.calls(), coordinators, is_alone)
        history.exits, history.faults, history.drains = self.exits, self.faults, self.drains
        history.members_left, history.samples = self.members_left, self.samples
        history.healed_ms, history.converged_ms = self.healed_ms, self.converged_ms
        history.limits = Limits(horizon_s=HORIZON_S)
        history.sinks = sorted(self.folder.iterdir())
        return history


def wait_for_death(worker: Worker, timeout_s: float = 30.0) -> None:
    assert worker.process is not None
    process = worker.process
    until(f"{worker.name} has died", lambda: process.poll() is not None, timeout_s)
