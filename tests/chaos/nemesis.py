"""What breaks things: worker processes, the broker, connections and single frames, by chance from a seed.

Two lanes run side by side, each doing one thing after the other: one hurts workers, the other Kafka and the way to it.
What each does in which order depends on the seed alone; when it happens to hit what, does not.
"""

from __future__ import annotations

import os
import queue
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from frame_proxy import CUT, DUPLICATE, HOLD, REQUEST, RESPONSE, TRANSACTIONAL, FrameProxy, Rule
from harness import Broker, Worker
from history import Drain, Exit, Fault
from watch import drain, end_of, now_ms

# Longer than the session (2 s) and the transaction (4 s) of the workers under test.
ZOMBIE_S = 6.5
DRAIN_S = 61.0  # as the workers are told
# Records, dead letters among them; counted after their commit.
COMMITTED = "messaging_client_sent_messages_total"
ATTEMPTS, RETRIES = "chat_worker_upstream_attempts_total", "chat_worker_upstream_retries_total"


class Starter:
    """Has processes started by the thread of the test: they are killed when the thread that started them ends."""

    def __init__(self) -> None:
        self._calls: queue.Queue[tuple[Callable[[], object], threading.Event]] = queue.Queue()

    def start(self, what: Worker | Broker) -> None:
        self.do(what.start)

    def do(self, call: Callable[[], object]) -> None:
        done = threading.Event()
        self._calls.put((call, done))
        done.wait()

    def serve(self, seconds: float, is_over: Callable[[], bool] = lambda: False) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not is_over():
            try:
                call, done = self._calls.get(timeout=0.05)
            except queue.Empty:
                continue
            try:
                call()
            finally:
                done.set()


@dataclass
class Crew:
    """The workers, and what those lives that have ended had counted when last asked."""

    workers: list[Worker]
    starter: Starter = field(default_factory=Starter)
    counted: int = 0
    attempts: int = 0
    retries: int = 0
    restarts: dict[str, int] = field(default_factory=dict)
    exits: list[Exit] = field(default_factory=list)
    drains: list[Drain] = field(default_factory=list)

    def note(self, worker: Worker) -> None:
        """Keeps the counters of a life that is about to end."""
        self.counted += int(worker.metric(COMMITTED))
        self.attempts += int(worker.metric(ATTEMPTS))
        self.retries += int(worker.metric(RETRIES))
        for reason in ("unanswered", "fenced", "timeout", "fatal", "gap", "twin", "denied"):
            count = int(worker.metric("chat_worker_producer_restarts_total", reason=reason))
            if count > 0:
                self.restarts[reason] = self.restarts.get(reason, 0) + count

    def must_live(self, worker: Worker) -> None:
        assert worker.process is not None
        if worker.process.poll() is not None:
            self.exits.append(end_of(worker, ""))
            self.starter.start(worker)

    def kill(self, worker: Worker, chance: random.Random) -> None:
        self.note(worker)
        worker.kill()
        self.exits.append(end_of(worker, "kill -9"))
        time.sleep(chance.uniform(0, 1.5))
        self.starter.start(worker)

    def freeze(self, worker: Worker, _: random.Random) -> None:
        os.kill(worker.pid, signal.SIGSTOP)
        time.sleep(ZOMBIE_S)
        os.kill(worker.pid, signal.SIGCONT)

    def roll(self, worker: Worker, _: random.Random) -> None:
        self.note(worker)
        self.leave(worker, "roll")
        self.starter.start(worker)

    def leave(self, worker: Worker, cause: str) -> None:
        self.drains.append(drain(worker, DRAIN_S))
        self.exits.append(end_of(worker, cause))


class Nemesis:
    def __init__(self, seed: int, crew: Crew, broker: Broker, proxies: list[FrameProxy]) -> None:
        self.crew, self.broker, self.proxies = crew, broker, proxies
        self.faults: list[Fault] = []
        self.failure: BaseException | None = None
        self._is_stopping, self._is_over = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(lane, random.Random(f"{seed}-{lane.__name__}")),
                                          daemon=True)
                         for lane in self._lanes()]

    def _lanes(self) -> tuple[Callable[[random.Random], None], ...]:
        return self._hurt_workers, self._hurt_kafka

    def run(self, seconds: float) -> None:
        """Breaks things for so long; returns when everything runs again."""
        for thread in self._threads:
            thread.start()
        try:
            self.crew.starter.serve(seconds, lambda: self._is_over.is_set() or self.failure is not None)
        finally:
            self._is_stopping.set()
            self.crew.starter.serve(2 * DRAIN_S + 60, lambda: not any(thread.is_alive() for thread in self._threads))
            for proxy in self.proxies:
                proxy.clear()
        assert not any(thread.is_alive() for thread in self._threads), "a lane hangs"
        if self.failure is not None:
            raise self.failure

    def stop_early(self) -> None:
        self._is_over.set()

    def _run(self, lane: Callable[[random.Random], None], chance: random.Random) -> None:
        try:
            while not self._is_stopping.is_set():
                lane(chance)
                self._is_stopping.wait(chance.uniform(0.3, 1.5))
        except BaseException as failure:
            self.failure = failure

    def _do(self, kind: str, action: Callable[[], object], worker: str = "") -> None:
        fault = Fault(kind, now_ms(), worker=worker)
        action()
        fault.end_ms = now_ms()
        self.faults.append(fault)

    def _hurt_workers(self, chance: random.Random) -> None:
        worker = chance.choice(self.crew.workers)
        self.crew.must_live(worker)
        kind, action = chance.choices(
            [("kill -9", self.crew.kill), ("zombie", self.crew.freeze), ("roll", self.crew.roll)], [5, 2, 2])[0]
        self._do(kind, lambda: action(worker, chance), worker.name)

    def _hurt_kafka(self, chance: random.Random) -> None:
        if len([fault for fault in self.faults if fault.kind not in ("kill -9", "zombie", "roll")]) == 4:
            self._do("broker killed", self._restart_broker)
            return
        kind, action = chance.choices(
            [("cut", self._cut), ("frame", self._meddle), ("broker pause", self._pause)], [4, 8, 2])[0]
        self._do(kind, lambda: action(chance))

    def _restart_broker(self) -> None:
        self.broker.kill()
        self.crew.starter.start(self.broker)

    def _pause(self, chance: random.Random) -> None:
        self.broker.pause()
        time.sleep(chance.uniform(0.5, 3.5))
        self.broker.resume()

    def _cut(self, chance: random.Random) -> None:
        chance.choice(self.proxies).cut_some(chance.choice([0.3, 1.0]), chance)

    def _meddle(self, chance: random.Random) -> None:
        """One frame of a transaction; what is held comes late, one time in two after its client has gone."""
        action, side = chance.choice([(CUT, REQUEST), (CUT, RESPONSE), (DUPLICATE, REQUEST), (HOLD, REQUEST),
                                      (HOLD, REQUEST), (HOLD, RESPONSE)])
        late_s, is_cut = chance.uniform(0.1, 2.5), chance.random() < 0.5
        proxy = chance.choice(self.proxies)
        rule = proxy.add(Rule(chance.choice(TRANSACTIONAL), action, side, skip=chance.randrange(5)))
        self._is_stopping.wait(1.0)
        if action == HOLD and rule.was_hit():
            if is_cut:
                rule.cut_client()
            time.sleep(late_s)
        proxy.remove(rule)
